// What one run remembers of the streams over all lives of its brokers: those that clients know, what they sent
// and were told, what the plan's damage may take, and the oracles of messages.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sim/oracles/ack_ledger.h"
#include "sim/oracles/consumer_view.h"
#include "sim/oracles/durable_at_ack.h"
#include "sim/oracles/history.h"
#include "sim/oracles/provenance.h"
#include "sim/world/node.h"
#include "sim/worlds/world.h"
#include "src/broker/api.h"

namespace bascule::sim {

struct KnownStream {
  model::StreamConfig config;
  std::vector<std::vector<NodeId>> replicas = {};  // of each partition
  bool delete_tried = false;                       // it may be gone

  // The promise is about what all in-sync replicas have; one replica has no other kind.
  bool promised(model::Acks acks) const { return config.replicas == 1 || acks == model::Acks::all; }
};

// "logs/12-3-7/…" → 12/3
std::optional<PartitionId> partition_of_path(std::string_view path);

class StreamStory {
 public:
  StreamStory(Simulation& simulation, Verdict& its_verdict, uint64_t seed)
      : sim(simulation),
        verdict(its_verdict),
        history(seed),
        consumers(its_verdict),
        acks(history, its_verdict),
        durable(history, its_verdict),
        provenance(history, its_verdict) {}
  virtual ~StreamStory() = default;

  // A stream exists, as a client was told.
  void created(const broker::StreamStatus& status);
  void deleted(StreamId id);
  const KnownStream* stream(StreamId id) const;
  // The stream that clients believe to have this name.
  std::optional<StreamId> named(const std::string& name) const;
  // The answer to batch `index` has come.
  void answered(size_t index, const Result<broker::PublishAck>& answer);

  // Looks at what the plan has damaged since the last look, and lets go of what may be lost by it.
  virtual void look_at_damage() = 0;
  // A read of the medium under this partition failed once: what it hit may be told damaged, without being
  // lost.
  virtual bool may_fail_to_read(PartitionId partition) const = 0;
  virtual bool damaged(PartitionId partition) const { return damaged_.contains(partition); }
  bool hit_on(PartitionId partition, NodeId node) const {
    const auto it = hits_.find(partition);
    return it != hits_.end() && it->second.contains(node);
  }
  bool hit_anywhere(PartitionId partition) const { return hits_.contains(partition); }

  Simulation& sim;
  Verdict& verdict;
  History history;
  ConsumerView consumers;
  AckLedger acks;
  DurableAtAck durable;
  Provenance provenance;
  std::map<StreamId, KnownStream> streams;
  std::map<std::string, StreamId> names;

 protected:
  // All of it may be gone.
  void give_up(PartitionId partition);
  // What `node` has of it may be gone; where so many replicas are hit that none with everything need be
  // left, all of it.
  void hit(PartitionId partition, NodeId node);
  const std::set<PartitionId>& given_up() const { return damaged_; }

 private:
  std::set<PartitionId> damaged_;
  std::map<PartitionId, std::set<NodeId>> hits_;
};

}  // namespace bascule::sim

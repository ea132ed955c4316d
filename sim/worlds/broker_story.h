// What one run of world `broker` remembers over the lives of its broker: the streams that clients know,
// what they sent, and the oracles.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

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
  bool delete_tried = false;  // it may be gone
};

class BrokerStory {
 public:
  BrokerStory(Simulation& simulation, Node& its_node, Verdict& its_verdict, uint64_t seed)
      : sim(simulation),
        node(its_node),
        verdict(its_verdict),
        history(seed),
        consumers(its_verdict),
        acks(history, its_verdict),
        durable(history, its_verdict),
        provenance(history, its_verdict) {}

  // A stream exists, as a client was told.
  void created(const broker::StreamStatus& status);
  void deleted(StreamId id);
  const KnownStream* stream(StreamId id) const;
  // The stream that clients believe to have this name.
  std::optional<StreamId> named(const std::string& name) const;

  // Looks at what the plan has damaged since the last look, and lets go of what may be lost by it.
  void look_at_damage();
  // What was in the page cache alone may be gone.
  void cache_went_away();
  // A new life reads its disks: what memory has served of a damaged partition may be gone.
  void restarts();
  bool damaged(PartitionId partition) const;
  // The metadata may be gone: the broker may refuse to start, by name.
  bool metadata_damaged() const { return metadata_damaged_; }
  // A read of the medium failed once: what it hit may be told damaged, without being lost.
  bool reads_failed = false;
  // A failed sync has thrown pages out of the cache: a `memory` stream may lose what a kill leaves it.
  bool cache_dropped = false;
  // The disk has been full, and not healed: logs may be waiting for room to open.
  bool disk_was_full = false;

  Simulation& sim;
  Node& node;
  Verdict& verdict;
  History history;
  ConsumerView consumers;
  AckLedger acks;
  DurableAtAck durable;
  Provenance provenance;
  std::map<StreamId, KnownStream> streams;
  std::map<std::string, StreamId> names;
  bool clean_exit = false;  // the last life ended with a clean stop
  bool gave_up = false;     // the broker has refused to start, rightly

 private:
  void give_up(PartitionId partition);
  void give_up_all();

  size_t damage_seen_ = 0;
  std::set<PartitionId> damaged_;
  bool all_damaged_ = false;
  bool metadata_damaged_ = false;
};

}  // namespace bascule::sim

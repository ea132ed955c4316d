// The clients of world `cluster`: they play the plan's operations over broker/api.h, each through any broker, go
// where the leader is, and hand what they are told to the oracles. A client lives outside of all brokers: what a
// broker that dies has not answered is never answered.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "sim/worlds/cluster/cluster_story.h"

namespace bascule::sim {

class ClusterClients {
 public:
  explicit ClusterClients(ClusterStory& story) : story_(story) {}

  // An operation of the plan: create, delete, publish, subscribe, inspect.
  void play(const PlanItem& item);

  // Told whether it went well.
  using Told = std::function<void(bool)>;
  // A stream of that name comes to be.
  void create(Seat& through, model::StreamConfig config, Told told);
  // A publish to the partition, through its leader, is acknowledged. Asks brokers that `may` names alone; false
  // too where the leader is none of them.
  void publish_to(PartitionId partition, std::function<bool(NodeId)> may, Told told);
  // All of the partition is read, and held against what was acknowledged.
  void read_whole(PartitionId partition, Told told);
  // The metadata as of now is there.
  void read_metadata(Seat& through, Told told);

  static model::StreamConfig config_of(std::string name, uint32_t partitions);
  // One that serves, of those that `may` names, another one each time; null: none does.
  Seat* any_broker(const std::function<bool(NodeId)>& may = nullptr);

 private:
  struct Batch {
    uint64_t producer = 1;
    uint32_t count = 1;
    uint32_t bytes = 50;
    model::Acks acks = model::Acks::all;
    Duration deadline;  // 0: none
  };

  void create_slot(const PlanItem& item, int tries);
  void remove(const PlanItem& item);
  void publish(const PlanItem& item, int tries);
  void subscribe(const PlanItem& item);
  void send(ClusterProgram& program, PartitionId partition, const Batch& batch,
            std::function<void(const SentBatch&)> answered);
  void learn(ClusterProgram& program, std::string name);
  void begin_whole_read(ClusterProgram& program, PartitionId partition, const Told& told);
  // Asks `through` who leads the partition, goes there and calls; nothing, where that does not work out.
  void at_leader(Seat& through, PartitionId partition, std::function<void(ClusterProgram&)> call,
                 std::function<void()> otherwise);
  template <class F>
  bool ask(Seat& seat, F call);
  Seat* entry(const PlanItem& item);
  std::optional<PartitionId> partition_of(const PlanItem& item) const;

  ClusterStory& story_;
  std::set<StreamId> gone_;  // deleted, as a client was told: late answers do not bring them back
  uint64_t turn_ = 0;
  uint64_t marks_ = 0;
};

}  // namespace bascule::sim

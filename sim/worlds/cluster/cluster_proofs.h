// The ends of a run of world `cluster`: a healed core must do all that is asked of it (O17), all healed brokers
// must come to one table and serve every partition (O16), and a restart of all must change nothing.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "sim/faults/fault_driver.h"
#include "sim/worlds/cluster/cluster_clients.h"
#include "sim/worlds/cluster/cluster_operator.h"

namespace bascule::sim {

class ClusterProofs {
 public:
  ClusterProofs(Simulation& sim, ClusterStory& story, ClusterClients& clients,
                ClusterOperator& its_operator, FaultDriver& faults)
      : sim_(sim), story_(story), clients_(clients), operator_(its_operator), faults_(faults) {}

  void core_liveness();
  void converge(const char* when);
  void restart_all();

 private:
  bool over() const { return story_.verdict.fired(); }
  // Asks until one of the questions was answered well. False: not in time.
  bool wait_for(Duration limit, Duration between,
                const std::function<void(const ClusterClients::Told&)>& ask_once);

  std::set<NodeId> pick_core();
  void isolate_the_rest(const std::set<NodeId>& core);
  std::string not_converged();
  std::string not_settled(const Seat& seat, const controller::MetadataTable& table) const;
  std::string not_led(const controller::MetadataTable& table) const;
  std::string describe_replicas(const controller::PartitionEntry& p) const;
  std::string not_in_sync(const controller::MetadataTable& table) const;
  // A stream is created, takes a publish and gives it back.
  bool prove_work(const char* when, const std::function<bool(NodeId)>& takes_part);
  std::optional<StreamId> prove_creation(const char* when,
                                         const std::function<bool(NodeId)>& takes_part);
  bool prove_partitions(const char* when);
  void check_bounds();
  std::string waiting() const;  // what is not done; empty: nothing

  Simulation& sim_;
  ClusterStory& story_;
  ClusterClients& clients_;
  ClusterOperator& operator_;
  FaultDriver& faults_;
  uint64_t proofs_ = 0;
};

}  // namespace bascule::sim

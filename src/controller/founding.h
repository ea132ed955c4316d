// How a data directory without a cluster gets one: together with the other founders, or by joining.
//
// Founding: every founder makes its storage durable, then asks all others for theirs. The first
// configuration is a function of all of them, and the cluster's id a function of that, so each founder comes
// to the same by itself and no order among them matters. One that comes late finds the cluster founded and
// checks that the same configuration gives its id. A founder whose disk was replaced meanwhile is none of
// that configuration and is refused: from one list of founders comes one cluster at most.
//
// Joining: a broker that was told of seeds never founds. It asks to be let in, as a learner that has nothing.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "src/controller/cluster_options.h"
#include "src/controller/cluster_peers.h"
#include "src/controller/identity.h"
#include "src/env/coroutine.h"

namespace bascule::controller {

// What a broker begins with in its new cluster.
struct Founded {
  Uuid cluster;
  raft::StoredState initial;
};

// The id of the cluster that is founded with this configuration.
Uuid derive_cluster(const raft::Configuration& configuration);
raft::Configuration founding_configuration(const std::vector<raft::Member>& founders);
std::vector<NodeId> nodes_of(const std::vector<Founder>& founders);

class Founding {
 public:
  // All outlive it. `self` has no cluster yet; the peers are started and know whom to call.
  Founding(env::World& world, ClusterPeers& peers, const Identity& self, env::Address address,
           std::vector<Founder> founders);

  // Waits for all founders; for ever. Errors: `fenced` (the cluster was founded with another storage of this
  // node), `invalid` (another broker was given another list of founders).
  env::Co<Founded> found();
  // Waits for a broker that lets this one in; for ever. Errors: `fenced`, `invalid` (told by the cluster).
  env::Co<Founded> join();

 private:
  env::Co<void> pause();
  void tell_missing();
  Status take(NodeId node, Result<FoundingAnswer> answer);
  raft::Member self_member() const;

  env::World& world_;
  ClusterPeers& peers_;
  const Identity self_;
  const env::Address address_;
  const std::vector<Founder> founders_;
  std::map<NodeId, FoundingAnswer> heard_;
  MonotonicTime told_;
};

}  // namespace bascule::controller

#include "sim/worlds/world.h"

#include "sim/worlds/broker.h"
#include "sim/worlds/cluster/cluster_world.h"
#include "sim/worlds/files.h"
#include "sim/worlds/raft/raft_world.h"
#include "sim/worlds/storage/storage_world.h"

namespace bascule::sim {

std::vector<std::unique_ptr<WorldType>> make_worlds() {
  std::vector<std::unique_ptr<WorldType>> worlds;
  worlds.push_back(std::make_unique<FilesWorld>());
  worlds.push_back(std::make_unique<StorageWorld>());
  worlds.push_back(std::make_unique<BrokerWorld>());
  worlds.push_back(std::make_unique<RaftWorld>());
  worlds.push_back(std::make_unique<ClusterWorld>());
  return worlds;
}

Outcome outcome_of(const Simulation& sim, const Verdict& verdict) {
  Outcome out;
  out.failure = verdict.failure();
  out.trace = sim.trace().value();
  out.events = sim.events_run();
  out.simulated = sim.now();
  out.counts = sim.counts();
  return out;
}

}  // namespace bascule::sim

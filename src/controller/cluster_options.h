// What a broker is told of the cluster that it belongs to. All empty: it is one by itself.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/base/ids.h"
#include "src/env/network.h"
#include "src/peers/options.h"

namespace bascule::controller {

struct Founder {
  NodeId node;
  env::Address address;  // of its peers port

  bool operator==(const Founder&) const = default;
};

struct ClusterOptions {
  // Where other brokers reach this one; nullopt: nobody does.
  std::optional<env::Address> listen;
  // What it tells them to call, where that is not what it listens on; an empty host: the same.
  env::Address advertise;
  // All that make the cluster together, this one among them; each is given the same list. Counts only while
  // the data directory has no cluster.
  std::vector<Founder> founders;
  // Brokers of the cluster to join. Who has seeds never founds.
  std::vector<env::Address> seeds;
  peers::PeersOptions peers;  // `listen` is taken from above

  bool alone() const { return founders.empty() && seeds.empty(); }
};

// Errors: `invalid`, naming what does not fit.
Status check_cluster_options(const ClusterOptions& options, NodeId self);

}  // namespace bascule::controller

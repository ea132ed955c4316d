#include "src/controller/cluster_options.h"

#include <set>

#include "src/raft/types.h"

namespace bascule::controller {

Status check_cluster_options(const ClusterOptions& options, NodeId self) {
  if (options.alone()) return {};
  if (!options.listen)
    return fail(Errc::invalid, "founders and seeds need a peers port to listen on");
  if (!options.founders.empty() && !options.seeds.empty())
    return fail(Errc::invalid,
                "founders or seeds, not both: who joins a cluster does not found one");
  if (options.founders.empty()) return {};
  std::set<NodeId> nodes;
  for (const Founder& f : options.founders) {
    if (!f.node || !nodes.insert(f.node).second)
      return fail(Errc::invalid, "founders: node " + f.node.to_string() + " twice, or 0");
  }
  if (!nodes.contains(self))
    return fail(Errc::invalid, "founders: node " + self.to_string() + " is not among them");
  if (nodes.size() > raft::k_voters_max)
    return fail(Errc::invalid, "founders: at most " + std::to_string(raft::k_voters_max));
  return {};
}

}  // namespace bascule::controller

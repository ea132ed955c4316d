// World `cluster`: one to seven whole brokers with real controllers, each a process on a machine and a disk of its
// own, over byte streams; clients at broker/api.h, an operator who changes the membership and replaces disks.
#pragma once

#include "sim/worlds/world.h"

namespace bascule::sim {

class ClusterWorld final : public WorldType {
 public:
  std::string_view name() const override { return "cluster"; }
  Plan expand(uint64_t seed) const override;
  Outcome run(const Plan& plan, const RunOptions& options) const override;
};

}  // namespace bascule::sim

// World `raft`: one to seven members, each with the real store on a simulated disk, the machine and its driver,
// over byte streams; clients that propose and read, an operator that changes the membership.
#pragma once

#include "sim/worlds/world.h"

namespace bascule::sim {

class RaftWorld final : public WorldType {
 public:
  std::string_view name() const override { return "raft"; }
  Plan expand(uint64_t seed) const override;
  Outcome run(const Plan& plan, const RunOptions& options) const override;
};

}  // namespace bascule::sim

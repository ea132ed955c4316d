// World `broker`: one broker on one machine, with clients over broker/api.h.
//
// The plan says when clients create, delete, publish and subscribe, when the broker is stopped cleanly,
// and what its disk, its process and its clocks suffer. After each start everything is read and held
// against the ledger; at the end all is healed, everything must be there and every partition must take a
// publish, and a clean stop and one more start must change nothing.
#pragma once

#include "sim/worlds/world.h"

namespace bascule::sim {

class BrokerWorld final : public WorldType {
 public:
  std::string_view name() const override { return "broker"; }
  Plan expand(uint64_t seed) const override;
  Outcome run(const Plan& plan, const RunOptions& options) const override;
};

}  // namespace bascule::sim

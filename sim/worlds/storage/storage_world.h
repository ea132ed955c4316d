// World `storage`: the logs of one data directory alone, under crashes of both kinds and failing disks.
#pragma once

#include "sim/worlds/world.h"

namespace bascule::sim {

class StorageWorld final : public WorldType {
 public:
  std::string_view name() const override { return "storage"; }
  Plan expand(uint64_t seed) const override;
  Outcome run(const Plan& plan, const RunOptions& options) const override;
};

}  // namespace bascule::sim

// World `files`: one process that replaces small files and writes synced blocks, under crashes and failing
// disks. It shows that the tools of src/env keep the promises that all state below the log is built on,
// and that the disk model keeps its own.
#pragma once

#include "sim/worlds/world.h"

namespace bascule::sim {

class FilesWorld final : public WorldType {
 public:
  std::string_view name() const override { return "files"; }
  Plan expand(uint64_t seed) const override;
  Outcome run(const Plan& plan, const RunOptions& options) const override;
};

}  // namespace bascule::sim

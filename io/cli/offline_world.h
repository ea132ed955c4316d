// A world to look at a stopped broker's directory in: nothing runs but the command's own operations.
#pragma once

#include <memory>
#include <string>

#include "io/asio_loop.h"
#include "src/env/world.h"

namespace bascule::cli {

class OfflineWorld {
 public:
  // With `root` as the data directory, which is there. Errors: those of make_disk.
  static Result<std::unique_ptr<OfflineWorld>> open(const std::string& root);
  ~OfflineWorld();
  OfflineWorld(const OfflineWorld&) = delete;
  OfflineWorld& operator=(const OfflineWorld&) = delete;

  io::AsioLoop& loop();
  env::World& world();

 private:
  struct Parts;
  explicit OfflineWorld(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace bascule::cli

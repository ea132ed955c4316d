#include "io/cli/offline_world.h"

#include <optional>
#include <utility>

#include "io/asio_network.h"
#include "io/entropy.h"
#include "io/log_tracer.h"
#include "io/make_disk.h"

namespace bascule::cli {

// The loop is made first, the disk belongs to it.
struct OfflineWorld::Parts {
  io::AsioLoop loop;
  std::unique_ptr<env::Disk> disk;
  io::AsioNetwork network{loop};
  Prng random{io::random_seed()};
  io::LogTracer trace{TraceLevel::error};
  std::optional<env::World> world;
};

Result<std::unique_ptr<OfflineWorld>> OfflineWorld::open(const std::string& root) {
  auto parts = std::make_unique<Parts>();
  BASCULE_TRY_ASSIGN(auto made, io::make_disk(parts->loop, root, io::DiskChoice::thread_pool));
  parts->disk = std::move(made.disk);
  parts->world.emplace(parts->loop, *parts->disk, parts->network, parts->random, parts->trace);
  return std::unique_ptr<OfflineWorld>(new OfflineWorld(std::move(parts)));
}

OfflineWorld::OfflineWorld(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
OfflineWorld::~OfflineWorld() = default;
io::AsioLoop& OfflineWorld::loop() { return parts_->loop; }
env::World& OfflineWorld::world() { return *parts_->world; }

}  // namespace bascule::cli

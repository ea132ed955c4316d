#include "io/make_disk.h"

#include <cstring>
#include <optional>
#include <utility>

#include "io/data_directory.h"
#include "io/entropy.h"
#include "io/thread_pool_disk.h"
#include "io/uring_disk.h"

namespace bascule::io {
namespace {

// Runs the loop for one operation. Nothing else has been started on it yet.
template <class T, class F>
Result<T> wait(AsioLoop& loop, F start) {
  std::optional<Result<T>> result;
  start(env::Done<T>([&result](Result<T> r) { result.emplace(std::move(r)); }));
  if (!loop.run_until([&result] { return result.has_value(); }, seconds(30)))
    return fail(Errc::io_error, "the disk does not answer");
  return std::move(*result);
}

// One direct synced write through all that production uses. What fails here would fail in the log.
Status try_write(AsioLoop& loop, UringDisk& disk, const std::string& name) {
  BASCULE_TRY_ASSIGN(const std::unique_ptr<env::File> file,
                     wait<std::unique_ptr<env::File>>(loop, [&](auto done) {
                       disk.open(name, env::OpenMode::create_or_open, std::move(done));
                     }));
  // Its name goes before anything else, so that a crash here leaves nothing behind.
  BASCULE_TRY(wait<void>(loop, [&](auto done) { disk.remove(name, std::move(done)); }));
  BufferRef block = BufferRef::allocate(env::k_block_bytes, env::k_block_bytes);
  std::memset(block.mutable_bytes().data(), 0, block.size());
  return wait<void>(
      loop, [&](auto done) { file->write_at(0, {Slice(block)}, env::Sync::yes, std::move(done)); });
}

Result<std::unique_ptr<env::Disk>> make_uring_disk(AsioLoop& loop, const std::string& path) {
  BASCULE_TRY_ASSIGN(DataDirectory directory, DataDirectory::open(path));
  BASCULE_TRY_ASSIGN(std::unique_ptr<Uring> ring, Uring::make(loop));
  auto disk = std::make_unique<UringDisk>(loop, std::move(directory), std::move(ring));
  // A name of this life's own: the directory is not locked yet, another process may work in it.
  const std::string name = "probe-" + Uuid{{random_seed(), random_seed()}}.to_string();
  BASCULE_TRY(try_write(loop, *disk, name));
  return disk;
}

}  // namespace

Result<MadeDisk> make_disk(AsioLoop& loop, const std::string& path, DiskChoice choice) {
  MadeDisk made;
  if (choice != DiskChoice::thread_pool) {
    auto disk = make_uring_disk(loop, path);
    if (disk) return MadeDisk{std::move(*disk), {}};
    if (choice == DiskChoice::uring) return fail(std::move(disk.error()));
    made.fallback_reason = disk.error().to_string();
  }
  BASCULE_TRY_ASSIGN(DataDirectory directory, DataDirectory::open(path));
  made.disk = std::make_unique<ThreadPoolDisk>(loop, std::move(directory));
  return made;
}

}  // namespace bascule::io

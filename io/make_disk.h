// Picks the disk that this machine and this file system can run.
#pragma once

#include <memory>
#include <string>

#include "io/asio_loop.h"
#include "src/env/disk.h"

namespace bascule::io {

enum class DiskChoice : uint8_t {
  automatic,  // io_uring where a direct synced write through it works, else the thread pool
  uring,      // or an error
  thread_pool,
};

struct MadeDisk {
  std::unique_ptr<env::Disk> disk;
  // Why it is not io_uring, where it was asked for by `automatic`; empty otherwise.
  std::string fallback_reason;
};

// The disk of the data directory `path`, which is made where absent. Blocks: for the start of a program.
Result<MadeDisk> make_disk(AsioLoop& loop, const std::string& path, DiskChoice choice);

}  // namespace bascule::io

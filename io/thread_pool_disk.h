// The disk for systems that forbid io_uring, and for file systems without direct writes: buffered writes,
// then fdatasync, on a few threads. Same contract as UringDisk; a synced write costs a hand-off to a thread
// and back, and a copy into the page cache. The syncs of one file wait for one another (sync_latch.h).
#pragma once

#include "io/files_disk.h"

namespace bascule::io {

class ThreadPoolDisk final : public FilesDisk {
 public:
  ThreadPoolDisk(AsioLoop& loop, DataDirectory directory);

  void open(std::string path, env::OpenMode mode,
            env::Done<std::unique_ptr<env::File>> done) override;
  std::string_view kind() const override { return "thread pool"; }

 private:
  std::shared_ptr<WorkerPool> transfers_;
};

}  // namespace bascule::io

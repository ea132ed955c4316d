// The disk of production: io_uring from the loop's own thread, synced writes direct.
//
// A writable file is open twice: O_DIRECT | O_DSYNC for Sync::yes, and plainly (the page cache) for all
// else. A synced write is one request to the device, without a copy and without a flush of its own where
// the blocks are already written. Writing synced into blocks that were only reserved, or past the end, costs
// a commit of the file system's journal too (measured on ext4: 345 µs against 113 µs for 4 KiB): whoever
// writes much writes over old blocks, by recycling its files.
//
// Which descriptor reads. A direct write first writes back dirty cached pages of its range, and drops all
// cached pages of it before and after the transfer; a direct read first writes back dirty pages of its
// range. So each descriptor sees what completed on the other. What the kernel does not promise is a cached
// read that runs at the same time as a direct write of the same page: it may leave an old page behind if
// the second drop fails. A handle that has written direct therefore reads direct too (aligned, into an
// aligned buffer). Handles that have not written direct read by the page cache: cold segments, small files.
#pragma once

#include <memory>

#include "io/files_disk.h"
#include "io/uring.h"

namespace bascule::io {

class UringDisk final : public FilesDisk {
 public:
  UringDisk(AsioLoop& loop, DataDirectory directory, std::unique_ptr<Uring> ring);

  void open(std::string path, env::OpenMode mode,
            env::Done<std::unique_ptr<env::File>> done) override;
  std::string_view kind() const override { return "io_uring direct"; }

 private:
  std::shared_ptr<Uring> ring_;
};

}  // namespace bascule::io

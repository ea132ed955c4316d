// The disk of one broker: everything below its data directory.
//
// Paths are relative to the data directory, with '/' between names ("logs/7/manifest"). A name is at
// most 255 bytes; "." and ".." are refused as `invalid`.
//
// Crash contract, tested on the real and the simulated disk by one conformance suite:
//  - Bytes that were written and not synced may, after a machine crash, be lost, kept, torn or
//    reordered in any subset. A 512-byte sector is old or new; nothing larger is atomic.
//  - A file's name, a rename and a removal are durable only after `sync_dir` of the directory. A
//    rename is atomic for those who look: the old file or the new one.
//  - Size and bytes of a file are durable after a successful `sync`, or when a write with
//    `Sync::yes` has completed (that write's bytes, and the size it needs, alone).
//  - After a failed `sync`, or a failed write with `Sync::yes`, nothing unsynced of that file may be
//    trusted and no later sync makes it so: the process ends (`Loop::fail_stop`). Never retried.
//  - A process crash keeps what was written to the page cache; a machine crash does not. A write with
//    `Sync::yes` that was in flight at either may land, whole or in part; after a process crash it may
//    land *later*, while the next life runs.
//  - `reserve` makes room: later writes inside it never answer `no_space`.
//
// Operations on one file may overlap; they may be performed in any order unless one completed before
// the other began. Completions of one file come in any order.
//
// Errors: `not_found`, `already_exists`, `no_space` (nothing partial stays reserved), `io_error` (the
// medium failed; for a read: these bytes cannot be had now), `invalid` (a path or an alignment),
// `overloaded` (open and list alone: no descriptor is free; nothing has happened, and nothing is said
// about what is there).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/bytes.h"
#include "src/env/loop.h"

namespace bascule::env {

inline constexpr uint64_t k_sector_bytes = 512;
// Direct synced writes start and end on multiples of this, from memory aligned to it.
inline constexpr uint64_t k_block_bytes = 4096;

enum class Sync : uint8_t {
  no,   // into the page cache; durable after `sync`
  yes,  // durable when complete; position, sizes and memory are multiples of k_block_bytes
};

enum class OpenMode : uint8_t {
  read_only,       // must exist
  read_write,      // must exist
  create_new,      // read and write; must not exist
  create_or_open,  // read and write
};

struct DirEntry {
  std::string name;
  bool is_directory = false;
  uint64_t size = 0;  // bytes, files only

  bool operator==(const DirEntry&) const = default;
};

class File {
 public:
  // Destroying a file closes it once its operations have ended; their completions are dropped.
  virtual ~File() = default;

  // Writes the pieces one after the other from `position`; grows the file where needed. Completes when
  // all bytes are written: a short write is continued. The pieces are kept alive until then.
  virtual void write_at(uint64_t position, std::vector<Slice> pieces, Sync sync,
                        Done<void> done) = 0;
  // Reads [position, position + size), shorter at the end of the file (an empty slice: at or past it).
  virtual void read_at(uint64_t position, size_t size, Done<Slice> done) = 0;
  // Makes durable all that was written, and the size, before the call.
  virtual void sync(Done<void> done) = 0;
  // Allocates blocks for [0, size) and makes the file at least that long; new bytes read as zeros
  // (but see the crash contract: they may read as anything written and not synced). Not durable by itself.
  virtual void reserve(uint64_t size, Done<void> done) = 0;
  // Cuts or extends the file to `size`. Durable after `sync`.
  virtual void truncate(uint64_t size, Done<void> done) = 0;
  virtual void size(Done<uint64_t> done) = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;

  virtual void open(std::string path, OpenMode mode, Done<std::unique_ptr<File>> done) = 0;
  // Makes the directory and those above it; one that exists is success.
  virtual void make_dir(std::string path, Done<void> done) = 0;
  // Entries of a directory ("" is the data directory), sorted by name.
  virtual void list(std::string path, Done<std::vector<DirEntry>> done) = 0;
  // Replaces `to` atomically where it exists. Directories too; `to` must then be absent or empty.
  virtual void rename(std::string from, std::string to, Done<void> done) = 0;
  // A file, or an empty directory.
  virtual void remove(std::string path, Done<void> done) = 0;
  // Makes durable the names in the directory.
  virtual void sync_dir(std::string path, Done<void> done) = 0;
  // Bytes that can still be written, for limits and alarms.
  virtual void free_bytes(Done<uint64_t> done) = 0;
  // Takes the exclusive lock of the data directory for this process's life. Waits up to 10 s (the kernel
  // may hold a dead process's lock for a moment), then `busy`.
  virtual void lock(Done<void> done) = 0;

  // Changes when the machine starts, and only then: an equal one proves that the page cache survived.
  virtual Uuid boot_id() const = 0;
  // "io_uring direct", "thread pool", "simulated": for logs and diagnosis.
  virtual std::string_view kind() const = 0;
};

// Whole small files, by the operations above. Reads at most `bytes_max` (`too_large` beyond).
void read_file(Disk& disk, std::string path, uint64_t bytes_max, Done<Slice> done);
// Replaces `path` atomically: new file `path` + ".new", sync, rename, sync_dir of `directory`. On
// success the new contents are durable. An error before the rename leaves the old file as it was.
void replace_file(Disk& disk, std::string directory, std::string name, Slice contents,
                  Done<void> done);

}  // namespace bascule::env

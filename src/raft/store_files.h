// The files of a Raft store, in their two places: `a` and `b` below its directory.
//
// What must be durable is written to both places before anything depends on it. The manifest says what is the
// log: a change prepares the new manifest in both places, synced, and only then renames; so a full disk
// refuses a change as a whole, and of two manifests the later one counts.
//
// Errors: `no_space` is an answer, and nothing has changed. Every other error of a write or a sync ends the
// process (Loop::fail_stop): what was not synced can no longer be trusted.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/env/coroutine.h"
#include "src/env/world.h"
#include "src/raft/disk_store.h"
#include "src/raft/store_format.h"

namespace bascule::raft {

using env::call;
using env::Co;

inline constexpr size_t k_places = 2;

struct OpenSegment {
  SegmentEntry entry;
  std::array<std::unique_ptr<env::File>, k_places> files;
  uint64_t reserved = 0;  // in both places
  uint64_t position = 0;  // of the next group
  uint64_t sequence = 1;  // its number

  // As a manifest lists it when all that was written is durable.
  SegmentEntry as_of_now() const {
    SegmentEntry now = entry;
    now.groups = sequence - 1;
    return now;
  }
};

// Blocks that are kept back on the disk.
enum class Reserve : uint8_t {
  general,     // for entries that cannot be refused, and to lend
  hard_state,  // for a term or a vote alone
};
inline constexpr size_t k_reserves = 2;
// A segment that is begun for a hard state on a full disk has this much, in each place, and so much of a
// segment is never given to entries.
inline constexpr uint64_t k_hard_state_extent = 64 << 10;

class StoreFiles {
 public:
  StoreFiles(env::World& world, DiskStoreOptions options)
      : world_(world), options_(std::move(options)) {}
  StoreFiles(const StoreFiles&) = delete;
  StoreFiles& operator=(const StoreFiles&) = delete;

  const StoreManifest& manifest() const { return manifest_; }
  const DiskStoreOptions& options() const { return options_; }
  env::World& world() { return world_; }
  // A file id that no file has had.
  uint64_t next_file() { return next_file_++; }

  // Makes the directories, where one is missing, and makes durable what is visible in them.
  Co<void> make_directories();
  // The later one of the readable manifests. `not_found`: there is none in either place; `corrupt`: none
  // can be read; `unsupported`.
  Co<void> read_manifest(Uuid storage);
  // `corrupt`: a log that was opened before, or something unreadable, is in the directory.
  Co<void> check_unused();
  // A manifest for a new log; nothing is written.
  void begin_manifest(Uuid storage) { manifest_.storage = storage; }
  // Durable in both places when complete, under the next generation; then what it lists no more is removed.
  Co<void> install(StoreManifest next);

  // Whole files; a copy that is missing or unreadable is empty, and unreadable blocks are zeros.
  Co<std::array<Slice, k_places>> read_copies(std::string name, uint64_t bytes_max);

  // An empty segment with space for its first groups; its names are durable.
  Co<OpenSegment> create_segment(Index first, uint64_t reserve);
  // Space for all below `end`, in both places.
  Co<void> extend(OpenSegment& segment, uint64_t end);
  // Writes the group at segment.position and moves on. Durable in both places when complete.
  Co<void> write_group(OpenSegment& segment, const HardState& hard, Index first,
                       const std::vector<Entry>& entries);
  // Durable in both places, name and all.
  Co<SnapshotEntry> write_snapshot(const Snapshot& snapshot);
  // What was created and is not listed. Errors are left for the next start.
  Co<void> discard(const OpenSegment& segment);
  Co<void> discard(const SnapshotEntry& snapshot);

  // Removes what the manifest does not list, in both places.
  Co<void> remove_unlisted();

  // Held from make_reserve to release_reserve. A hard state's may be smaller than asked for.
  bool reserve_held(Reserve which) const { return reserve_held_[static_cast<size_t>(which)]; }
  Co<void> make_reserve(Reserve which);
  Co<void> release_reserve(Reserve which);

  // Ends the process unless it is no_space. Gives the error back.
  Error judged(Error e);
  Status judged(Status s);

 private:
  std::string place(size_t i) const { return options_.directory + (i == 0 ? "/a" : "/b"); }
  std::string path(size_t i, const std::string& name) const { return place(i) + "/" + name; }

  Co<Slice> read_copy(std::string path, uint64_t bytes_max);
  std::string reserve_path(Reserve which) const;
  Co<void> write_new_file(std::string path, const std::vector<Slice>& pieces);
  Co<void> remove_in_both(std::string name);
  Co<void> remove_file(std::string path);
  Co<void> sync_dir(std::string path);

  env::World& world_;
  const DiskStoreOptions options_;
  StoreManifest manifest_;
  uint64_t next_file_ = 1;
  std::array<bool, k_reserves> reserve_held_{};
};

// Starts an operation for each place, and completes when all have: with the first error.
env::Done<void> join_places(env::Done<void> done, size_t count = k_places);
template <class F>
auto in_both_places(F start) {
  return call<void>([start = std::move(start)](env::Done<void> done) mutable {
    auto joined = std::make_shared<env::Done<void>>(join_places(std::move(done)));
    for (size_t i = 0; i < k_places; ++i)
      start(i, env::Done<void>([joined](Status s) { (*joined)(std::move(s)); }));
  });
}

}  // namespace bascule::raft

// As BASCULE_TRY, in a coroutine.
#define BASCULE_CO_TRY(expression)                                  \
  do {                                                              \
    if (auto co_try_result_ = (expression); !co_try_result_)        \
      co_return ::bascule::fail(std::move(co_try_result_.error())); \
  } while (false)

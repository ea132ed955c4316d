// What one machine's data directory holds, without time: the view that processes see (page cache), the
// durable image below it, and what lies between the two in order.
//
// A file has a visible image, a durable image, and pending changes: writes and size changes that are
// visible and not durable. A directory has visible and durable entries, and the storage one ordered list of
// pending name changes. A crash chooses which pending changes survive: each sector takes a prefix of the
// changes that touch it, the size a prefix of the size changes, names any subset that is consistent.
// Copies are cheap (pages are shared), so oracles recover copies while the run goes on.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/world/chooser.h"
#include "sim/world/image.h"
#include "src/env/disk.h"

namespace bascule::sim {

using InodeId = uint64_t;  // 0: none; 1: the data directory

// What a failed sync does to what it should have made durable.
enum class SyncFailure : uint8_t {
  kept_dirty,  // pages stay dirty: a later sync may succeed
  marked_clean,  // some were written, the rest is marked clean: readable until the machine crashes, and
                 // no later sync writes it
  dropped,       // the same, but what was not written is gone from the cache at once
};

class Storage {
 public:
  struct FileRange {
    InodeId inode = 0;
    uint64_t position = 0;
    uint64_t size = 0;
  };

  explicit Storage(uint64_t bytes_max = UINT64_MAX);

  // --- Names. Paths as in env::Disk; `invalid`, `not_found`, `already_exists` as there.
  Result<InodeId> open(std::string_view path, env::OpenMode mode);
  Status make_dir(std::string_view path);
  Result<std::vector<env::DirEntry>> list(std::string_view path) const;
  Status rename(std::string_view from, std::string_view to);
  Status remove(std::string_view path);
  // Makes durable the changes of names in `path` up to `sequence`.
  Status sync_dir(std::string_view path, uint64_t sequence);
  Result<InodeId> find(std::string_view path) const;
  // The path that shows `inode`; empty: none.
  std::string path_of(InodeId inode) const;
  bool same_directory(std::string_view path, InodeId inode) const;

  // --- Files. An open file is counted, so that a removed one lives until it is closed.
  void retain(InodeId inode);
  void release(InodeId inode);
  bool exists(InodeId inode) const { return inodes_.contains(inode); }
  uint64_t size(InodeId inode) const { return file(inode).visible.size(); }
  Slice read(InodeId inode, uint64_t position, size_t size) const;
  Status write_cached(InodeId inode, uint64_t position, ByteView bytes);
  Status write_direct(InodeId inode, uint64_t position, ByteView bytes);
  // Room for a write at [position, position + size), or `no_space`.
  Status make_room(InodeId inode, uint64_t end);
  Status reserve(InodeId inode, uint64_t size);
  void truncate(InodeId inode, uint64_t size);
  // Makes durable the changes of the file up to `sequence`.
  void sync(InodeId inode, uint64_t sequence);
  void fail_sync(InodeId inode, uint64_t sequence, SyncFailure failure, Chooser& chooser);
  // The number of the last change of anything.
  uint64_t sequence() const { return sequence_; }

  uint64_t free_bytes() const;
  void set_bytes_max(uint64_t bytes) { bytes_max_ = bytes; }
  uint64_t bytes_max() const { return bytes_max_; }

  // --- Crashes.
  // A direct write in flight when the machine goes down.
  struct Flight {
    InodeId inode = 0;
    uint64_t position = 0;
    Slice bytes;
    bool direct = false;
  };
  // Becomes one legal image: nothing is pending or open afterwards. `address` makes the choices of this
  // crash its own.
  void crash(Chooser& chooser, uint64_t address, const std::vector<Flight>& flights = {});
  // A copy after such a crash: the run is not disturbed.
  Storage crash_image(Chooser& chooser, uint64_t address,
                      const std::vector<Flight>& flights = {}) const;
  // A legal image in which nothing unsynced survives.
  Storage worst_image() const;
  // Number of pending changes, of files and of names.
  size_t pending() const;

  // --- Damage.
  // Flips bits of the byte at `position`, in the medium and in the cache.
  void flip(InodeId inode, uint64_t position, uint8_t mask);
  // Reads of the sector fail until it is written again.
  void spoil_sector(InodeId inode, uint64_t sector);
  bool spoiled(InodeId inode, uint64_t position, uint64_t size) const;
  // The directory and all below it is gone, durably.
  Status lose_directory(std::string_view path);
  std::vector<std::string> files() const;        // paths, sorted
  std::vector<std::string> directories() const;  // paths, sorted; without the data directory itself

  // Of all that is here and all that a crash may leave of it; see storage_hash.cc.
  Uuid state_hash() const;
  // Same names, sizes and bytes, as processes see them.
  bool same_view(const Storage& other) const;

 private:
  using Entries = std::map<std::string, InodeId, std::less<>>;

  struct Change {
    uint64_t sequence = 0;
    enum class Kind : uint8_t { write, resize } kind = Kind::write;
    // A direct write that is durable; it is here because an earlier change is not.
    bool durable = false;
    uint64_t position = 0;  // of a write; else the new size
    uint64_t old_size = 0;  // of a resize
    Slice bytes;
    uint64_t end() const { return position + bytes.size(); }
  };
  struct Inode {
    bool directory = false;
    // Directories.
    Entries entries;
    Entries durable_entries;
    // Files.
    Image visible;
    Image durable;
    std::vector<Change> pending;
    std::set<uint64_t> spoiled_sectors;
    // The images differ by more than what is pending: pages must not be shared between them.
    bool diverged = false;
    uint64_t reserved = 0;  // bytes with blocks below them, from the file's start
    uint32_t links = 0;     // visible names
    uint32_t opens = 0;
    bool charged = true;  // its blocks count as used
  };
  struct NameChange {
    uint64_t sequence = 0;
    InodeId inode = 0;
    // Vacated name; from_directory 0: none (a creation).
    InodeId from_directory = 0;
    std::string from;
    // Taken name; to_directory 0: none (a removal).
    InodeId to_directory = 0;
    std::string to;
  };
  struct Place {
    InodeId directory = 0;
    std::string name;   // empty: the data directory itself
    InodeId inode = 0;  // 0: the name is free
  };

  Inode& file(InodeId inode);
  const Inode& file(InodeId inode) const;
  Result<Place> resolve(std::string_view path) const;
  InodeId add_inode(bool directory);
  void link(InodeId directory, const std::string& name, InodeId inode);
  void unlink(InodeId directory, const std::string& name);
  static uint64_t blocks(const Inode& inode);
  void recharge(Inode& inode, uint64_t before);
  void maybe_discharge(Inode& inode);
  void apply_durably(const NameChange& change);
  void crash_file(InodeId id, Inode& inode, Chooser& chooser, uint64_t address);
  void crash_names(Chooser& chooser, uint64_t address);
  void keep_some(Inode& inode, std::vector<Change>& changes, Chooser& chooser, uint64_t address,
                 Image& image) const;
  static void apply(const Change& change, Image& image);
  void collect_garbage();
  void walk(InodeId directory, const std::string& prefix, bool directories,
            std::vector<std::string>& out) const;
  bool same_tree(const Storage& other, InodeId mine, InodeId theirs) const;

  std::map<InodeId, Inode> inodes_;
  std::vector<NameChange> names_;
  InodeId next_inode_ = 2;
  uint64_t sequence_ = 0;
  uint64_t bytes_max_;
  uint64_t used_bytes_ = 0;
};

}  // namespace bascule::sim

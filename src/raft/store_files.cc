#include "src/raft/store_files.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "src/base/crc32c.h"

namespace bascule::raft {
namespace {

constexpr std::string_view k_manifest = "manifest";
constexpr std::string_view k_manifest_new = "manifest.new";

using FileResult = std::unique_ptr<env::File>;

// `path` lives until the completion. Functions that are awaited capture nothing but references and
// numbers: g++ 12 destroys other captures twice.
auto open(env::Disk& disk, const std::string& path, env::OpenMode mode) {
  return call<FileResult>(
      [&disk, &path, mode](env::Done<FileResult> done) { disk.open(path, mode, std::move(done)); });
}

}  // namespace

env::Done<void> join_places(env::Done<void> done, size_t count) {
  return [done = std::move(done), left = count, first = Status()](Status s) mutable {
    if (first && !s) first = std::move(s);
    if (--left == 0) done(std::move(first));
  };
}

Error StoreFiles::judged(Error e) {
  if (e.code != Errc::no_space) world_.loop.fail_stop(e);
  return e;
}

Status StoreFiles::judged(Status s) {
  if (!s) return fail(judged(std::move(s.error())));
  return s;
}

// --- Directories and names -------------------------------------------------------------------------

Co<void> StoreFiles::sync_dir(std::string path) {
  auto synced = co_await call<void>(
      [this, &path](env::Done<void> done) { world_.disk.sync_dir(path, std::move(done)); });
  co_return judged(std::move(synced));
}

Co<void> StoreFiles::make_directories() {
  for (size_t i = 0; i < k_places; ++i) {
    const std::string directory = place(i);
    auto made = co_await call<void>([this, &directory](env::Done<void> done) {
      world_.disk.make_dir(directory, std::move(done));
    });
    if (!made) co_return made;
  }
  // What a dead life made, renamed or removed is visible, and perhaps not durable.
  const std::vector<std::string> paths = {"", options_.directory, place(0), place(1)};
  for (size_t i = 0; i < paths.size(); ++i) BASCULE_CO_TRY(co_await sync_dir(paths[i]));
  co_return Status();
}

Co<void> StoreFiles::remove_file(std::string path) {
  auto removed = co_await call<void>(
      [this, &path](env::Done<void> done) { world_.disk.remove(path, std::move(done)); });
  if (!removed && removed.error().code == Errc::not_found) co_return Status();
  co_return removed;
}

Co<void> StoreFiles::remove_unlisted() {
  std::set<std::string> listed = {std::string(k_manifest)};
  for (const SegmentEntry& s : manifest_.segments) listed.insert(segment_name(s.file));
  if (manifest_.snapshot) listed.insert(snapshot_name(manifest_.snapshot->file));
  for (size_t i = 0; i < k_places; ++i) {
    const std::string directory = place(i);
    auto entries = co_await call<std::vector<env::DirEntry>>(
        [this, &directory](auto done) { world_.disk.list(directory, std::move(done)); });
    if (!entries) co_return fail(std::move(entries.error()));
    for (size_t k = 0; k < entries->size(); ++k) {
      if ((*entries)[k].is_directory || listed.contains((*entries)[k].name)) continue;
      BASCULE_CO_TRY(co_await remove_file(path(i, (*entries)[k].name)));
    }
  }
  co_return Status();
}

// --- Reading ---------------------------------------------------------------------------------------

Co<Slice> StoreFiles::read_copy(std::string path, uint64_t bytes_max) {
  auto file = co_await open(world_.disk, path, env::OpenMode::read_only);
  if (!file) co_return fail(std::move(file.error()));
  env::File& f = **file;
  auto size = co_await call<uint64_t>([&f](env::Done<uint64_t> done) { f.size(std::move(done)); });
  if (!size) co_return fail(std::move(size.error()));
  const auto bytes = static_cast<size_t>(std::min(*size, bytes_max));
  auto whole = co_await call<Slice>(
      [&f, bytes](env::Done<Slice> done) { f.read_at(0, bytes, std::move(done)); });
  if (whole || whole.error().code != Errc::io_error) co_return whole;
  // Some block cannot be had: the others still count.
  BufferRef buffer = BufferRef::allocate(bytes, k_group_alignment);
  std::memset(buffer.mutable_bytes().data(), 0, bytes);
  for (size_t at = 0; at < bytes; at += k_group_alignment) {
    const size_t n = std::min<size_t>(k_group_alignment, bytes - at);
    auto piece = co_await call<Slice>(
        [&f, at, n](env::Done<Slice> done) { f.read_at(at, n, std::move(done)); });
    if (piece && !piece->empty())
      std::memcpy(buffer.mutable_bytes().data() + at, piece->data(), piece->size());
  }
  co_return Slice(std::move(buffer));
}

Co<std::array<Slice, k_places>> StoreFiles::read_copies(std::string name, uint64_t bytes_max) {
  std::array<Slice, k_places> out;
  for (size_t i = 0; i < k_places; ++i) {
    auto copy = co_await read_copy(path(i, name), bytes_max);
    if (copy) out[i] = std::move(*copy);
  }
  co_return out;
}

// A manifest that was opened once is beyond the first generation: commands may depend on it.
Co<void> StoreFiles::check_unused() {
  for (size_t i = 0; i < k_places; ++i) {
    auto bytes = co_await read_copy(path(i, std::string(k_manifest)), k_manifest_bytes_max);
    if (!bytes && bytes.error().code == Errc::not_found) continue;
    if (!bytes) co_return fail(std::move(bytes.error()));
    auto manifest = decode_manifest(*bytes);
    if (!manifest || manifest->generation > 1)
      co_return fail(Errc::corrupt, path(i, std::string(k_manifest)) + " is of a store in use");
  }
  co_return Status();
}

Co<void> StoreFiles::read_manifest(Uuid storage) {
  Status problem = fail(Errc::not_found, "no raft store in " + options_.directory);
  bool found = false;
  for (size_t i = 0; i < k_places; ++i) {
    auto bytes = co_await read_copy(path(i, std::string(k_manifest)), k_manifest_bytes_max);
    if (!bytes) {
      if (bytes.error().code != Errc::not_found) problem = fail(std::move(bytes.error()));
      continue;
    }
    auto manifest = decode_manifest(*bytes);
    if (!manifest) {
      if (manifest.error().code == Errc::unsupported) co_return fail(std::move(manifest.error()));
      problem = fail(std::move(manifest.error()));
      continue;
    }
    if (manifest->storage != storage) {
      problem = fail(Errc::corrupt, path(i, std::string(k_manifest)) + " is of another storage");
      continue;
    }
    if (!found || manifest->generation > manifest_.generation) manifest_ = std::move(*manifest);
    found = true;
  }
  if (!found) co_return problem;
  // Names that a dead life gave, listed or not, are not given again.
  next_file_ = manifest_.next_file;
  for (size_t i = 0; i < k_places; ++i) {
    const std::string directory = place(i);
    auto entries = co_await call<std::vector<env::DirEntry>>(
        [this, &directory](auto done) { world_.disk.list(directory, std::move(done)); });
    if (!entries && entries.error().code == Errc::not_found) continue;  // that place is lost
    if (!entries) co_return fail(std::move(entries.error()));
    for (const env::DirEntry& e : *entries) {
      if (const auto id = file_id(e.name)) next_file_ = std::max(next_file_, *id + 1);
    }
  }
  co_return Status();
}

// --- Writing ---------------------------------------------------------------------------------------

Co<void> StoreFiles::write_new_file(std::string path, const std::vector<Slice>& bytes) {
  auto file = co_await open(world_.disk, path, env::OpenMode::create_new);
  if (!file) co_return fail(judged(std::move(file.error())));
  env::File& f = **file;
  auto status = co_await call<void>([&f, &bytes](env::Done<void> done) {
    std::vector<Slice> pieces = bytes;
    f.write_at(0, std::move(pieces), env::Sync::no, std::move(done));
  });
  if (status) status = co_await call<void>([&f](env::Done<void> done) { f.sync(std::move(done)); });
  co_return judged(std::move(status));
}

Co<void> StoreFiles::install(StoreManifest next) {
  next.storage = manifest_.storage;
  next.generation = manifest_.generation + 1;
  next.next_file = next_file_;
  const std::vector<Slice> bytes{Slice::copy_of(encode_manifest(next))};
  Status ready;
  for (size_t i = 0; i < k_places && ready; ++i) {
    // Not written over: a write of a dead life may still land in the old one.
    const std::string name = path(i, std::string(k_manifest_new));
    ready = co_await remove_file(name);
    if (ready) ready = co_await write_new_file(name, bytes);
  }
  if (!ready) {
    for (size_t i = 0; i < k_places; ++i)
      (void)co_await remove_file(path(i, std::string(k_manifest_new)));
    co_return ready;
  }
  for (size_t i = 0; i < k_places; ++i) {
    auto renamed = co_await call<void>([this, i](env::Done<void> done) {
      world_.disk.rename(path(i, std::string(k_manifest_new)), path(i, std::string(k_manifest)),
                         std::move(done));
    });
    if (renamed) renamed = co_await sync_dir(place(i));
    if (!renamed) {
      // One place may have it and the other not: there is no way back.
      world_.loop.fail_stop(renamed.error());
      co_return renamed;
    }
  }
  const StoreManifest before = std::exchange(manifest_, std::move(next));
  for (size_t i = 0; i < before.segments.size(); ++i) {
    const SegmentEntry& old = before.segments[i];
    if (!std::ranges::count(manifest_.segments, old.file, &SegmentEntry::file))
      (void)co_await remove_in_both(segment_name(old.file));
  }
  if (before.snapshot && (!manifest_.snapshot || manifest_.snapshot->file != before.snapshot->file))
    (void)co_await remove_in_both(snapshot_name(before.snapshot->file));
  co_return Status();
}

Co<void> StoreFiles::remove_in_both(std::string name) {
  for (size_t i = 0; i < k_places; ++i) (void)co_await remove_file(path(i, name));
  co_return Status();
}

Co<void> StoreFiles::discard(const OpenSegment& segment) {
  co_return co_await remove_in_both(segment_name(segment.entry.file));
}

Co<void> StoreFiles::discard(const SnapshotEntry& snapshot) {
  co_return co_await remove_in_both(snapshot_name(snapshot.file));
}

Co<OpenSegment> StoreFiles::create_segment(Index first, uint64_t reserve) {
  OpenSegment segment;
  segment.entry = {next_file(), world_.random.next(), first, 0};
  const std::string name = segment_name(segment.entry.file);
  Status status;
  for (size_t i = 0; i < k_places && status; ++i) {
    const std::string file_path = path(i, name);
    auto file = co_await open(world_.disk, file_path, env::OpenMode::create_new);
    if (!file) {
      status = fail(judged(std::move(file.error())));
      break;
    }
    segment.files[i] = std::move(*file);
  }
  if (status) status = co_await extend(segment, reserve);
  for (size_t i = 0; i < k_places && status; ++i) {
    env::File& f = *segment.files[i];
    auto synced = co_await call<void>([&f](env::Done<void> done) { f.sync(std::move(done)); });
    status = judged(std::move(synced));
    if (status) status = co_await sync_dir(place(i));
  }
  if (!status) {
    segment.files = {};
    for (size_t i = 0; i < k_places; ++i) (void)co_await remove_file(path(i, name));
    co_return fail(std::move(status.error()));
  }
  co_return segment;
}

Co<void> StoreFiles::extend(OpenSegment& segment, uint64_t end) {
  if (end <= segment.reserved) co_return Status();
  const uint64_t extent = options_.extent_bytes;
  const uint64_t size = (end + extent - 1) / extent * extent;
  auto status = co_await in_both_places([&segment, size](size_t i, env::Done<void> done) {
    segment.files[i]->reserve(size, std::move(done));
  });
  if (status) segment.reserved = size;
  co_return judged(std::move(status));
}

Co<void> StoreFiles::write_group(OpenSegment& segment, const HardState& hard, Index first,
                                 const std::vector<Entry>& entries) {
  const Slice group =
      build_group({segment.entry.nonce, segment.position, segment.sequence}, hard, first, entries);
  ASSERT(segment.position + group.size() <= segment.reserved);
  auto status = co_await in_both_places([&segment, &group](size_t i, env::Done<void> done) {
    std::vector<Slice> pieces;
    pieces.push_back(group);
    segment.files[i]->write_at(segment.position, std::move(pieces), env::Sync::yes,
                               std::move(done));
  });
  if (!status) {
    // Space was reserved: whatever it is, the group may be there in part.
    world_.loop.fail_stop(status.error());
    co_return status;
  }
  segment.position += group.size();
  ++segment.sequence;
  co_return Status();
}

Co<SnapshotEntry> StoreFiles::write_snapshot(const Snapshot& snapshot) {
  const std::vector<Slice> pieces{Slice::copy_of(encode_snapshot_head(snapshot.meta)),
                                  snapshot.data};
  SnapshotEntry entry{next_file(), snapshot.meta.index, pieces[0].size() + pieces[1].size(),
                      crc32c(pieces[1], crc32c(pieces[0]))};
  REQUIRE(entry.bytes <= k_snapshot_bytes_max, entry.bytes);
  const std::string name = snapshot_name(entry.file);
  Status status;
  for (size_t i = 0; i < k_places && status; ++i) {
    status = co_await write_new_file(path(i, name), pieces);
    if (status) status = co_await sync_dir(place(i));
  }
  if (!status) {
    (void)co_await remove_in_both(name);
    co_return fail(std::move(status.error()));
  }
  co_return entry;
}

// --- The reserves ----------------------------------------------------------------------------------

std::string StoreFiles::reserve_path(Reserve which) const {
  return options_.directory + (which == Reserve::general ? "/reserve" : "/reserve.hard");
}

Co<void> StoreFiles::make_reserve(Reserve which) {
  if (reserve_held(which)) co_return Status();
  const std::string name = reserve_path(which);
  auto file = co_await open(world_.disk, name, env::OpenMode::create_or_open);
  if (!file) co_return fail(judged(std::move(file.error())));
  env::File& f = **file;
  const bool general = which == Reserve::general;
  // A hard state's: two segments that are begun for it, with their manifests; at least one.
  uint64_t bytes = general ? options_.reserve_bytes : 8 * k_hard_state_extent;
  Status status;
  while (true) {
    status = co_await call<void>(
        [&f, bytes](env::Done<void> done) { f.reserve(bytes, std::move(done)); });
    if (status || general || bytes == 4 * k_hard_state_extent) break;
    if (status.error().code != Errc::no_space) break;
    bytes = 4 * k_hard_state_extent;
  }
  if (status) status = co_await call<void>([&f](env::Done<void> done) { f.sync(std::move(done)); });
  reserve_held_[static_cast<size_t>(which)] = status.has_value();
  co_return judged(std::move(status));
}

Co<void> StoreFiles::release_reserve(Reserve which) {
  reserve_held_[static_cast<size_t>(which)] = false;
  const std::string name = reserve_path(which);
  co_return co_await remove_file(name);
}

}  // namespace bascule::raft

// A start of a Raft store: reads both copies of everything, and begins a new life in new files.
//
// Nothing is written before the log was judged. The new life's segment holds a copy of all entries beyond the
// snapshot; it and its names are synced, then one manifest change makes it the log. No file of an earlier life
// is written again: writes of a killed process may still land there.
#include <algorithm>
#include <memory>
#include <utility>

#include "src/base/crc32c.h"
#include "src/raft/store_impl.h"
#include "src/raft/store_scan.h"

namespace bascule::raft {
namespace {

// Space for this much is there when a segment begins.
uint64_t first_reserve(const StoreFiles& files) {
  return files.options().extent_bytes + k_hard_state_extent;
}

// The entries, in groups of a usual size.
Co<void> write_tail(StoreFiles& files, OpenSegment& segment, const StoredState& state) {
  Index first = state.snapshot.meta.index.next();
  size_t at = 0;
  while (at < state.entries.size()) {
    std::vector<Entry> group;
    uint64_t bytes = 0;
    while (at < state.entries.size()) {
      const uint64_t size = state.entries[at].data.size();
      if (!group.empty() && bytes + size > files.options().group_bytes_max) break;
      bytes += size;
      group.push_back(state.entries[at++]);
    }
    const size_t count = group.size();
    const uint64_t end = segment.position + group_extent(count, bytes) + k_hard_state_extent;
    BASCULE_CO_TRY(co_await files.extend(segment, end));
    BASCULE_CO_TRY(co_await files.write_group(segment, state.hard, first, group));
    first = Index(first.value + count);
  }
  co_return Status();
}

}  // namespace

DiskStore::DiskStore(env::World& world, DiskStoreOptions options)
    : world_(world),
      files_(world, std::move(options)),
      snapshotting_(world.loop),
      scope_(world.loop) {}

Co<void> DiskStore::read_snapshot(Recovered& found) {
  const auto& listed = files_.manifest().snapshot;
  if (!listed) co_return Status();
  const std::string name = snapshot_name(listed->file);
  auto copies = co_await files_.read_copies(name, k_snapshot_bytes_max);
  if (!copies) co_return fail(std::move(copies.error()));
  bool good = false;
  for (const Slice& copy : *copies) {
    if (copy.size() != listed->bytes || crc32c(copy) != listed->crc) {
      found.snapshot_needs_repair = true;
      continue;
    }
    auto parsed = parse_snapshot(copy);
    if (!parsed) co_return fail(std::move(parsed.error()));
    found.state.snapshot.data = copy.sub(parsed->data_at, copy.size() - parsed->data_at);
    found.state.snapshot.meta = std::move(parsed->meta);
    good = true;
  }
  if (!good) co_return fail(Errc::corrupt, "raft snapshot " + name + " is damaged in both copies");
  if (found.state.snapshot.meta.index != listed->index)
    co_return fail(Errc::corrupt, "raft snapshot " + name + " is of another entry");
  co_return Status();
}

Co<void> DiskStore::read_segments(Recovered& found) {
  const StoreManifest& m = files_.manifest();
  const SnapshotMeta& covered = found.state.snapshot.meta;
  found.state.hard = m.hard;
  Replay replay(m.segments.front().first);
  std::vector<std::array<Slice, k_places>> kept;  // the replay has views of them
  for (size_t i = 0; i < m.segments.size(); ++i) {
    const SegmentEntry& s = m.segments[i];
    auto copies = co_await files_.read_copies(segment_name(s.file), k_segment_bytes_max);
    if (!copies) co_return fail(std::move(copies.error()));
    kept.push_back(std::move(*copies));
    const bool last = i + 1 == m.segments.size();
    auto scan = scan_segment(s, !last || m.clean, {kept.back()[0].view(), kept.back()[1].view()});
    if (!scan) co_return fail(std::move(scan.error()));
    if (scan->groups_in_one_copy > 0) world_.trace.probe("raft.store.one_copy");
    for (const ParsedGroup& group : scan->groups) BASCULE_CO_TRY(replay.apply(group));
    if (last && scan->groups.size() > s.groups) found.state.hard = scan->groups.back().hard;
  }
  if (replay.last() < covered.index || replay.first() > covered.index.next())
    co_return fail(Errc::corrupt, "raft log: has entries " + replay.first().to_string() + " to " +
                                      replay.last().to_string() + ", and its snapshot covers " +
                                      covered.index.to_string());
  const auto skip = static_cast<size_t>(covered.index.next().value - replay.first().value);
  if (skip > 0 && replay.entries()[skip - 1].term != covered.term)
    co_return fail(Errc::corrupt, "raft log: entry " + covered.index.to_string() +
                                      " is not the one that its snapshot covers");
  // Copies: the segments' whole bytes go.
  for (size_t i = skip; i < replay.entries().size(); ++i) {
    const EntryView& e = replay.entries()[i];
    found.state.entries.push_back({e.term, e.kind, Slice::copy_of(e.data)});
  }
  co_return Status();
}

Co<void> DiskStore::begin_life(const Recovered& found) {
  const StoredState& state = found.state;
  StoreManifest next = files_.manifest();
  if (found.snapshot_needs_repair) {
    world_.trace.probe("raft.store.snapshot_repaired");
    auto kept = co_await files_.write_snapshot(state.snapshot);
    if (!kept) co_return fail(std::move(kept.error()));
    next.snapshot = *kept;
  }
  const SnapshotMeta& covered = state.snapshot.meta;
  auto segment = co_await files_.create_segment(covered.index.next(), first_reserve(files_));
  if (!segment) co_return fail(std::move(segment.error()));
  auto status = co_await write_tail(files_, *segment, state);
  if (!status) co_return status;
  next.hard = state.hard;
  next.clean = false;
  next.segments.clear();
  next.segments.push_back(segment->as_of_now());
  status = co_await files_.install(std::move(next));
  if (!status) co_return status;
  adopt(std::move(*segment));
  segment_changes_log_ = !state.entries.empty();
  hard_ = state.hard;
  terms_.reset(covered.index, covered.term);
  for (const Entry& e : state.entries) terms_.append(e.term);
  co_return Status();
}

Co<void> DiskStore::open(DiskStore& store, Uuid storage, OpenedStore& out) {
  StoreFiles& files = store.files_;
  // One place alone may be missing; where both are, nothing is made.
  BASCULE_CO_TRY(co_await files.read_manifest(storage));
  BASCULE_CO_TRY(co_await files.make_directories());
  out.clean = files.manifest().clean;
  Recovered found;
  BASCULE_CO_TRY(co_await store.read_snapshot(found));
  BASCULE_CO_TRY(co_await store.read_segments(found));
  auto begun = co_await store.begin_life(found);
  for (const Reserve which : {Reserve::general, Reserve::hard_state}) {
    if (begun || begun.error().code != Errc::no_space) break;
    // A full disk must not keep a broker from starting: it can still read, vote and delete.
    store.world_.trace.probe("raft.store.start_on_full_disk");
    (void)co_await files.release_reserve(which);
    (void)co_await files.remove_unlisted();
    begun = co_await store.begin_life(found);
  }
  BASCULE_CO_TRY(begun);
  BASCULE_CO_TRY(co_await files.remove_unlisted());
  for (const Reserve which : {Reserve::hard_state, Reserve::general}) {
    auto reserve = co_await files.make_reserve(which);
    if (!reserve && reserve.error().code != Errc::no_space) co_return reserve;
  }
  out.state = std::move(found.state);
  co_return Status();
}

Co<void> DiskStore::format(StoreFiles& files, Uuid storage, const StoredState& initial) {
  BASCULE_CO_TRY(co_await files.make_directories());
  BASCULE_CO_TRY(co_await files.check_unused());
  files.begin_manifest(storage);
  BASCULE_CO_TRY(co_await files.remove_unlisted());  // of a formatting that was cut short
  StoreManifest first;
  first.hard = initial.hard;
  if (initial.snapshot.meta.index) {
    auto kept = co_await files.write_snapshot(initial.snapshot);
    if (!kept) co_return fail(std::move(kept.error()));
    first.snapshot = *kept;
  }
  auto segment =
      co_await files.create_segment(initial.snapshot.meta.index.next(), first_reserve(files));
  if (!segment) co_return fail(std::move(segment.error()));
  auto status = co_await write_tail(files, *segment, initial);
  if (!status) co_return status;
  first.segments.push_back(segment->as_of_now());
  co_return co_await files.install(std::move(first));
}

void format_raft_store(env::World& world, DiskStoreOptions options, Uuid storage,
                       const StoredState& initial, env::Done<void> done) {
  struct Formatting {
    Formatting(env::World& w, DiskStoreOptions o) : files(w, std::move(o)), scope(w.loop) {}
    StoreFiles files;
    env::CoScope scope;
  };
  auto formatting = std::make_shared<Formatting>(world, std::move(options));
  formatting->scope.spawn<void>(
      DiskStore::format(formatting->files, storage, initial),
      [formatting, &world, done = std::move(done)](Status status) mutable {
        world.loop.post([done = std::move(done), status = std::move(status)]() mutable {
          done(std::move(status));
        });
      });
}

void open_raft_store(env::World& world, DiskStoreOptions options, Uuid storage,
                     env::Done<OpenedStore> done) {
  // The scope outlives the opening: it belongs to the completion.
  struct Opening {
    explicit Opening(env::Loop& loop) : scope(loop) {}
    std::unique_ptr<DiskStore> store;
    OpenedStore out;
    env::CoScope scope;
  };
  auto opening = std::make_shared<Opening>(world.loop);
  opening->store = std::make_unique<DiskStore>(world, std::move(options));
  opening->scope.spawn<void>(
      DiskStore::open(*opening->store, storage, opening->out),
      [opening, &world, done = std::move(done)](Status status) mutable {
        Result<OpenedStore> result = fail(Errc::internal);
        if (status) {
          opening->out.store = std::move(opening->store);
          result = std::move(opening->out);
        } else {
          result = fail(std::move(status.error()));
        }
        world.loop.post([done = std::move(done), result = std::move(result)]() mutable {
          done(std::move(result));
        });
      });
}

}  // namespace bascule::raft

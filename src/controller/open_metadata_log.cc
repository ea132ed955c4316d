// A start of the local metadata log: reads both copies of everything, hands the state over, and begins a
// new life in new files.
//
// Nothing is written before the log was judged and handed over. The new life's segment holds a copy of all
// entries beyond the snapshot; it and its names are synced, then one manifest change makes it the log. No
// file of an earlier life is written again: writes of a killed process may still land there.
#include <algorithm>
#include <memory>
#include <utility>

#include "src/base/crc32c.h"
#include "src/controller/local_metadata_log_impl.h"
#include "src/controller/metadata_scan.h"

namespace bascule::controller {

Co<void> LocalMetadataLog::read_snapshot(Recovered& found) {
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
    found.snapshot = copy;
    good = true;
  }
  if (!good)
    co_return fail(Errc::corrupt, "metadata snapshot " + name + " is damaged in both copies");
  co_return Status();
}

Co<void> LocalMetadataLog::read_segments(Recovered& found) {
  const LogManifest& m = files_.manifest();
  const Index covered = m.snapshot ? m.snapshot->index : Index{};
  found.first = covered.next();
  found.last = Index(m.segments.front().first.value - 1);
  for (size_t i = 0; i < m.segments.size(); ++i) {
    const SegmentEntry& s = m.segments[i];
    if (s.first != found.last.next())
      co_return fail(Errc::corrupt, "metadata log " + segment_name(s.file) + ": entries " +
                                        found.last.next().to_string() + " to " +
                                        s.first.to_string() + " before it are gone in both copies");
    auto copies = co_await files_.read_copies(segment_name(s.file), k_segment_bytes_max);
    if (!copies) co_return fail(std::move(copies.error()));
    found.segment_copies.push_back(std::move(*copies));
    const auto& both = found.segment_copies.back();
    auto scan = scan_segment(s, {both[0].view(), both[1].view()});
    if (!scan) co_return fail(std::move(scan.error()));
    if (scan->groups_in_one_copy > 0) world_.trace.probe("controller.metadata_log.one_copy");
    for (const Entry& e : scan->entries) {
      found.last = found.last.next();
      if (found.last > covered) found.entries.push_back(e);
    }
  }
  if (found.last < m.durable || found.last < covered || (m.clean && found.last != m.durable))
    co_return fail(Errc::corrupt, "metadata log " + segment_name(m.segments.back().file) +
                                      ": ends at entry " + found.last.to_string() +
                                      " in both copies, and was durable to " +
                                      std::max(m.durable, covered).to_string());
  co_return Status();
}

Status LocalMetadataLog::hand_over(const Recovered& found) {
  if (files_.manifest().snapshot)
    BASCULE_TRY(committed_.restore(files_.manifest().snapshot->index, found.snapshot));
  Index index = found.first;
  for (const Entry& e : found.entries) {
    BASCULE_TRY(committed_.apply(index, e.term, e.command));
    index = index.next();
  }
  applied_ = written_ = marked_ = found.last;
  return {};
}

Co<void> LocalMetadataLog::write_tail(OpenSegment& segment, const Recovered& found) {
  Index first = found.first;
  size_t at = 0;
  while (at < found.entries.size()) {
    std::vector<Entry> group;
    uint64_t bytes = 0;
    while (at < found.entries.size()) {
      bytes += found.entries[at].command.size();
      if (!group.empty() && bytes > files_.options().group_bytes_max) {
        bytes -= found.entries[at].command.size();
        break;
      }
      group.push_back(found.entries[at++]);
    }
    const size_t count = group.size();
    BASCULE_CO_TRY(co_await files_.extend(segment, segment.position + group_extent(count, bytes)));
    BASCULE_CO_TRY(co_await files_.write_group(segment, group, first));
    first = Index(first.value + count);
  }
  co_return Status();
}

Co<void> LocalMetadataLog::begin_life(Recovered& found) {
  LogManifest next = files_.manifest();
  if (found.snapshot_needs_repair) {
    world_.trace.probe("controller.metadata_log.snapshot_repaired");
    auto kept = co_await files_.write_snapshot(next.snapshot->index, found.snapshot);
    if (!kept) co_return fail(std::move(kept.error()));
    next.snapshot = *kept;
  }
  auto segment = co_await files_.create_segment(found.first, files_.options().extent_bytes);
  if (!segment) co_return fail(std::move(segment.error()));
  auto status = co_await write_tail(*segment, found);
  if (!status) co_return status;
  next.clean = false;
  next.durable = found.last;
  next.segments.clear();
  next.segments.push_back(segment->entry);
  status = co_await files_.install(std::move(next));
  if (status) segment_ = std::move(*segment);
  co_return status;
}

Co<void> LocalMetadataLog::open(LocalMetadataLog& log, Uuid storage) {
  MetadataFiles& files = log.files_;
  // One place alone may be missing; where both are, nothing is made.
  BASCULE_CO_TRY(co_await files.read_manifest(storage));
  BASCULE_CO_TRY(co_await files.make_directories());
  Recovered found;
  BASCULE_CO_TRY(co_await log.read_snapshot(found));
  BASCULE_CO_TRY(co_await log.read_segments(found));
  BASCULE_CO_TRY(log.hand_over(found));
  auto begun = co_await log.begin_life(found);
  if (!begun && begun.error().code == Errc::no_space) {
    // A full disk must not keep a broker from starting: it can still read, and delete.
    log.world_.trace.probe("controller.metadata_log.start_on_full_disk");
    (void)co_await files.release_reserve();
    (void)co_await files.remove_unlisted();
    begun = co_await log.begin_life(found);
  }
  BASCULE_CO_TRY(begun);
  BASCULE_CO_TRY(co_await files.remove_unlisted());
  auto reserve = co_await files.make_reserve();
  if (!reserve && reserve.error().code != Errc::no_space) co_return reserve;
  co_return Status();
}

Co<void> LocalMetadataLog::format(MetadataFiles& files, Uuid storage) {
  BASCULE_CO_TRY(co_await files.make_directories());
  BASCULE_CO_TRY(co_await files.check_unused());
  files.begin_manifest(storage);
  BASCULE_CO_TRY(co_await files.remove_unlisted());  // of a formatting that was cut short
  auto segment = co_await files.create_segment(Index(1), files.options().extent_bytes);
  if (!segment) co_return fail(std::move(segment.error()));
  LogManifest first;
  first.segments.push_back(segment->entry);
  co_return co_await files.install(std::move(first));
}

void format_local_metadata_log(env::World& world, LocalMetadataLogOptions options, Uuid storage,
                               env::Done<void> done) {
  struct Formatting {
    Formatting(env::World& w, LocalMetadataLogOptions o) : files(w, std::move(o)), scope(w.loop) {}
    MetadataFiles files;
    log::CoScope scope;
  };
  auto formatting = std::make_shared<Formatting>(world, std::move(options));
  formatting->scope.spawn<void>(
      LocalMetadataLog::format(formatting->files, storage),
      [formatting, &world, done = std::move(done)](Status status) mutable {
        world.loop.post([done = std::move(done), status = std::move(status)]() mutable {
          done(std::move(status));
        });
      });
}

void open_local_metadata_log(env::World& world, LocalMetadataLogOptions options, Uuid storage,
                             CommittedEntries& committed,
                             env::Done<std::unique_ptr<MetadataLog>> done) {
  // The scope outlives the opening: it belongs to the completion.
  struct Opening {
    explicit Opening(env::Loop& loop) : scope(loop) {}
    std::unique_ptr<LocalMetadataLog> log;
    log::CoScope scope;
  };
  auto opening = std::make_shared<Opening>(world.loop);
  opening->log = std::make_unique<LocalMetadataLog>(world, std::move(options), committed);
  LocalMetadataLog& opened = *opening->log;
  opening->scope.spawn<void>(
      LocalMetadataLog::open(opened, storage),
      [opening, &world, done = std::move(done)](Status status) mutable {
        Result<std::unique_ptr<MetadataLog>> result = fail(Errc::internal);
        if (status) {
          result = std::unique_ptr<MetadataLog>(std::move(opening->log));
        } else {
          result = fail(std::move(status.error()));
        }
        world.loop.post([done = std::move(done), result = std::move(result)]() mutable {
          done(std::move(result));
        });
      });
}

}  // namespace bascule::controller

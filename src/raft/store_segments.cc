// Changes of what the log is made of: snapshots, new segments, the end of a life. Everything is made ready in
// files of its own; the change is one manifest.
#include <algorithm>
#include <utility>

#include "src/raft/store_impl.h"

namespace bascule::raft {
namespace {

// A segment goes when the one after it begins at or before what the snapshot leaves.
void drop_covered(std::vector<SegmentEntry>& segments, Index covered, uint64_t keep) {
  const Index gone(covered.value - std::min(covered.value, keep));
  size_t drop = 0;
  while (drop + 1 < segments.size() && segments[drop + 1].first <= gone.next()) ++drop;
  segments.erase(segments.begin(), segments.begin() + static_cast<std::ptrdiff_t>(drop));
}

}  // namespace

StoreManifest DiskStore::manifest_now() const {
  StoreManifest now = files_.manifest();
  now.hard = hard_;
  now.segments.back() = segment_.as_of_now();
  return now;
}

void DiskStore::adopt(OpenSegment segment) {
  segment_ = std::move(segment);
  segment_changes_log_ = false;
  unmarked_ = false;
  roll_at_ = files_.options().segment_bytes_max;
}

// --- Snapshots -------------------------------------------------------------------------------------

void DiskStore::save_snapshot(Snapshot snapshot, uint64_t keep, env::Done<void> done) {
  REQUIRE(snapshot.meta.index);
  scope_.spawn<void>(write_snapshot(std::move(snapshot), keep), std::move(done));
}

// The file is written while groups go on.
Co<void> DiskStore::write_snapshot(Snapshot snapshot, uint64_t keep) {
  (void)co_await snapshotting_.lock();
  Status status = fail(Errc::stopping, "the raft store");
  if (!stopping_ && snapshot.meta.index <= terms_.base()) {
    status = {};  // a leader's has overtaken it
  } else if (!stopping_) {
    auto kept = co_await files_.write_snapshot(snapshot);
    if (kept) {
      status = co_await call<void>([this, &kept, &snapshot, keep](env::Done<void> done) {
        Item item;
        item.kind = Kind::keep_snapshot;
        item.file = *kept;
        item.meta = snapshot.meta;
        item.keep = keep;
        item.done = std::move(done);
        enqueue(std::move(item));
      });
    } else {
      status = fail(std::move(kept.error()));
    }
  }
  snapshotting_.unlock();
  co_return status;
}

Co<void> DiskStore::keep_snapshot(Item& item) {
  Status status;
  if (item.meta.index <= terms_.base()) {
    (void)co_await files_.discard(item.file);
  } else {
    Persist nothing;
    status = co_await change_snapshot(item.file, item.meta, item.keep, hard_, nothing);
    if (!status && status.error().code != Errc::no_space) co_return status;
  }
  deliver(std::move(item.done), std::move(status));
  co_return Status();
}

Co<void> DiskStore::install_snapshot(Item& item) {
  Persist& p = item.persist;
  const SnapshotMeta& meta = p.snapshot->meta;
  if (meta.index <= terms_.base()) {
    // Ours has overtaken it; what else was asked for is an ordinary call.
    p.snapshot.reset();
    queue_.push_front(std::move(item));
    co_return Status();
  }
  Status status;
  if (item.refused) {
    status = fail(Errc::no_space);
  } else {
    for (const Reserve which : {Reserve::general, Reserve::hard_state})
      if (status) status = co_await files_.make_reserve(which);
    if (status) {
      auto kept = co_await files_.write_snapshot(*p.snapshot);
      if (kept) {
        const HardState hard = p.hard ? later_hard_state(hard_, *p.hard) : hard_;
        status = co_await change_snapshot(*kept, meta, 0, hard, p);
      } else {
        status = fail(std::move(kept.error()));
      }
    }
    if (!status && status.error().code != Errc::no_space) co_return status;
    if (!status) refuse_what_follows();
  }
  if (status) {
    deliver(std::move(item.done), {});
  } else {
    refuse(std::move(item.done));
  }
  co_return Status();
}

// The snapshot, what of the log it leaves, and what `persist` adds: one manifest, or `no_space` and no change.
Co<void> DiskStore::change_snapshot(const SnapshotEntry& kept, const SnapshotMeta& meta,
                                    uint64_t keep, const HardState& hard, Persist& persist) {
  LogTerms terms = terms_;
  // Paper fig. 13: what follows the same entry stays, and nothing else does.
  const bool fits = terms.at(meta.index) == meta.term;
  if (fits) {
    terms.drop_through(meta.index);
  } else {
    terms.reset(meta.index, meta.term);
  }
  const Index end = terms.last();
  std::swap(terms, terms_);
  trim(persist);
  std::swap(terms, terms_);
  REQUIRE(persist.first <= end.next(), persist.first, end);

  uint64_t bytes = 0;
  for (const Entry& e : persist.entries) bytes += e.data.size();
  const uint64_t reserve = group_extent(persist.entries.size(), bytes) + k_hard_state_extent +
                           files_.options().extent_bytes;
  auto segment = co_await files_.create_segment(end.next(), reserve);
  Status status;
  if (!segment) {
    status = fail(std::move(segment.error()));
  } else {
    if (persist.first) {
      status = co_await files_.write_group(*segment, hard, persist.first, persist.entries);
      if (!status) co_return status;  // the process ends
      terms.cut(persist.first);
      for (const Entry& e : persist.entries) terms.append(e.term);
    }
    StoreManifest next = manifest_now();
    next.hard = hard;
    next.snapshot = kept;
    if (!fits) next.segments.clear();
    next.segments.push_back(segment->as_of_now());
    drop_covered(next.segments, meta.index, keep);
    // Where as much as may be is there already, what was to be kept for the sake of others goes.
    if (next.segments.size() > k_segments_max) drop_covered(next.segments, meta.index, 0);
    if (next.segments.size() > k_segments_max) {
      status = fail(Errc::no_space, "the raft log has too many segments");
    } else {
      status = co_await files_.install(std::move(next));
    }
    if (!status) (void)co_await files_.discard(*segment);
  }
  if (!status) {
    (void)co_await files_.discard(kept);
    co_return status;
  }
  const bool changes_log = static_cast<bool>(persist.first);
  adopt(std::move(*segment));
  segment_changes_log_ = changes_log;
  terms_ = std::move(terms);
  hard_ = hard;
  co_return Status();
}

// --- Segments --------------------------------------------------------------------------------------

// Begins another segment where this one is long. Where that cannot be, this one grows on.
Co<void> DiskStore::roll() {
  roll_at_ = segment_.position + files_.options().segment_bytes_max / 4;
  if (files_.manifest().segments.size() + 2 > k_segments_max) co_return Status();
  auto segment = co_await files_.create_segment(
      terms_.last().next(), files_.options().extent_bytes + k_hard_state_extent);
  Status status;
  if (segment) {
    StoreManifest next = manifest_now();
    next.segments.push_back(segment->as_of_now());
    status = co_await files_.install(std::move(next));
    if (status) {
      adopt(std::move(*segment));
      co_return status;
    }
    (void)co_await files_.discard(*segment);
  } else {
    status = fail(std::move(segment.error()));
  }
  if (status.error().code == Errc::no_space) co_return Status();
  co_return status;
}

// On a full disk, for a term or a vote that the segment has no block for. A segment without entries says
// nothing that the next one does not, so the next one takes its place: with the blocks that are kept back
// this can go on for ever. Should others take them meanwhile, the call waits for space.
Co<void> DiskStore::roll_for_hard_state() {
  while (!stopping_) {
    world_.trace.probe("raft.store.roll_on_full_disk");
    (void)co_await files_.release_reserve(Reserve::hard_state);
    auto segment = co_await files_.create_segment(terms_.last().next(), k_hard_state_extent);
    Status status;
    if (segment) {
      StoreManifest next = manifest_now();
      if (!segment_changes_log_) next.segments.pop_back();
      next.segments.push_back(segment->as_of_now());
      if (next.segments.size() > k_segments_max) {
        status = fail(Errc::no_space);
      } else {
        status = co_await files_.install(std::move(next));
      }
      if (status) {
        adopt(std::move(*segment));
        auto made = co_await files_.make_reserve(Reserve::hard_state);
        if (!made && made.error().code != Errc::no_space) co_return made;
        co_return Status();
      }
      (void)co_await files_.discard(*segment);
    } else {
      status = fail(std::move(segment.error()));
    }
    if (status.error().code != Errc::no_space) co_return status;
    if (files_.reserve_held(Reserve::general)) {
      (void)co_await files_.release_reserve(Reserve::general);
      continue;
    }
    world_.trace.probe("raft.store.hard_state_waits");
    (void)co_await call<void>([this](env::Done<void> done) {
      world_.loop.after(files_.options().no_space_retry,
                        [done = std::move(done)]() mutable { done({}); });
    });
  }
  co_return fail(Errc::stopping, "the raft store");
}

void DiskStore::lend_reserve(env::Done<void> done) {
  scope_.spawn<void>(files_.release_reserve(Reserve::general), std::move(done));
}

// --- The end ---------------------------------------------------------------------------------------

void DiskStore::stop(env::Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  world_.loop.cancel(idle_timer_);
  scope_.spawn<void>(stop_when_quiet(), std::move(done));
}

Co<void> DiskStore::stop_when_quiet() {
  (void)co_await snapshotting_.lock();
  // What was written before is told by tasks that were posted before this one.
  co_return co_await call<void>([this](env::Done<void> done) {
    Item item;
    item.kind = Kind::stop;
    item.done = std::move(done);
    enqueue(std::move(item));
  });
}

Co<void> DiskStore::end_life() {
  StoreManifest last = manifest_now();
  last.clean = true;
  // On a full disk the stop is simply not a clean one.
  auto status = co_await files_.install(std::move(last));
  segment_.files = {};
  if (!status && status.error().code == Errc::no_space) co_return Status();
  co_return status;
}

}  // namespace bascule::raft

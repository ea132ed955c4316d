// Truncation: the log ends earlier, by one manifest change.
//
// The segment that holds the cut is listed with its new end, those behind it are dropped, and appends
// go to a new segment: no byte is overwritten, so whatever a crash leaves is the log before or after.
// A group that the cut divides stays in its file; its frame speaks of more than the manifest lists, and
// the manifest decides.
#include <algorithm>
#include <utility>

#include "src/log/log_impl.h"

namespace bascule::log {

void LogImpl::truncate(Offset to, env::Done<void> done) {
  REQUIRE(log_start() <= to && to <= leo_, log_start(), to, leo_);
  REQUIRE(!stopping_);
  if (!host_.serving()) {
    loop().post([done = std::move(done)]() mutable { done(fail(not_serving())); });
    return;
  }
  scope_.spawn<void>(truncate_now(to), std::move(done));
}

namespace {

// Adds the batches that end at or below `to`; gives the log's new end, which is the base of a batch
// that `to` divides. What should be there below it, and does not verify, goes to `holes`.
Offset keep_below(const SegmentScan& scan, Offset to, Offset segment_end, Segment& rest,
                  std::vector<OffsetRange>& holes) {
  Offset at = rest.first;
  Offset end = to;
  for (const ScannedGroup& group : scan.groups)
    for (const BatchPlace& b : group.batches) {
      if (end < to || b.next > segment_end || b.base < rest.end) continue;
      if (b.next > to || b.base >= to) {
        end = std::min(to, b.base);
        continue;
      }
      if (b.base > at) holes.push_back({at, b.base});
      at = b.next;
      rest.add(b);
      rest.write_position = group.position + group.extent;
    }
  if (at < end) holes.push_back({at, end});
  return end;
}

}  // namespace

Co<void> LogImpl::truncate_now(Offset to) {
  (void)co_await structure_.lock();
  flush();
  auto status = co_await wait_durable();
  if (!status || (to == leo_ && (epochs_.empty() || epochs_.back().start < to))) {
    structure_.unlock();
    co_return status;
  }
  // The first segment of which something goes; those behind it go whole.
  size_t cut = segments_.size();
  for (size_t i = 0; i < segments_.size() && cut == segments_.size(); ++i) {
    const SegmentRef& s = segments_[i];
    const bool control_goes =
        s->end == to && !s->summary.epochs.empty() && s->summary.epochs.back().start >= to;
    if (s->empty() ? !s->sealed : s->end > to || control_goes) cut = i;
  }
  const SegmentRef divided = cut < segments_.size() ? segments_[cut] : nullptr;
  // Its batches below the cut, read anew: its summary and its index end there.
  Segment rest;
  rest.index = SegmentIndex(host_.options().index_interval_bytes);
  Offset end = to;
  std::vector<OffsetRange> holes;
  if (divided && !divided->empty() && divided->first < to) {
    rest.first = divided->first;
    rest.end = divided->first;
    status = co_await ensure_readable(divided);
    if (status) {
      ScanOptions options{divided->nonce, seed_, divided->first, {}};
      auto scan = co_await scan_segment(*divided->file, divided->write_position, options);
      if (!scan) {
        status = fail(std::move(scan.error()));
      } else {
        // Nothing below the log's start is missed, also where the start divides a batch.
        end = std::max(keep_below(*scan, to, divided->end, rest, holes), manifest_.log_start);
      }
    }
  }
  SegmentRef fresh;
  uint64_t id = 0;
  if (status) {
    if (next_) {
      fresh = next_;
      id = next_->id;
    } else {
      id = manifest_.next_segment_id;
      auto made = co_await new_segment(host_.options().extent_bytes_first, false, id);
      if (!made) {
        status = fail(std::move(made.error()));
      } else {
        fresh = *made;
      }
    }
  }
  if (!status) {
    structure_.unlock();
    co_return status;
  }
  std::vector<SegmentRef> kept(segments_.begin(), segments_.begin() + static_cast<ptrdiff_t>(cut));
  std::vector<SegmentRef> gone;
  const bool keep_divided = !rest.empty();
  if (sealed_lazily_)
    for (const SegmentRef& s : segments_) s->never_write = s->never_write || !s->sealed;
  for (size_t i = cut + (keep_divided ? 1 : 0); i < segments_.size(); ++i)
    if (segments_[i] != fresh) gone.push_back(segments_[i]);
  SegmentEntry divided_entry;
  if (keep_divided) {
    divided_entry = divided->sealed_entry();
    divided_entry.end = rest.end;
    divided_entry.end_position = rest.write_position;
    divided_entry.summary = rest.summary;
  }
  Manifest m = manifest_;
  ++m.generation;
  std::vector<SegmentEntry> entries;
  for (const SegmentRef& s : kept) entries.push_back(s->sealed_entry());
  if (keep_divided) entries.push_back(divided_entry);
  fresh->first = end;
  fresh->end = end;
  SegmentEntry e = fresh->entry();
  e.based = true;
  e.first = end;
  entries.push_back(e);
  m.segments = std::move(entries);
  for (const SegmentRef& s : gone) m.retired.push_back(s->id);
  m.next_segment_id = std::max(m.next_segment_id, id + 1);
  m.recovery_offset = end;
  m.recovery_segment = id;
  m.recovery_position = 0;
  if (!holes.empty()) {
    // A cut must not make a damaged batch look as if it had never been.
    host_.world().trace.probe("log.truncate.damage_found");
    damaged_ = m.damaged;
    (void)note_damage(holes);
    m.damaged = std::exchange(damaged_, {});
  }
  std::erase_if(m.damaged, [&](const OffsetRange& r) { return r.first >= end; });
  for (OffsetRange& r : m.damaged) r.next = std::min(r.next, end);
  status = co_await change_manifest(m);
  if (!status) {
    if (fresh != next_) (void)co_await host_.dispose(fresh->path, fresh->reserved, false);
    structure_.unlock();
    co_return status;
  }
  for (const SegmentRef& s : kept) s->sealed = true;
  if (keep_divided) {
    divided->sealed = true;
    divided->end = rest.end;
    divided->write_position = rest.write_position;
    divided->summary = rest.summary;
    divided->index = rest.index;
    divided->index_ready = true;
    kept.push_back(divided);
  }
  kept.push_back(fresh);
  segments_ = std::move(kept);
  active_ = fresh;
  next_ = nullptr;
  sealed_lazily_ = false;
  for (const SegmentRef& s : gone) dropped_.emplace_back(s, false);
  cut_memory(end);
  if (keep_divided) (void)co_await write_index(divided);
  structure_.unlock();
  kick_maintenance();
  co_return Status();
}

// All that is derived ends with the log (the epochs also when the cut is at the end, KAFKA-10706).
void LogImpl::cut_memory(Offset to) {
  groups_first_ = groups_next();
  groups_.clear();
  written_seq_ = durable_seq_ = cached_seq_ = submitted_seq_ = groups_first_;
  cached_bytes_ = 0;
  leo_ = written_leo_ = durable_leo_ = to;
  hw_ = std::min(hw_, to);
  recovered_hw_ = std::min(recovered_hw_, to);
  std::erase_if(epochs_, [to](const EpochStart& e) { return e.start >= to; });
  last_epoch_ = epochs_.empty() ? Epoch() : epochs_.back().epoch;
  last_append_time_ = {};
  stats_.bytes = 0;
  for (const SegmentRef& s : segments_) {
    if (s->empty()) continue;
    last_append_time_ = std::max(last_append_time_, s->summary.last_time);
    stats_.bytes += s->summary.batch_bytes;
  }
  progress();
}

}  // namespace bascule::log

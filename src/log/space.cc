// Room for groups: segments made ready ahead, extended, rolled and sealed, so that no append waits for
// more than a reservation and no roll puts a sync on the hot path.
#include <algorithm>

#include "src/log/log_impl.h"

namespace bascule::log {

uint64_t LogImpl::segment_bytes() const {
  return options_.segment_bytes != 0 ? options_.segment_bytes : host_.options().segment_bytes;
}

// A file is rolled beyond it even where padding has kept its batches few: recovery reads a file whole.
uint64_t LogImpl::file_bytes_max() const {
  return std::max(host_.options().recovery_point_interval_bytes, segment_bytes());
}

// Where a group that begins now would begin.
uint64_t LogImpl::end_of_active() const {
  if (!groups_.empty() && groups_.back()->state == GroupState::gathering)
    return groups_.back()->position + group_extent(groups_.back()->used);
  return active_->write_position;
}

bool LogImpl::roll_due(size_t bytes) const {
  const SegmentSummary& s = active_->summary;
  if (s.batch_bytes == 0) return false;
  return s.batch_bytes + bytes > segment_bytes() ||
         end_of_active() + group_extent(bytes) > file_bytes_max() ||
         s.last_time - s.first_time > host_.options().segment_span;
}

bool LogImpl::has_space(size_t bytes) const {
  if (!active_ || stopping_ || !host_.serving()) return false;
  const uint64_t extent = group_extent(bytes);
  if (next_ && extent <= next_->reserved) return true;
  return end_of_active() + extent <= active_->reserved;
}

void LogImpl::make_space(size_t bytes, env::Done<void> done) {
  if (!host_.serving()) {
    loop().post([done = std::move(done)]() mutable { done(fail(not_serving())); });
    return;
  }
  if (stopping_ || (space_waiters_.empty() && has_space(bytes))) {
    const bool refused = stopping_;
    loop().post([done = std::move(done), refused]() mutable {
      if (refused) return done(fail(Errc::stopping, "the log is stopping"));
      done({});
    });
    return;
  }
  space_waiters_.push_back({bytes, std::move(done)});
  kick_maintenance();
}

void LogImpl::refuse_space_waiters(const Error& why) {
  while (!space_waiters_.empty()) {
    loop().post(
        [done = std::move(space_waiters_.front().done), why]() mutable { done(fail(why)); });
    space_waiters_.pop_front();
  }
}

// Whoever is told that there is space appends in that turn: it is looked at in the same turn, since
// others append without asking while has_space() holds.
void LogImpl::grant_space() {
  if (granting_ || space_waiters_.empty()) return;
  granting_ = true;
  loop().post(alive_.wrap([this] {
    granting_ = false;
    if (space_waiters_.empty()) return;
    if (!has_space(space_waiters_.front().bytes)) return kick_maintenance();
    env::Done<void> done = std::move(space_waiters_.front().done);
    space_waiters_.pop_front();
    grant_space();
    done({});  // last: it may end this object
  }));
}

bool LogImpl::wants_next() const {
  if (next_ || !active_) return false;
  if (!space_waiters_.empty() && roll_due(space_waiters_.front().bytes)) return true;
  return roll_due(1) || active_->summary.batch_bytes >= segment_bytes() / 2 ||
         end_of_active() >= file_bytes_max() / 2;
}

bool LogImpl::wants_extension() const {
  if (!active_) return false;
  const uint64_t end = end_of_active();
  if (!space_waiters_.empty() && !next_)
    return end + group_extent(space_waiters_.front().bytes) > active_->reserved;
  // Never beyond the size at which the file is rolled anyway.
  if (active_->reserved >= file_bytes_max() || active_->empty()) return false;
  return active_->reserved - end < active_->reserved / 2;
}

// Segments are sealed in order: the one before the active one tells.
bool LogImpl::wants_sealing() const {
  if (!active_ || sealed_lazily_) return false;
  for (auto s = segments_.rbegin(); s != segments_.rend(); ++s)
    if (*s != active_ && *s != next_) return !(*s)->sealed;
  return false;
}

// The next segment becomes the one that is appended to. Its predecessor is sealed by a manifest change
// later; until then recovery finds its end by reading.
void LogImpl::roll() {
  ASSERT(next_ != nullptr);
  close_gathering();
  next_->first = leo_;
  next_->end = leo_;
  active_ = std::exchange(next_, nullptr);
  host_.world().trace.probe("log.roll");
}

void LogImpl::kick_maintenance() {
  if (dead_ || stopped_ || !host_.serving()) return;
  if (maintaining_) {
    maintain_again_ = true;
    return;
  }
  const bool work = !space_waiters_.empty() || wants_next() || wants_extension() ||
                    wants_sealing() || !dropped_.empty();
  if (!work) return;
  maintaining_ = true;
  scope_.spawn<void>(maintain(), [this](Status status) {
    maintaining_ = false;
    if (dead_) return;
    if (!status) refuse_space_waiters(status.error());
    if (std::exchange(maintain_again_, false) && status) kick_maintenance();
  });
}

Co<void> LogImpl::maintain() {
  (void)co_await structure_.lock();
  Status outcome;
  const size_t wanted = space_waiters_.empty() ? 0 : space_waiters_.front().bytes;
  if (!active_ && !space_waiters_.empty() && !stopping_) outcome = co_await begin_life(wanted);
  if (outcome && !stopping_ && wants_next()) outcome = co_await prepare_next(wanted);
  if (outcome && !stopping_ && wants_extension()) outcome = co_await extend_active(wanted);
  if (next_ && wanted != 0 && !has_space(wanted) && outcome) {
    // The batch is larger than what was made ready.
    const uint64_t size = group_extent(wanted);
    const SegmentRef segment = next_;
    outcome = host_.charge(size - segment->reserved);
    if (outcome) {
      outcome = co_await call<void>(
          [&](env::Done<void> done) { segment->file->reserve(size, std::move(done)); });
      if (outcome)
        segment->reserved = size;
      else
        host_.refund(size - segment->reserved);
    }
  }
  if (outcome) grant_space();
  if (outcome && wants_sealing()) outcome = co_await seal_rolled();
  if (outcome && !dropped_.empty()) outcome = co_await remove_retired();
  structure_.unlock();
  co_return outcome;
}

// The first append of a life that leaves the files of the last one alone: they are sealed where the log
// ends, never to be written again, and a new segment follows.
Co<void> LogImpl::begin_life(size_t bytes) {
  const uint64_t id = manifest_.next_segment_id;
  const uint64_t reserve = std::max(host_.options().extent_bytes_first, group_extent(bytes));
  auto made = co_await new_segment(reserve, false, id);
  if (!made) co_return fail(std::move(made.error()));
  const SegmentRef fresh = *made;
  fresh->first = leo_;
  fresh->end = leo_;
  std::vector<SegmentRef> kept;
  std::vector<SegmentRef> empty;
  for (const SegmentRef& s : segments_) (s->empty() && !s->sealed ? empty : kept).push_back(s);
  Manifest m = manifest_;
  ++m.generation;
  std::vector<SegmentEntry> entries;
  for (const SegmentRef& s : kept) {
    SegmentEntry e = s->sealed_entry();
    // Below the recovery point nothing of the last life was in flight.
    e.never_write = e.never_write || !s->sealed;
    entries.push_back(e);
  }
  SegmentEntry e = fresh->entry();
  e.based = true;
  entries.push_back(e);
  m.segments = std::move(entries);
  if (!recovery_.cut_at)
    for (const SegmentRef& s : empty) m.retired.push_back(s->id);
  m.next_segment_id = id + 1;
  m.recovery_offset = leo_;
  m.recovery_segment = id;
  m.recovery_position = 0;
  auto changed = co_await change_manifest(m);
  if (!changed) {
    (void)co_await host_.dispose(fresh->path, fresh->reserved, false);
    co_return changed;
  }
  // At once: `logs` may be written during any of the waits below, and an entry of the new generation
  // that still told an end would cut off all that this life appends.
  sealed_lazily_ = false;
  for (const SegmentRef& s : kept) {
    s->never_write = s->never_write || !s->sealed;
    s->sealed = true;
    (void)co_await write_index(s);
  }
  for (size_t i = 0; i < empty.size(); ++i) {
    if (!recovery_.cut_at) {
      dropped_.emplace_back(empty[i], false);
      continue;
    }
    // It may hold what recovery has cut.
    const std::string kept_as = quarantine_name(segment_file_name(empty[i]->id));
    (void)co_await host_.quarantine(empty[i]->path, kept_as, empty[i]->reserved);
  }
  segments_ = std::move(kept);
  segments_.push_back(fresh);
  active_ = fresh;
  host_.changed();
  co_return Status();
}

// A file with its name durable and its room reserved, not yet listed.
Co<SegmentRef> LogImpl::new_segment(uint64_t reserve_bytes, bool from_pool, uint64_t id) {
  auto made = co_await try_new_segment(reserve_bytes, from_pool, id);
  if (made || made.error().code != Errc::no_space || host_.serving()) co_return std::move(made);
  auto lent = co_await host_.lend_reserve();
  if (!lent || !*lent) co_return std::move(made);
  co_return co_await try_new_segment(reserve_bytes, from_pool, id);
}

Co<SegmentRef> LogImpl::try_new_segment(uint64_t reserve_bytes, bool from_pool, uint64_t id) {
  reserve_bytes = align_up(reserve_bytes, k_group_alignment);
  auto segment = std::make_shared<Segment>();
  segment->id = id;
  segment->nonce = host_.world().random.uuid();
  segment->path = path_of(segment_file_name(id));
  segment->index = SegmentIndex(host_.options().index_interval_bytes);
  segment->index_ready = true;
  uint64_t recycled = 0;
  if (from_pool) {
    auto got = co_await host_.recycle_into(segment->path);
    if (!got) co_return fail(std::move(got.error()));
    recycled = *got;
  }
  const uint64_t charged = reserve_bytes > recycled ? reserve_bytes - recycled : 0;
  if (auto s = host_.charge(charged); !s) co_return fail(std::move(s.error()));
  auto file =
      co_await call<std::unique_ptr<env::File>>([&](env::Done<std::unique_ptr<env::File>> done) {
        disk().open(segment->path, env::OpenMode::create_or_open, std::move(done));
      });
  Status status;
  if (!file) {
    status = fail(std::move(file.error()));
  } else {
    segment->file = std::move(*file);
    if (charged > 0) {
      status = co_await call<void>(
          [&](env::Done<void> done) { segment->file->reserve(reserve_bytes, std::move(done)); });
    }
  }
  segment->reserved = std::max(reserve_bytes, recycled);
  if (status) {
    status = co_await call<void>(
        [this](env::Done<void> done) { disk().sync_dir(directory_, std::move(done)); });
    if (!status && status.error().code != Errc::no_space) {
      dead_ = true;
      loop().fail_stop(status.error());
    }
  }
  if (!status) {
    (void)co_await host_.dispose(segment->path, segment->reserved, false);
    co_return fail(std::move(status.error()));
  }
  co_return segment;
}

Co<void> LogImpl::prepare_next(size_t bytes) {
  const uint64_t id = manifest_.next_segment_id;
  // A segment that filled up is followed by another busy one.
  const uint64_t reserve = std::max({host_.options().extent_bytes_first, active_->reserved / 4,
                                     bytes == 0 ? 0 : group_extent(bytes)});
  auto made = co_await new_segment(reserve, true, id);
  if (!made) co_return fail(std::move(made.error()));
  const SegmentRef fresh = *made;
  Manifest m = manifest_;
  m.segments.push_back(fresh->entry());
  m.next_segment_id = id + 1;
  auto changed = co_await change_manifest(m);
  if (!changed) {
    (void)co_await host_.dispose(fresh->path, fresh->reserved, false);
    co_return changed;
  }
  segments_.push_back(fresh);
  next_ = fresh;
  co_return Status();
}

Co<void> LogImpl::extend_active(size_t bytes) {
  const SegmentRef segment = active_;
  uint64_t size =
      std::max(segment->reserved * 2, end_of_active() + 2 * (bytes == 0 ? 0 : group_extent(bytes)));
  size = std::min(size, std::max(file_bytes_max(), end_of_active() + group_extent(bytes)));
  size = align_up(size, k_group_alignment);
  if (size <= segment->reserved) co_return Status();
  const uint64_t more = size - segment->reserved;
  if (auto s = host_.charge(more); !s) co_return s;
  auto status = co_await call<void>(
      [&](env::Done<void> done) { segment->file->reserve(size, std::move(done)); });
  if (!status) {
    host_.refund(more);
    co_return status;
  }
  segment->reserved = size;
  co_return Status();
}

// Lists the ends of the segments that were rolled, once all of them is durable, and raises the
// recovery point to the first one that is not.
Co<void> LogImpl::seal_rolled() {
  std::vector<SegmentRef> rolled;
  for (const SegmentRef& s : segments_)
    if (!s->sealed && s != active_ && s != next_) rolled.push_back(s);
  if (rolled.empty()) co_return Status();
  const SegmentRef following = active_;
  const uint64_t last = rolled.back()->end.value;
  if (durable_leo_.value < last || mode_ == model::DurabilityMode::memory)
    (void)co_await wait_durable();
  for (const SegmentRef& s : rolled) (void)co_await write_index(s);
  Manifest m = manifest_;
  for (SegmentEntry& e : m.segments) {
    for (const SegmentRef& s : rolled)
      if (s->id == e.id) {
        const bool never = e.never_write;
        e = s->sealed_entry();
        e.never_write = never;
      }
    if (e.id == following->id) {
      e.based = true;
      e.first = following->first;
    }
  }
  m.recovery_offset = following->first;
  m.recovery_segment = following->id;
  m.recovery_position = 0;
  auto changed = co_await change_manifest(m);
  if (!changed) co_return changed;
  for (const SegmentRef& s : rolled) {
    s->sealed = true;
    note_loaded(s);
  }
  co_return Status();
}

// Beside the segment, and only a help: whoever reads it checks it and knows to make it anew.
Co<void> LogImpl::write_index(const SegmentRef& segment) {
  if (!segment->index_ready || segment->empty()) co_return Status();
  const std::string path = path_of(index_file_name(segment->id));
  auto file =
      co_await call<std::unique_ptr<env::File>>([&](env::Done<std::unique_ptr<env::File>> done) {
        disk().open(path, env::OpenMode::create_or_open, std::move(done));
      });
  if (!file) co_return Status();
  const std::unique_ptr<env::File> open = std::move(*file);
  Slice bytes = Slice::copy_of(segment->index.encode(segment->nonce));
  (void)co_await call<void>(
      [&](env::Done<void> done) { open->truncate(bytes.size(), std::move(done)); });
  (void)co_await call<void>(
      [&](env::Done<void> done) { open->write_at(0, {bytes}, env::Sync::no, std::move(done)); });
  co_return Status();
}

// Files that no manifest lists any more go when no write and no reader is on them.
Co<void> LogImpl::remove_retired() {
  std::vector<std::pair<SegmentRef, bool>> waiting;
  std::vector<uint64_t> gone;
  std::vector<std::pair<SegmentRef, bool>> dropped = std::exchange(dropped_, {});
  for (const auto& [segment, reusable] : dropped) std::erase(loaded_, segment);
  for (size_t i = 0; i < dropped.size(); ++i) {
    if (dropped[i].first.use_count() > 1) {
      waiting.push_back(std::move(dropped[i]));
      continue;
    }
    const SegmentRef segment = std::move(dropped[i].first);
    const bool reusable = dropped[i].second;
    segment->file.reset();
    gone.push_back(segment->id);
    (void)co_await host_.dispose(segment->path, segment->reserved,
                                 reusable && !segment->never_write);
    (void)co_await call<void>([this, id = segment->id](env::Done<void> done) {
      disk().remove(path_of(index_file_name(id)), std::move(done));
    });
  }
  for (auto& item : waiting) dropped_.push_back(std::move(item));
  if (!gone.empty()) {
    auto synced = co_await call<void>(
        [this](env::Done<void> done) { disk().sync_dir(directory_, std::move(done)); });
    // The names are gone for good: the next manifest need not say so any more.
    if (synced)
      std::erase_if(manifest_.retired, [&](uint64_t id) {
        return std::find(gone.begin(), gone.end(), id) != gone.end();
      });
  }
  co_return Status();
}

Co<void> LogImpl::change_manifest(const Manifest& changed) {
  const Slice bytes = Slice::copy_of(encode_manifest(changed));
  auto status = co_await call<void>([&](env::Done<void> done) {
    env::replace_file(disk(), directory_, "manifest", bytes, std::move(done));
  });
  if (!status && status.error().code == Errc::no_space && !host_.serving()) {
    auto lent = co_await host_.lend_reserve();
    if (lent && *lent) {
      status = co_await call<void>([&](env::Done<void> done) {
        env::replace_file(disk(), directory_, "manifest", bytes, std::move(done));
      });
    }
  }
  if (!status) {
    // Whether a rename or its sync took effect cannot be known.
    if (!refused(status.error())) {
      dead_ = true;
      loop().fail_stop(status.error());
    }
    co_return status;
  }
  manifest_ = changed;
  co_return Status();
}

}  // namespace bascule::log

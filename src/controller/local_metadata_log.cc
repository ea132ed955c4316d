#include <algorithm>
#include <utility>

#include "src/controller/local_metadata_log_impl.h"

namespace bascule::controller {
namespace {

// There are no terms before Raft: all entries are of the first.
constexpr Term k_local_term{1};

uint64_t command_bytes(const auto& proposals) {
  uint64_t bytes = 0;
  for (const auto& p : proposals) bytes += p.command.size();
  return bytes;
}

}  // namespace

LocalMetadataLog::LocalMetadataLog(env::World& world, LocalMetadataLogOptions options,
                                   CommittedEntries& committed)
    : world_(world),
      committed_(committed),
      files_(world, std::move(options)),
      writing_(world.loop),
      snapshotting_(world.loop),
      scope_(world.loop) {}

// --- Proposals -------------------------------------------------------------------------------------

void LocalMetadataLog::propose(Slice command, Urgency urgency, env::Done<Index> done) {
  REQUIRE(command.size() + k_entry_header_bytes <= k_group_payload_bytes_max, command.size());
  Proposal proposal{std::move(command), urgency, std::move(done)};
  if (stopping_) return refuse(std::move(proposal), {Errc::stopping, "the metadata log"});
  queue_.push_back(std::move(proposal));
  wake();
}

void LocalMetadataLog::refuse(Proposal proposal, Error why) {
  world_.loop.post(alive_.wrap([done = std::move(proposal.done), why = std::move(why)]() mutable {
    done(fail(std::move(why)));
  }));
}

// All that a turn proposes leaves as one group.
void LocalMetadataLog::wake() {
  if (std::exchange(awake_, true)) return;
  world_.loop.at_turn_end(alive_.wrap([this] { scope_.spawn<void>(write_queue(), {}); }));
}

Co<void> LocalMetadataLog::write_queue() {
  (void)co_await writing_.lock();
  while (!queue_.empty() || mark_due_) {
    std::vector<Proposal> group = take_group();
    auto status = co_await make_room(group);
    // A mark is only worth space that is there.
    const bool mark = group.empty() && mark_due_ && marked_ != written_ && fits(group);
    mark_due_ = false;
    if (status && (!group.empty() || mark)) status = co_await write_proposals(group);
    if (!status) co_return status;  // the process ends
  }
  awake_ = false;
  writing_.unlock();
  schedule_idle_mark();
  co_return Status();
}

std::vector<LocalMetadataLog::Proposal> LocalMetadataLog::take_group() {
  std::vector<Proposal> group;
  uint64_t bytes = 0;
  while (!queue_.empty()) {
    bytes += queue_.front().command.size() + k_entry_header_bytes;
    if (!group.empty() && bytes > files_.options().group_bytes_max) break;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return group;
}

bool LocalMetadataLog::fits(const std::vector<Proposal>& group) const {
  return segment_.position + group_extent(group.size(), command_bytes(group)) <= segment_.reserved;
}

// Space for the group, or for what is left of it: on a full disk what is not essential is refused before
// anything is written, and what is essential takes the space that was kept back.
Co<void> LocalMetadataLog::make_room(std::vector<Proposal>& group) {
  const auto normal = [](const Proposal& p) { return p.urgency == Urgency::normal; };
  bool room = true;
  if (!files_.reserve_held() && std::ranges::any_of(group, normal)) {
    auto made = co_await files_.make_reserve();
    if (!made && made.error().code != Errc::no_space) co_return made;
    room = made.has_value();
  }
  for (int attempt = 0; attempt < 3 && !group.empty(); ++attempt) {
    if (room) {
      const uint64_t end = segment_.position + group_extent(group.size(), command_bytes(group));
      auto extended = co_await files_.extend(segment_, end);
      if (extended) co_return extended;
      if (extended.error().code != Errc::no_space) co_return extended;
    }
    if (attempt == 2 || (attempt == 1 && !files_.reserve_held())) break;
    if (attempt == 0) {
      world_.trace.probe("controller.metadata_log.full");
      std::vector<Proposal> essential;
      for (Proposal& p : group) {
        if (normal(p)) {
          refuse(std::move(p), {Errc::no_space, "the disk is full"});
        } else {
          essential.push_back(std::move(p));
        }
      }
      group = std::move(essential);
      room = true;
    } else {
      world_.trace.probe("controller.metadata_log.reserve_used");
      (void)co_await files_.release_reserve();
    }
  }
  for (Proposal& p : group) refuse(std::move(p), {Errc::no_space, "the disk is full"});
  group.clear();
  co_return Status();
}

Co<void> LocalMetadataLog::write_proposals(std::vector<Proposal>& group) {
  std::vector<Entry> entries;
  for (const Proposal& p : group) entries.push_back({k_local_term, p.command});
  auto status = co_await files_.write_group(segment_, entries, written_.next());
  if (!status) co_return status;
  marked_ = written_;  // this group proves that all before it are durable
  for (Proposal& p : group) {
    written_ = written_.next();
    deliver(std::move(p), written_);
  }
  co_return Status();
}

// In a turn of its own: what it calls may end us.
void LocalMetadataLog::deliver(Proposal proposal, Index index) {
  world_.loop.post(alive_.wrap([this, p = std::move(proposal), index]() mutable {
    ASSERT(index == applied_.next(), index, applied_);
    applied_ = index;
    if (auto ok = committed_.apply(index, k_local_term, p.command); !ok)
      return world_.loop.fail_stop(ok.error());
    p.done(index);
  }));
}

// The end of the last group is known to be durable only by what is written after it. So that rot in both
// copies of it is not taken for a torn tail, an idle log writes one empty group.
void LocalMetadataLog::schedule_idle_mark() {
  if (stopping_ || marked_ == written_) return;
  world_.loop.cancel(idle_timer_);
  idle_timer_ = world_.loop.after(files_.options().idle_mark_delay, alive_.wrap([this] {
    if (stopping_ || marked_ == written_) return;
    mark_due_ = true;
    wake();
  }));
}

// --- Snapshots -------------------------------------------------------------------------------------

void LocalMetadataLog::save_snapshot(Index index, Slice snapshot, env::Done<void> done) {
  REQUIRE(index <= applied_, index, applied_);
  scope_.spawn<void>(take_snapshot(index, std::move(snapshot)), std::move(done));
}

Co<void> LocalMetadataLog::take_snapshot(Index index, Slice snapshot) {
  (void)co_await snapshotting_.lock();
  Status status = fail(Errc::stopping, "the metadata log");
  if (!stopping_) status = co_await change_segments(index, std::move(snapshot));
  snapshotting_.unlock();
  co_return status;
}

// Everything is made ready beside the writing; the change itself is one manifest.
Co<void> LocalMetadataLog::change_segments(Index index, Slice snapshot) {
  auto kept = co_await files_.write_snapshot(index, std::move(snapshot));
  if (!kept) co_return fail(std::move(kept.error()));
  (void)co_await writing_.lock();
  auto segment = co_await files_.create_segment(written_.next(), files_.options().extent_bytes);
  Status status;
  if (segment) {
    LogManifest next = files_.manifest();
    next.snapshot = *kept;
    next.durable = written_;
    next.segments.push_back(segment->entry);
    // A segment goes when the one after it begins at or before what the snapshot leaves.
    while (next.segments.size() > 1 && next.segments[1].first <= index.next())
      next.segments.erase(next.segments.begin());
    status = co_await files_.install(std::move(next));
    if (status) {
      segment_ = std::move(*segment);
      marked_ = written_;
    }
  } else {
    status = fail(std::move(segment.error()));
  }
  writing_.unlock();
  auto removed = co_await files_.remove_unlisted();
  co_return status;
}

void LocalMetadataLog::lend_reserve(env::Done<void> done) {
  scope_.spawn<void>(files_.release_reserve(), std::move(done));
}

// --- The end ---------------------------------------------------------------------------------------

void LocalMetadataLog::stop(env::Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  world_.loop.cancel(idle_timer_);
  for (Proposal& p : std::exchange(queue_, {}))
    refuse(std::move(p), {Errc::stopping, "the metadata log"});
  scope_.spawn<void>(end_life(), std::move(done));
}

Co<void> LocalMetadataLog::end_life() {
  (void)co_await snapshotting_.lock();
  (void)co_await writing_.lock();
  LogManifest last = files_.manifest();
  last.durable = written_;
  last.clean = true;
  // On a full disk the stop is simply not a clean one.
  auto status = co_await files_.install(std::move(last));
  segment_.files = {};
  // What was written before is handed over by tasks that were posted before this one.
  (void)co_await call<void>([this](env::Done<void> done) {
    world_.loop.post([done = std::move(done)]() mutable { done({}); });
  });
  if (!status && status.error().code == Errc::no_space) co_return Status();
  co_return status;
}

}  // namespace bascule::controller

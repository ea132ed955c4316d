#include "src/raft/store_impl.h"

#include <algorithm>
#include <utility>

namespace bascule::raft {

HardState later_hard_state(const HardState& now, const HardState& next) {
  // A call that found no space may come again after a later one that did.
  if (next.term < now.term) return now;
  if (next.term > now.term) return next;
  // Raft §5.2: one vote in a term.
  REQUIRE(!now.vote || !next.vote || now.vote == next.vote, now.vote.to_string(),
          next.vote.to_string());
  return now.vote ? now : next;
}

// --- The queue -------------------------------------------------------------------------------------

void DiskStore::persist(Persist persist, env::Done<void> done) {
  Item item;
  item.persist = std::move(persist);
  item.done = std::move(done);
  enqueue(std::move(item));
}

void DiskStore::persist_urgent(Persist persist, env::Done<void> done) {
  Item item;
  item.persist = std::move(persist);
  item.urgent = true;
  item.done = std::move(done);
  enqueue(std::move(item));
}

void DiskStore::enqueue(Item item) {
  REQUIRE(item.persist.first || item.persist.entries.empty());
  if (stopping_ && item.kind == Kind::persist)
    return deliver(std::move(item.done), fail(Errc::stopping, "the raft store"));
  item.refused = refusals_ > 0 && item.changes_log();
  queue_.push_back(std::move(item));
  wake();
}

// All that a turn brings leaves as one group.
void DiskStore::wake() {
  if (std::exchange(awake_, true)) return;
  world_.loop.at_turn_end(alive_.wrap([this] { scope_.spawn<void>(write_queue(), {}); }));
}

void DiskStore::deliver(env::Done<void> done, Status status) {
  world_.loop.post(alive_.wrap(
      [done = std::move(done), status = std::move(status)]() mutable { done(std::move(status)); }));
}

// From now until the caller knows, nothing that may build on it is taken.
void DiskStore::refuse(env::Done<void> done) {
  ++refusals_;
  world_.loop.post(alive_.wrap([this, done = std::move(done)]() mutable {
    --refusals_;
    done(fail(Errc::no_space, "the disk is full"));
  }));
}

void DiskStore::refuse_what_follows() {
  world_.trace.probe("raft.store.full");
  for (Item& item : queue_) item.refused = item.refused || item.changes_log();
}

Co<void> DiskStore::write_queue() {
  while (!queue_.empty() || mark_due_) {
    Status status;
    if (queue_.empty()) {
      status = co_await write_mark();
    } else if (queue_.front().kind == Kind::persist && !queue_.front().persist.snapshot) {
      status = co_await write_next_group();
    } else {
      Item item = std::move(queue_.front());
      queue_.pop_front();
      if (item.kind == Kind::persist) {
        status = co_await install_snapshot(item);
      } else if (item.kind == Kind::keep_snapshot) {
        status = co_await keep_snapshot(item);
      } else {
        status = co_await end_life();
        deliver(std::move(item.done), status);
      }
    }
    if (!status) co_return status;  // the process ends
  }
  awake_ = false;
  schedule_idle_mark();
  co_return Status();
}

// --- Groups ----------------------------------------------------------------------------------------

DiskStore::Group DiskStore::take_group() {
  Group group;
  while (!queue_.empty()) {
    Item& front = queue_.front();
    if (front.kind != Kind::persist || front.persist.snapshot) break;
    trim(front.persist);
    if (front.persist.first && !front.refused && group.first) {
      uint64_t bytes = group.bytes;
      for (const Entry& e : front.persist.entries) bytes += e.data.size() + k_entry_header_bytes;
      if (bytes > files_.options().group_bytes_max || front.urgent != group.urgent) break;
    }
    Item item = std::move(front);
    queue_.pop_front();
    add(group, std::move(item));
  }
  return group;
}

// What a snapshot covers is committed: a call that was refused before it may bring it again.
void DiskStore::trim(Persist& persist) const {
  const Index covered = terms_.base();
  if (!persist.first || persist.first > covered) return;
  const uint64_t below = covered.value - persist.first.value + 1;
  if (persist.entries.size() < below) {
    persist.entries.clear();
    persist.first = {};
    return;
  }
  persist.entries.erase(persist.entries.begin(),
                        persist.entries.begin() + static_cast<std::ptrdiff_t>(below));
  persist.first = covered.next();
}

void DiskStore::add(Group& group, Item item) {
  Persist& p = item.persist;
  if (p.first && !item.refused) {
    if (!group.first || p.first <= group.first) {
      REQUIRE(p.first <= terms_.last().next(), p.first, terms_.last());
      group.first = p.first;
      group.entries = std::move(p.entries);
    } else {
      const auto kept = static_cast<size_t>(p.first.value - group.first.value);
      REQUIRE(kept <= group.entries.size(), p.first);
      group.entries.resize(kept);
      for (Entry& e : p.entries) group.entries.push_back(std::move(e));
    }
    group.bytes = 0;
    for (const Entry& e : group.entries) group.bytes += e.data.size() + k_entry_header_bytes;
    group.urgent = item.urgent;
  }
  group.parts.push_back({p.hard, static_cast<bool>(p.first), item.refused, std::move(item.done)});
}

HardState DiskStore::hard_after(const Group& group) const {
  HardState hard = hard_;
  for (const Group::Part& part : group.parts)
    if (part.hard && !part.refused) hard = later_hard_state(hard, *part.hard);
  return hard;
}

Co<void> DiskStore::write_next_group() {
  Group group = take_group();
  if (group.first) {
    auto room = co_await room_for_entries(group);
    if (!room) co_return fail(std::move(room.error()));
    if (!*room) {
      // What changes the log is refused before anything is written; a term or a vote alone is kept.
      for (Group::Part& part : group.parts) part.refused = part.refused || part.changes_log;
      group.first = {};
      group.entries.clear();
      refuse_what_follows();
    }
  }
  Status status;
  if (group.first || hard_after(group) != hard_) status = co_await write_group(group);
  if (!status && status.error().code != Errc::stopping) co_return status;
  for (Group::Part& part : group.parts) {
    if (part.refused) {
      refuse(std::move(part.done));
    } else {
      deliver(std::move(part.done), status);
    }
  }
  co_return Status();
}

Co<void> DiskStore::write_group(Group& group) {
  if (!group.first) BASCULE_CO_TRY(co_await room_for_hard_state());
  const HardState hard = hard_after(group);
  const Index first = group.first ? group.first : terms_.last().next();
  BASCULE_CO_TRY(co_await files_.write_group(segment_, hard, first, group.entries));
  unmarked_ = true;
  hard_ = hard;
  if (group.first) {
    segment_changes_log_ = true;
    terms_.cut(first);
    for (const Entry& e : group.entries) terms_.append(e.term);
  }
  co_return Status();
}

// --- Room ------------------------------------------------------------------------------------------

Co<bool> DiskStore::room_for_entries(const Group& group) {
  if (segment_.position >= roll_at_) BASCULE_CO_TRY(co_await roll());
  uint64_t bytes = 0;
  for (const Entry& e : group.entries) bytes += e.data.size();
  // With a block for its mark.
  const uint64_t end = segment_.position + group_extent(group.entries.size(), bytes) +
                       k_group_alignment + k_hard_state_extent;
  if (end > k_segment_bytes_max) co_return false;
  for (const Reserve which : {Reserve::general, Reserve::hard_state}) {
    if (group.urgent || files_.reserve_held(which)) continue;
    auto made = co_await files_.make_reserve(which);
    if (!made && made.error().code == Errc::no_space) co_return false;
    if (!made) co_return fail(std::move(made.error()));
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto extended = co_await files_.extend(segment_, end);
    if (extended) co_return true;
    if (extended.error().code != Errc::no_space) co_return fail(std::move(extended.error()));
    if (!group.urgent || !files_.reserve_held(Reserve::general)) break;
    world_.trace.probe("raft.store.reserve_used");
    (void)co_await files_.release_reserve(Reserve::general);
  }
  co_return false;
}

// Never answers no_space.
Co<void> DiskStore::room_for_hard_state() {
  const uint64_t end = segment_.position + k_group_alignment;
  const uint64_t wanted = end + k_group_alignment + k_hard_state_extent;  // as entries leave it
  if (wanted <= k_segment_bytes_max) {
    auto extended = co_await files_.extend(segment_, wanted);
    if (extended || extended.error().code != Errc::no_space) co_return extended;
  }
  if (end <= segment_.reserved) co_return Status();
  co_return co_await roll_for_hard_state();
}

// --- Marks -----------------------------------------------------------------------------------------

// The end of the last group is known to be durable only by what is written after it. So that rot in both
// copies of it is not taken for a torn tail, an idle log writes one group that changes nothing.
void DiskStore::schedule_idle_mark() {
  if (stopping_ || !unmarked_) return;
  world_.loop.cancel(idle_timer_);
  idle_timer_ = world_.loop.after(files_.options().idle_mark_delay, alive_.wrap([this] {
    if (stopping_ || !unmarked_) return;
    mark_due_ = true;
    wake();
  }));
}

Co<void> DiskStore::write_mark() {
  mark_due_ = false;
  // A mark is only worth space that is there, and that no hard state may need.
  const uint64_t end = segment_.position + k_group_alignment + k_hard_state_extent;
  if (!unmarked_ || end > segment_.reserved) {
    unmarked_ = false;
    co_return Status();
  }
  const std::vector<Entry> none;
  BASCULE_CO_TRY(co_await files_.write_group(segment_, hard_, terms_.last().next(), none));
  unmarked_ = false;
  co_return Status();
}

}  // namespace bascule::raft

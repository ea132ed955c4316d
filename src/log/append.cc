// Appending: batches into the group that gathers, groups to the disk, the prefix that is durable.
//
// All that one turn appends leaves as one write, frame first, padded to 4 KiB; several may be in
// flight. The group's aligned buffer is the only copy that is made, and stays as the tail in memory.
#include <algorithm>

#include "src/base/crc32c.h"
#include "src/log/log_impl.h"

namespace bascule::log {
namespace {
constexpr uint64_t k_groups_in_flight_max = 8;
}

Slice LogImpl::Group::batches_slice(size_t from, size_t until) const {
  const uint64_t begin = batches[from].position - position;
  const uint64_t end = batches[until - 1].position + batches[until - 1].bytes - position;
  return Slice(buffer, static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

Appended LogImpl::append(const model::BatchHeader& header, ByteView body) {
  REQUIRE(host_.serving() && !stopping_);
  REQUIRE(header.base_offset == leo_, header.base_offset, leo_);
  REQUIRE(header.epoch >= last_epoch_, header.epoch, last_epoch_);
  REQUIRE(header.append_time >= last_append_time_);
  REQUIRE(body.size() == header.body_bytes(), body.size(), header.total_bytes);
  uint8_t sealed[limits::k_batch_header_bytes];
  model::encode_batch_header(header, seed_, sealed);
  const Offset base = leo_;
  place_in_group(header, sealed, body);
  return {Ticket(tickets_), base, leo_};
}

Result<Appended> LogImpl::append_sealed(ByteView batch) {
  REQUIRE(host_.serving() && !stopping_);
  BASCULE_TRY_ASSIGN(const model::BatchHeader header, model::verify_batch(batch, seed_));
  if (header.base_offset != leo_) return fail(Errc::invalid, "batch does not continue the log");
  if (header.epoch < last_epoch_) return fail(Errc::invalid, "the batch's epoch falls");
  if (header.append_time < last_append_time_)
    return fail(Errc::invalid, "the batch's append time falls");
  const Offset base = leo_;
  place_in_group(header, batch.first(limits::k_batch_header_bytes),
                 batch.subspan(limits::k_batch_header_bytes));
  return Appended{Ticket(tickets_), base, leo_};
}

BatchPlace LogImpl::place_in_group(const model::BatchHeader& header, ByteView sealed_header,
                                   ByteView body) {
  REQUIRE(has_space(header.total_bytes), header.total_bytes);
  Group& group = group_for(header.total_bytes);
  uint8_t* at = group.bytes + k_frame_bytes + group.used;
  std::memcpy(at, sealed_header.data(), sealed_header.size());
  if (!body.empty()) std::memcpy(at + sealed_header.size(), body.data(), body.size());
  const BatchPlace place = place_of(header, group.position + k_frame_bytes + group.used);
  if (group.segment->empty()) group.segment->first = header.base_offset;
  group.headers_crc = crc32c(sealed_header, group.headers_crc);
  group.used += header.total_bytes;
  group.batches.push_back(place);
  group.next = place.next;
  group.last_ticket = ++tickets_;
  group.segment->add(place);
  leo_ = place.next;
  if (epochs_.empty() || epochs_.back().epoch != header.epoch)
    epochs_.push_back({header.epoch, header.base_offset});
  last_epoch_ = header.epoch;
  last_append_time_ = header.append_time;
  stats_.bytes += header.total_bytes;
  if (!flush_due_) {
    flush_due_ = true;
    loop().at_turn_end(alive_.wrap([this] {
      flush_due_ = false;
      flush();
    }));
  }
  return place;
}

// The gathering group where the batch fits into it, else a new one.
LogImpl::Group& LogImpl::group_for(size_t bytes) {
  if (!groups_.empty() && groups_.back()->state == GroupState::gathering) {
    Group& last = *groups_.back();
    if (!roll_due(bytes) && last.capacity - last.used >= bytes) return last;
    close_gathering();
    pump();
  }
  const bool fits = end_of_active() + group_extent(bytes) <= active_->reserved;
  const bool next_fits = next_ && group_extent(bytes) <= next_->reserved;
  if (next_fits && (roll_due(bytes) || !fits)) roll();
  ASSERT(active_->write_position + group_extent(bytes) <= active_->reserved);
  // The capacity follows what turns bring, within what is reserved.
  uint64_t extent =
      std::max(group_extent(bytes),
               std::min<uint64_t>(group_extent(group_hint_), host_.options().group_bytes_max));
  extent = std::min(extent, active_->reserved - active_->write_position);
  auto group = std::make_shared<Group>();
  group->sequence = groups_next();
  group->segment = active_;
  group->position = active_->write_position;
  group->buffer = BufferRef::allocate(static_cast<size_t>(extent), k_group_alignment);
  group->bytes = group->buffer.mutable_bytes().data();
  group->capacity = static_cast<size_t>(extent - k_frame_bytes);
  group->first = leo_;
  group->next = leo_;
  cached_bytes_ += extent;
  groups_.push_back(std::move(group));
  return *groups_.back();
}

// Nothing more is added to the group: its place and length are final.
void LogImpl::close_gathering() {
  if (groups_.empty() || groups_.back()->state != GroupState::gathering) return;
  Group& group = *groups_.back();
  const uint64_t extent = group_extent(group.used);
  std::memset(group.bytes + k_frame_bytes + group.used, 0,
              static_cast<size_t>(extent - k_frame_bytes - group.used));
  group.segment->write_position = group.position + extent;
  group.state = GroupState::queued;
  group_hint_ = std::max(group.used, group_hint_ / 2);
  // Twice what filled it up, so that a busy turn soon needs one write alone.
  if (group.capacity - group.used < group.used / 8) group_hint_ = group.used * 2;
}

void LogImpl::flush() {
  if (dead_) return;
  // With all writes busy the group goes on gathering.
  if (in_flight_ >= k_groups_in_flight_max) return;
  close_gathering();
  pump();
  kick_maintenance();
}

void LogImpl::pump() {
  while (!dead_ && in_flight_ < k_groups_in_flight_max && submitted_seq_ < groups_next() &&
         group_at(submitted_seq_).state == GroupState::queued)
    submit(group_at(submitted_seq_));
}

void LogImpl::submit(Group& group) {
  Segment& segment = *group.segment;
  ASSERT(!segment.never_write && !segment.sealed, segment.id);
  const uint64_t extent = group_extent(group.used);
  ASSERT(group.position + extent <= segment.reserved, group.position, extent, segment.reserved);
  const Frame frame{.nonce = segment.nonce,
                    .write_number = segment.write_number++,
                    .position = group.position,
                    .batch_bytes = static_cast<uint32_t>(group.used),
                    .batch_count = static_cast<uint32_t>(group.batches.size()),
                    .first = group.first,
                    .durable_leo = durable_leo_,
                    .headers_crc = group.headers_crc};
  encode_frame(frame, seed_, MutableBytes(group.bytes, k_frame_bytes));
  group.state = GroupState::in_flight;
  group.write = host_.write_began();
  ++submitted_seq_;
  ++in_flight_;
  ++stats_.groups_written;
  stats_.bytes_written += extent;
  const env::Sync mode = mode_ == model::DurabilityMode::fsync ? env::Sync::yes : env::Sync::no;
  std::vector<Slice> pieces;
  pieces.push_back(Slice(group.buffer, 0, static_cast<size_t>(extent)));
  segment.file->write_at(group.position, std::move(pieces), mode,
                         alive_.wrap([this, sequence = group.sequence, mode](Status status) {
                           group_written(sequence, mode, std::move(status));
                         }));
}

void LogImpl::group_written(uint64_t sequence, env::Sync mode, Status status) {
  if (dead_) return;
  if (!status) {
    dead_ = true;
    loop().fail_stop(status.error());
    return;
  }
  --in_flight_;
  host_.write_ended(group_at(sequence).write);
  group_at(sequence).state = mode == env::Sync::yes ? GroupState::durable : GroupState::written;
  if (mode == env::Sync::no) schedule_sync();
  if (!flush_due_) close_gathering();  // what gathered while all writes were busy
  pump();
  advance();
}

void LogImpl::advance() {
  while (written_seq_ < groups_next() && group_at(written_seq_).state >= GroupState::written) {
    written_leo_ = group_at(written_seq_).next;
    written_ticket_ = group_at(written_seq_).last_ticket;
    ++written_seq_;
  }
  while (durable_seq_ < groups_next() && group_at(durable_seq_).state == GroupState::durable) {
    durable_leo_ = group_at(durable_seq_).next;
    durable_ticket_ = group_at(durable_seq_).last_ticket;
    group_at(durable_seq_).segment = nullptr;  // only the bytes are of use from here on
    ++durable_seq_;
  }
  evict();
  progress();
  kick_maintenance();
  complete(written_waiters_, written_ticket_);
  complete(durable_waiters_, durable_ticket_);
}

// Forgets the oldest groups beyond the bound; those that are not on the disk stay.
void LogImpl::evict() {
  while (cached_bytes_ > host_.options().tail_bytes_max && cached_seq_ < written_seq_) {
    Group& group = group_at(cached_seq_++);
    cached_bytes_ -= group.buffer.size();
    group.buffer = {};
    group.bytes = nullptr;
  }
  while (!groups_.empty() && groups_first_ < std::min(cached_seq_, durable_seq_)) {
    groups_.pop_front();
    ++groups_first_;
  }
}

void LogImpl::progress() {
  host_.changed();
  if (!observer_ || progress_due_) return;
  progress_due_ = true;
  loop().post(alive_.wrap([this] {
    progress_due_ = false;
    if (observer_) observer_();
  }));
}

void LogImpl::complete(std::deque<TicketWaiter>& waiters, uint64_t ticket) {
  // A completion may end this object: they run in turns of their own.
  while (!waiters.empty() && waiters.front().ticket <= ticket) {
    loop().post([done = std::move(waiters.front().done)]() mutable { done({}); });
    waiters.pop_front();
  }
}

void LogImpl::wait_for(std::deque<TicketWaiter>& waiters, uint64_t reached, Ticket ticket,
                       env::Done<void> done) {
  REQUIRE(ticket.value <= tickets_, ticket, tickets_);
  if (ticket.value <= reached) {
    loop().post([done = std::move(done)]() mutable { done({}); });
    return;
  }
  auto at = waiters.end();
  while (at != waiters.begin() && std::prev(at)->ticket > ticket.value) --at;
  waiters.insert(at, {ticket.value, std::move(done)});
}

void LogImpl::durable(Ticket ticket, env::Done<void> done) {
  wait_for(durable_waiters_, durable_ticket_, ticket, std::move(done));
}

void LogImpl::written(Ticket ticket, env::Done<void> done) {
  wait_for(written_waiters_, written_ticket_, ticket, std::move(done));
}

void LogImpl::on_progress(std::move_only_function<void()> observer) {
  observer_ = std::move(observer);
}

void LogImpl::set_durability(model::DurabilityMode mode) {
  if (mode_ == mode) return;
  mode_ = mode;
  // What was only written before must not hold back what is synced from now on.
  if (mode == model::DurabilityMode::fsync) sync([](Status) {});
}

void LogImpl::schedule_sync() {
  if (sync_scheduled_) return;
  sync_scheduled_ = true;
  loop().after(host_.options().memory_sync_interval, alive_.wrap([this] {
    sync_scheduled_ = false;
    sync_written();
    for (uint64_t s = durable_seq_; s < groups_next(); ++s)
      if (group_at(s).state < GroupState::written) return schedule_sync();
  }));
}

// Syncs the files of all groups that are written and not durable.
void LogImpl::sync_written() {
  if (dead_) return;
  std::vector<SegmentRef> files;
  std::vector<uint64_t> covered;
  for (uint64_t s = durable_seq_; s < groups_next(); ++s) {
    const Group& group = group_at(s);
    if (group.state != GroupState::written) continue;
    covered.push_back(s);
    if (files.empty() || files.back() != group.segment) files.push_back(group.segment);
  }
  if (files.empty()) return;
  struct Pending {
    size_t files;
    std::vector<uint64_t> covered;
  };
  auto pending = std::make_shared<Pending>(Pending{files.size(), std::move(covered)});
  for (const SegmentRef& segment : files)
    segment->file->sync(alive_.wrap([this, pending, segment](Status status) {
      if (dead_) return;
      if (!status) {
        dead_ = true;
        loop().fail_stop(status.error());
        return;
      }
      if (--pending->files > 0) return;
      for (const uint64_t s : pending->covered)
        if (s >= durable_seq_) group_at(s).state = GroupState::durable;
      advance();
    }));
}

void LogImpl::sync(env::Done<void> done) {
  const Ticket all(tickets_);
  if (tickets_ == durable_ticket_) return durable(all, std::move(done));
  written(all, alive_.wrap([this](Status status) {
    if (status && durable_ticket_ < written_ticket_) sync_written();
  }));
  durable(all, std::move(done));
}

Co<void> LogImpl::wait_durable() {
  co_return co_await call<void>([this](env::Done<void> done) { sync(std::move(done)); });
}

}  // namespace bascule::log

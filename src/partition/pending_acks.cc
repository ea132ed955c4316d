#include "src/partition/pending_acks.h"

#include <functional>
#include <utility>

#include "src/base/assert.h"

namespace bascule::partition {

namespace {
constexpr size_t k_stale_deadlines_max = 256;
}

void PendingAcks::add(const PendingAck& ack) {
  REQUIRE(entries_.empty() || entries_.back().next() == ack.base, ack.base);
  const uint64_t sequence = first_sequence_ + entries_.size();
  entries_.push_back(ack);
  bytes_ += ack.bytes;
  if (!ack.request) return;
  ++waiting_;
  if (ack.deadline == MonotonicTime::never()) return;
  deadlines_.push({ack.deadline, sequence});
  // Answered requests leave the heap late; they must not outnumber those that wait.
  if (deadlines_.size() > 2 * waiting_ + k_stale_deadlines_max) rebuild_deadlines();
}

void PendingAcks::rebuild_deadlines() {
  std::vector<Deadline> live;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const PendingAck& ack = entries_[i];
    if (ack.request && ack.deadline != MonotonicTime::never())
      live.push_back({ack.deadline, first_sequence_ + i});
  }
  deadlines_ = decltype(deadlines_)(std::greater<>{}, std::move(live));
}

void PendingAcks::answer(PendingAck& ack, Outcome outcome, std::vector<AckOutcome>& out) {
  out.push_back({ack.request, outcome, ack.base, ack.count});
  ack.request = {};
  --waiting_;
}

void PendingAcks::complete_leader(Offset counted_leo, std::vector<AckOutcome>& out) {
  if (leader_cursor_ < first_sequence_) leader_cursor_ = first_sequence_;
  while (leader_cursor_ < first_sequence_ + entries_.size()) {
    PendingAck& ack = entries_[leader_cursor_ - first_sequence_];
    if (ack.next() > counted_leo) return;
    if (ack.request && ack.acks == model::Acks::leader) answer(ack, Outcome::acked, out);
    ++leader_cursor_;
  }
}

void PendingAcks::complete_committed(Offset hw, std::vector<AckOutcome>& out) {
  while (!entries_.empty() && entries_.front().next() <= hw) {
    PendingAck& ack = entries_.front();
    if (ack.request) answer(ack, Outcome::acked, out);
    bytes_ -= ack.bytes;
    entries_.pop_front();
    ++first_sequence_;
  }
  if (waiting_ == 0) deadlines_ = {};
}

void PendingAcks::expire(MonotonicTime now, std::vector<AckOutcome>& out) {
  while (next_deadline() <= now) {
    answer(entries_[deadlines_.top().sequence - first_sequence_], Outcome::unknown_deadline, out);
    deadlines_.pop();
  }
}

void PendingAcks::abandon(std::vector<AckOutcome>& out) {
  for (PendingAck& ack : entries_) {
    if (ack.request) answer(ack, Outcome::unknown_leadership_lost, out);
  }
  first_sequence_ += entries_.size();
  entries_.clear();
  deadlines_ = {};
  bytes_ = 0;
}

MonotonicTime PendingAcks::next_deadline() {
  while (!deadlines_.empty()) {
    const Deadline& top = deadlines_.top();
    if (top.sequence >= first_sequence_ && entries_[top.sequence - first_sequence_].request)
      return top.at;
    deadlines_.pop();
  }
  return MonotonicTime::never();
}

void PendingAcks::check_invariants(Offset hw, Offset leo) const {
  uint64_t bytes = 0;
  size_t waiting = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const PendingAck& ack = entries_[i];
    ASSERT(ack.next() > hw, ack.next(), hw);
    ASSERT(i == 0 || entries_[i - 1].next() == ack.base, ack.base);
    bytes += ack.bytes;
    waiting += ack.request ? 1 : 0;
  }
  ASSERT(entries_.empty() || entries_.back().next() == leo, leo);
  ASSERT(bytes == bytes_, bytes, bytes_);
  ASSERT(waiting == waiting_, waiting, waiting_);
}

}  // namespace bascule::partition

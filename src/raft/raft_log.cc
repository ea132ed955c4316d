#include "src/raft/raft_log.h"

#include <algorithm>

namespace bascule::raft {

void RaftLog::append(Entry entry) {
  ASSERT(entry.term >= last_term(), entry.term, last_term());
  bytes_ += entry.cost();
  entries_.push_back(std::move(entry));
}

void RaftLog::cut(Index from) {
  ASSERT(from >= first(), from, first());
  while (last() >= from) {
    bytes_ -= entries_.back().cost();
    entries_.pop_back();
  }
}

void RaftLog::forget(Index to) {
  ASSERT(to <= last(), to, last());
  while (base_ < to) {
    base_term_ = entries_.front().term;
    bytes_ -= entries_.front().cost();
    entries_.pop_front();
    base_ = base_.next();
  }
}

void RaftLog::reset(Index base, Term base_term) {
  entries_.clear();
  bytes_ = 0;
  base_ = base;
  base_term_ = base_term;
}

Index RaftLog::first_of_term_at(Index upto) const {
  const auto end = entries_.begin() + static_cast<ptrdiff_t>(upto.value - base_.value);
  const auto found = std::partition_point(
      entries_.begin(), end,
      [term = at(upto).term](const Entry& entry) { return entry.term < term; });
  return Index(base_.value + 1 + static_cast<uint64_t>(found - entries_.begin()));
}

std::optional<Index> RaftLog::last_at_most(Term term, Index upto) const {
  upto = std::min(upto, last());
  if (upto < base_) return std::nullopt;
  const auto end = entries_.begin() + static_cast<ptrdiff_t>(upto.value - base_.value);
  const auto found = std::partition_point(
      entries_.begin(), end, [term](const Entry& entry) { return entry.term <= term; });
  if (found == entries_.begin() && base_term_ > term) return std::nullopt;
  return Index(base_.value + static_cast<uint64_t>(found - entries_.begin()));
}

}  // namespace bascule::raft

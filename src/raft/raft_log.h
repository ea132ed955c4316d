// The log of one machine in memory: what follows the last compaction, with O(1) access by index. It knows
// terms and bytes, and nothing of what is committed, durable or in force.
#pragma once

#include <deque>
#include <optional>

#include "src/base/assert.h"
#include "src/raft/types.h"

namespace bascule::raft {

class RaftLog {
 public:
  // The first entry will have `base` + 1; `base_term` is the term of the entry at `base` (0 of none).
  RaftLog(Index base, Term base_term) : base_(base), base_term_(base_term) {}

  Index first() const { return base_.next(); }  // of what is here, or will be
  Index last() const { return Index(base_.value + entries_.size()); }
  Term last_term() const { return entries_.empty() ? base_term_ : entries_.back().term; }
  // The base has a term too; nothing below it or above last() has.
  std::optional<Term> term_at(Index index) const {
    if (index == base_) return base_term_;
    if (index < base_ || index > last()) return std::nullopt;
    return at(index).term;
  }
  // Requires first() <= index <= last().
  const Entry& at(Index index) const {
    REQUIRE(index > base_ && index <= last(), index, base_);
    return entries_[index.value - base_.value - 1];
  }
  // Of the entries that are here, for their bound.
  size_t bytes() const { return bytes_; }

  void append(Entry entry);
  // Removes `from` and all behind it. Requires first() <= from.
  void cut(Index from);
  // Forgets all up to `to`. Requires to <= last().
  void forget(Index to);
  // Holds nothing, and begins anew behind `base`.
  void reset(Index base, Term base_term);

  // Terms never fall along a log, so these are binary searches.
  // The first index in (base, upto] that has the term of `upto`. Requires first() <= upto <= last().
  Index first_of_term_at(Index upto) const;
  // The last index in [base, upto] whose term is at most `term`; none: even the base has a later one.
  std::optional<Index> last_at_most(Term term, Index upto) const;

 private:
  Index base_;
  Term base_term_;
  std::deque<Entry> entries_;  // entries_[i] has index base_ + 1 + i
  size_t bytes_ = 0;
};

}  // namespace bascule::raft

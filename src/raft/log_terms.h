// The terms of a log's entries, as runs: what a store needs to know of a log whose entries it has written.
//
// Invariant: runs ascend, none is empty, and they cover [base + 1, last].
#pragma once

#include <optional>
#include <vector>

#include "src/raft/types.h"

namespace bascule::raft {

class LogTerms {
 public:
  Index base() const { return base_; }
  Index last() const { return last_; }

  // Nothing is known but that the log ends at `base`, whose term this is.
  void reset(Index base, Term term) {
    base_ = last_ = base;
    base_term_ = term;
    runs_.clear();
  }
  void append(Term term) {
    if (runs_.empty() || runs_.back().term != term) runs_.push_back({last_.next(), term});
    last_ = last_.next();
  }
  // The log ends right before `first`. Requires base < first.
  void cut(Index first) {
    REQUIRE(first > base_, first, base_);
    if (first > last_) return;
    last_ = Index(first.value - 1);
    while (!runs_.empty() && runs_.back().first > last_) runs_.pop_back();
  }
  // Nothing: not in [base, last].
  std::optional<Term> at(Index index) const {
    if (index < base_ || index > last_) return std::nullopt;
    if (index == base_) return base_term_;
    for (size_t i = runs_.size(); i-- > 0;)
      if (runs_[i].first <= index) return runs_[i].term;
    return std::nullopt;
  }
  // Forgets what is before `base`. Requires base() <= base <= last().
  void drop_through(Index base) {
    REQUIRE(base >= base_ && base <= last_, base, base_, last_);
    base_term_ = *at(base);
    base_ = base;
    size_t gone = 0;
    while (gone + 1 < runs_.size() && runs_[gone + 1].first <= base.next()) ++gone;
    if (base == last_) gone = runs_.size();
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(gone));
    if (!runs_.empty() && runs_.front().first <= base) runs_.front().first = base.next();
  }

 private:
  struct Run {
    Index first;
    Term term;
  };
  Index base_;
  Index last_;
  Term base_term_;
  std::vector<Run> runs_;
};

}  // namespace bascule::raft

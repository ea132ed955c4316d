// O4, election safety (paper fig. 3): at most one leader in a term. A member that dies and comes back leads
// under another term.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "sim/worlds/world.h"
#include "src/raft/types.h"

namespace bascule::sim {

class OneLeader {
 public:
  explicit OneLeader(Verdict& verdict) : verdict_(verdict) {}

  // True: this is the first that is seen of this leadership. `life` numbers the lives of all members.
  bool leads(Term term, const raft::MemberId& who, uint64_t life) {
    const auto [it, first] = leaders_.try_emplace(term, who, life);
    if (!first && it->second != std::pair(who, life))
      verdict_.fire("O4", who.to_string() + " leads term " + term.to_string() + ", and so did " +
                              it->second.first.to_string() +
                              (it->second.first == who ? " in an earlier life" : ""));
    return first;
  }
  size_t leaderships() const { return leaders_.size(); }
  Term last() const { return leaders_.empty() ? Term() : leaders_.rbegin()->first; }

 private:
  Verdict& verdict_;
  std::map<Term, std::pair<raft::MemberId, uint64_t>> leaders_;
};

}  // namespace bascule::sim

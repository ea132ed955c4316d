// O8, state machine safety (paper fig. 3): no two members apply different entries at one index, whatever they
// applied before it; nobody skips one, or takes one back.
#pragma once

#include "sim/oracles/raft_history.h"
#include "sim/worlds/world.h"

namespace bascule::sim {

class AppliedChain {
 public:
  AppliedChain(RaftHistory& history, Verdict& verdict) : history_(history), verdict_(verdict) {}

  // One member, `who`, has applied an entry; `before` is the last index that its life had applied, `chain`
  // is its own, over all that it has.
  void applied(const std::string& who, Index before, Index index, const CommittedEntry& entry);
  // A state came out of a snapshot.
  void restored(const std::string& who, Index index, uint64_t chain);

 private:
  RaftHistory& history_;
  Verdict& verdict_;
};

}  // namespace bascule::sim

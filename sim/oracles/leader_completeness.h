// O5, leader completeness (paper fig. 3): who becomes leader holds all that was committed before; and a leader
// moves its commit index only to entries of its own term (paper §5.4.2).
#pragma once

#include "sim/oracles/raft_history.h"
#include "sim/worlds/world.h"
#include "src/raft/raft.h"

namespace bascule::sim {

class LeaderCompleteness {
 public:
  LeaderCompleteness(const RaftHistory& history, Verdict& verdict)
      : history_(history), verdict_(verdict) {}

  void elected(const raft::Raft& leader);
  // Within the term that it leads, from `before`.
  void commit_moved(const raft::Raft& leader, Index before);

 private:
  const RaftHistory& history_;
  Verdict& verdict_;
};

}  // namespace bascule::sim

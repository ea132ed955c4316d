// The operator of world `raft`: changes the membership through whoever leads, and never asks for a
// configuration that the disks that are there could not carry.
#pragma once

#include "sim/worlds/raft/raft_story.h"

namespace bascule::sim {

class RaftOperator {
 public:
  explicit RaftOperator(RaftStory& story) : story_(story) {}
  // There are no faults any more.
  void all_healed() { healed_ = true; }
  // What was asked and is not begun yet never will be: who is enough for the configurations that there are
  // need not be enough for one that a paused leader comes to later.
  void withdraw() { ++withdrawn_; }

  // --- One step each. False: there is no leader, or nothing to ask for.
  bool learn(NodeId node);    // the node becomes a learner
  bool promote(NodeId node);  // a learner votes, in the place of an earlier storage of its node
  bool remove(NodeId node);   // the node is no member
  bool swap(NodeId out, NodeId in);

  // The next step towards a cluster whose members are all there: what is lost is replaced by what its node
  // holds now. True: nothing is left to do.
  bool repair();

 private:
  bool propose(raft::Configuration next);
  bool sound(const raft::Configuration& next) const;
  const raft::Configuration* in_force() const;

  RaftStory& story_;
  bool healed_ = false;
  uint64_t withdrawn_ = 0;
};

}  // namespace bascule::sim

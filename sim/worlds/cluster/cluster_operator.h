// The operator of world `cluster`: changes the membership through the brokers' API, never to what the disks that
// are there could not carry, and replaces disks.
#pragma once

#include <functional>

#include "sim/worlds/cluster/cluster_story.h"

namespace bascule::sim {

class ClusterOperator {
 public:
  explicit ClusterOperator(ClusterStory& story) : story_(story) {}
  // There are no faults any more.
  void all_healed() { healed_ = true; }
  // A change was asked for, and it is not known that it is over: no disk may be taken meanwhile.
  bool in_doubt() const { return asked_ != answered_; }

  // --- One step each. False: there is nobody to ask, or nothing to ask for.
  bool add(NodeId node, NodeId replaces);  // a learner votes; an earlier storage of its node goes
  bool remove(NodeId node);                // the node is stopped and taken out
  bool transfer(NodeId node);
  bool set_session_timeout(Duration timeout);

  // New disks for what counts for nobody any more.
  void wipe_what_is_lost();
  // Its node comes back as one that nobody knows.
  void wipe(Seat& seat);
  // The next step towards a cluster whose members are all there. True: nothing is left to do.
  bool repair();

 private:
  bool sound(const raft::Configuration& next) const;
  const raft::Configuration* in_force() const;
  bool change(const broker::ClusterChange& request);
  Seat* any_broker(const Seat* but = nullptr);

  ClusterStory& story_;
  bool healed_ = false;
  uint64_t asked_ = 0;  // changes of members
  uint64_t answered_ = 0;
  uint64_t turn_ = 0;
};

}  // namespace bascule::sim

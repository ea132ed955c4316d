// Who must not get in: a copy of a living broker's disk, started beside it; and a broker whose disk says that it
// belongs to another cluster. Played after the chaos, while nothing fails: the original lives and is connected.
#pragma once

#include <functional>

#include "sim/worlds/cluster/cluster_story.h"

namespace bascule::sim {

class Intruders {
 public:
  // Makes the process of a broker that was told to be this seat's, on the intruder's node.
  using Boot = std::function<std::unique_ptr<Program>(Node& node, env::World& world,
                                                      controller::ControllerWatcher* watcher,
                                                      ClusterProgram::Opened opened)>;

  Intruders(Simulation& sim, ClusterStory& story) : sim_(sim), story_(story) {}

  // The clone's process must end by itself, and must not have been open before.
  void clone(const Seat& original, Node& beside, const Boot& boot);
  // The seat's process is down; its disk is made one of another cluster. It must not be let in.
  void other_cluster(Seat& seat, const Boot& boot);

 private:
  Simulation& sim_;
  ClusterStory& story_;
};

}  // namespace bascule::sim

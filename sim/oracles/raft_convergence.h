// O16: once all has healed, every member has the log, the commit index and the state of the leader.
#pragma once

#include <string>
#include <vector>

#include "sim/worlds/raft/raft_story.h"

namespace bascule::sim {

// What is not there yet; empty: all is. `leader` null: nobody leads.
std::string not_converged(const std::vector<Seat>& seats, const Seat* leader);

}  // namespace bascule::sim

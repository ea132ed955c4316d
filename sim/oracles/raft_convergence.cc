#include "sim/oracles/raft_convergence.h"

#include <algorithm>

namespace bascule::sim {

std::string not_converged(const std::vector<Seat>& seats, const Seat* leader) {
  if (leader == nullptr) return "nobody leads";
  const raft::Raft& lead = leader->driver()->machine();
  if (!lead.configuration_committed() || lead.configuration().joint())
    return "a change of members is under way";
  for (const raft::Member& member : lead.configuration().all()) {
    const auto seat = std::ranges::find(seats, member.id, &Seat::member);
    if (seat == seats.end() || seat->driver() == nullptr)
      return member.id.to_string() + " is not there";
    const raft::RaftDriver& driver = *seat->driver();
    const raft::Raft& machine = driver.machine();
    if (machine.term() != lead.term() || machine.last_index() != lead.last_index() ||
        machine.commit() != lead.last_index() || driver.applied() != lead.last_index() ||
        machine.durable_index() != lead.last_index())
      return member.id.to_string() + " has term " + machine.term().to_string() + ", entries to " +
             machine.last_index().to_string() + ", commit " + machine.commit().to_string() +
             ", durable " + machine.durable_index().to_string() + "; the leader has term " +
             lead.term().to_string() + ", entries to " + lead.last_index().to_string();
    if (seat->program()->chain().chain() != leader->program()->chain().chain())
      return member.id.to_string() + " has another state than the leader";
    if (machine.configuration() != lead.configuration())
      return member.id.to_string() + " has another configuration than the leader";
  }
  return {};
}

}  // namespace bascule::sim

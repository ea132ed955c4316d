#include "sim/oracles/leader_completeness.h"

namespace bascule::sim {

void LeaderCompleteness::elected(const raft::Raft& leader) {
  const std::string who =
      leader.self().to_string() + ", elected for term " + leader.term().to_string() + ",";
  // A leader of an earlier term may be elected, late, while a later one commits.
  const Index last = history_.last_before(leader.term());
  if (leader.last_index() < last)
    return verdict_.fire("O5", who + " ends at " + leader.last_index().to_string() + ", " +
                                   last.to_string() + " was committed before");
  // Terms never fall along a log, and equal (index, term) means equal logs before: the last entry, and some
  // below it against our own mistakes, say it all.
  uint64_t step = 1;
  for (uint64_t index = last.value; index >= leader.first_index().value && index > 0;) {
    const auto term = leader.term_at(Index(index));
    if (term && *term != history_.at(Index(index)).term)
      return verdict_.fire("O5", who + " holds an entry of term " + term->to_string() + " at " +
                                     std::to_string(index) + ", committed there was one of term " +
                                     history_.at(Index(index)).term.to_string());
    if (index <= step) break;
    index -= step;
    step *= 2;
  }
}

void LeaderCompleteness::commit_moved(const raft::Raft& leader, Index before) {
  const auto term = leader.term_at(leader.commit());
  if (term && *term != leader.term())
    verdict_.fire("O5", leader.self().to_string() + " leads term " + leader.term().to_string() +
                            " and commits " + before.next().to_string() + " to " +
                            leader.commit().to_string() + ", which ends with an entry of term " +
                            term->to_string());
}

}  // namespace bascule::sim

// The follower's side of replication (paper fig. 2, AppendEntries).
#include <algorithm>

#include "src/raft/raft_state.h"

namespace bascule::raft {

// `leader` leads the present term: there is no other one in it.
Follower& Raft::State::follow(const MemberId& leader_id) {
  auto* follower = std::get_if<Follower>(&role);
  if (!follower || follower->leader != leader_id) {
    // A leader that was taken for gone is heard again: what its term has proven still holds.
    const Index matched = follower ? follower->matched : Index{};
    become_follower(hard.term, leader_id);
    follower = &std::get<Follower>(role);
    follower->matched = matched;
  }
  follower->heard = now;
  reset_election_timer();
  return *follower;
}

// Whether an honest leader of this term may have said so.
bool Raft::State::well_formed(const AppendRequest& request) const {
  if (request.prev_term > hard.term || (request.prev_index.value == 0) != !request.prev_term ||
      request.prev_index.value > UINT64_MAX - request.entries.size() - 1)
    return false;
  Term term = request.prev_term;
  for (const Entry& entry : request.entries) {
    if (!entry.term || entry.term < term || entry.term > hard.term) return false;
    if (entry.kind > EntryKind::configuration) return false;
    if (entry.kind == EntryKind::configuration && !decode_configuration(entry.data)) return false;
    term = entry.term;
  }
  return true;
}

void Raft::State::on_append_request(const MemberId& from, const AppendRequest& request) {
  // Two leaders of one term cannot be (paper §5.2); what says otherwise is not heard.
  if (std::holds_alternative<Leader>(role) || !well_formed(request)) return drop();
  if (const MemberId known = leader(); known && known != from) return drop();
  Follower& follower = follow(from);
  // What is committed here is in the log of every later leader (paper §5.4.3); nothing of it is looked at.
  if (request.prev_index >= commit && log.term_at(request.prev_index) != request.prev_term)
    return refuse(from, request);
  const bool more = take_in(request, follower);
  commit_to(std::max(commit, std::min(request.commit, follower.matched)));
  // What this message brought is acknowledged once it is durable; the rest as far as it is.
  send(from,
       AppendResponse{.accepted = true,
                      .index = more ? follower.matched : std::min(follower.matched, durable),
                      .last_index = log.last(),
                      .round = request.round},
       more ? After::log : After::hard);
}

// Fig. 2, steps 3 and 4. True: something of it is new here.
bool Raft::State::take_in(const AppendRequest& request, Follower& follower) {
  Index index = request.prev_index;
  bool more = false;
  for (const Entry& entry : request.entries) {
    const Index at = index.next();
    if (at > commit && log.term_at(at) != entry.term) {
      // A disk that takes no writes takes in no entries; the leader sends them again.
      if (!can_persist) break;
      if (at <= log.last()) cut(at);
      log.append(entry);
      if (entry.kind == EntryKind::configuration)
        use_configuration(at, *decode_configuration(entry.data));
      more = true;
    }
    index = at;
  }
  follower.matched = std::max({follower.matched, index, commit});
  return more;
}

void Raft::State::refuse(const MemberId& from, const AppendRequest& request) {
  AppendResponse response{.accepted = false,
                          .index = request.prev_index,
                          .last_index = log.last(),
                          .round = request.round};
  if (request.prev_index >= log.first() && request.prev_index <= log.last()) {
    response.conflict_term = *log.term_at(request.prev_index);
    response.conflict_first = log.first_of_term_at(request.prev_index);
  }
  send(from, response);
}

// Removes what conflicts with the leader's log, from `from` on: none of it is committed.
void Raft::State::cut(Index from) {
  ASSERT(from > commit, from, commit);
  log.cut(from);
  const Index last(from.value - 1);
  durable = std::min(durable, last);
  for (PersistInFlight& flight : persists) flight.last = std::min(flight.last, last);
  unpersisted_first = std::min(unpersisted_first, from);
  while (configurations.size() > 1 && configurations.back().index >= from)
    configurations.pop_back();
  configuration_moved();
}

}  // namespace bascule::raft

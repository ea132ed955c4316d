// What holds of a machine between any two calls: the paper's fig. 3 as far as one member can see it, and
// what the parts of the state promise each other.
#include <algorithm>

#include "src/raft/raft_state.h"

namespace bascule::raft {
namespace {

void check_progress(const Progress& p, const RaftLog& log, uint64_t round) {
  ASSERT(p.match < p.next, p.match, p.next);
  ASSERT(p.match <= log.last() && p.next <= log.last().next(), p.match, p.next, log.last());
  ASSERT(p.round <= round, p.round, round);
  ASSERT(p.transfer.has_value() == (p.state == ProgressState::snapshot));
  ASSERT(p.in_flight.count() == 0 || p.state == ProgressState::replicate);
}

}  // namespace

void Raft::State::check_invariants() const {
  // The log: indexes in their order, terms that never fall, and none beyond the machine's own.
  ASSERT(applied <= commit && commit <= log.last(), applied, commit, log.last());
  ASSERT(durable <= log.last(), durable, log.last());
  ASSERT(snapshot_on_its_way || log.first() <= applied.next(), log.first(), applied);
  ASSERT(snapshot.meta.index.value + 1 >= log.first().value, snapshot.meta.index, log.first());
  ASSERT(log.last_term() <= hard.term, log.last_term(), hard.term);
  ASSERT(unpersisted_first <= log.last().next(), unpersisted_first, log.last());
  ASSERT(snapshot_dirty || snapshot_on_its_way || durable < unpersisted_first, durable,
         unpersisted_first);
  for (Index i = std::max(log.first(), Index(log.last().value > 4 ? log.last().value - 4 : 1));
       i <= log.last(); i = i.next())
    ASSERT(*log.term_at(Index(i.value - 1)) <= log.at(i).term, i);

  // What was there before: terms and commit indexes never fall, a vote is never changed, what is committed
  // stays what it was.
  ASSERT(hard.term >= seen.term, hard.term, seen.term);
  ASSERT(hard.term > seen.term || !seen.vote || hard.vote == seen.vote, hard.vote, seen.vote);
  ASSERT(commit >= seen.commit && applied >= seen.applied, commit, seen.commit);
  if (const auto term = log.term_at(seen.commit); term && seen.commit_term)
    ASSERT(*term == seen.commit_term, seen.commit, *term, seen.commit_term);
  seen = {hard.term, hard.vote, commit, log.term_at(commit).value_or(Term{}), applied, durable};

  // Configurations: each is that of its entry, at most one is not committed but for the founding one.
  ASSERT(!configurations.empty());
  for (size_t i = 1; i < configurations.size(); ++i)
    ASSERT(configurations[i - 1].index < configurations[i].index, configurations[i].index);
  ASSERT(configuration_index() <= log.last(), configuration_index(), log.last());
  ASSERT(self_votes == configuration().is_voter(self));

  if (const auto* lead = std::get_if<Leader>(&role)) {
    ASSERT(hard.vote == self, hard.vote, self);
    // Leader append-only: the entries of its term are from term_start on.
    ASSERT(lead->term_start <= log.last(), lead->term_start, log.last());
    ASSERT(can_persist);
    for (const Progress& p : lead->progress) check_progress(p, log, lead->round);
    ASSERT(lead->reads.size() <= options.reads_max, lead->reads.size());
    // What a quorum has is committed as soon as it may be.
    const Index have(quorum_value(*lead, [&](uint16_t at) -> uint64_t {
      return at == Leader::k_self ? durable.value : lead->progress[at].match.value;
    }));
    ASSERT(have <= commit || log.term_at(have) != hard.term, have, commit);
  } else if (const auto* candidate = std::get_if<Candidate>(&role)) {
    ASSERT(hard.vote == self && may_stand(), hard.vote, self);
    ASSERT(std::ranges::is_sorted(candidate->granted));
  } else if (const auto* follower = std::get_if<Follower>(&role)) {
    ASSERT(follower->matched <= log.last(), follower->matched, log.last());
    ASSERT(follower->leader != self, self);
  } else {
    ASSERT(may_stand());
  }
}

}  // namespace bascule::raft

// Who leads: timeouts, pre-votes, votes, and how a leadership ends (paper §5.2, §5.4.1; thesis §4.2.3, §6.2,
// §9.6). Handing it over is in transfer.cc.
#include <algorithm>

#include "src/raft/raft_state.h"

namespace bascule::raft {
namespace {

void insert(std::vector<MemberId>& members, const MemberId& member) {
  const auto at = std::ranges::lower_bound(members, member);
  if (at == members.end() || *at != member) members.insert(at, member);
}

// A vote that is not answered is asked for again, a few times within a timeout: the question may be lost, or
// a voter may have been sure of its leader a moment ago.
constexpr int64_t k_heartbeats_between_asking = 2;

}  // namespace

void Raft::State::tick() {
  if (auto* lead = std::get_if<Leader>(&role)) return lead_tick(*lead);
  if (auto* follower = std::get_if<Follower>(&role)) expire_reads(*follower);
  if (!may_stand()) return;
  if (now >= election_due) return stand();
  if (auto* pre = std::get_if<PreCandidate>(&role); pre && now >= pre->ask_again) {
    ask_for_pre_votes();
  } else if (auto* candidate = std::get_if<Candidate>(&role);
             candidate && now >= candidate->ask_again) {
    ask_for_votes();
  }
}

// Drawn anew each time, so that split votes end (paper §5.2). Who is the only voter waits for nobody.
void Raft::State::reset_election_timer() {
  const auto& in_force = configuration();
  const bool alone = self_votes && in_force.voters.size() == 1 && in_force.outgoing.empty();
  election_due =
      alone ? now
            : now + random.between(options.election_timeout_min, options.election_timeout_max);
}

// Thesis §4.2.2: who is not a voter of C_new may still be needed until that is committed, since it may be
// the only one that has the entry; it stands, and counts the votes of C_new, its own not among them.
bool Raft::State::may_stand() const {
  if (!can_persist) return false;
  if (self_votes) return true;
  return configuration_index() > commit && configurations.size() > 1 &&
         configurations[configurations.size() - 2].configuration.is_voter(self);
}

// Thesis §4.2.3: within the minimum election timeout of hearing from a leader, nobody else is needed.
bool Raft::State::hears_leader() const {
  if (std::holds_alternative<Leader>(role)) return true;
  const auto* follower = std::get_if<Follower>(&role);
  return follower && follower->leader && now - follower->heard < options.election_timeout_min;
}

MemberId Raft::State::leader() const {
  if (std::holds_alternative<Leader>(role)) return self;
  const auto* follower = std::get_if<Follower>(&role);
  return follower ? follower->leader : MemberId{};
}

Role Raft::State::role_now() const {
  if (std::holds_alternative<Leader>(role)) return Role::leader;
  if (std::holds_alternative<Candidate>(role)) return Role::candidate;
  if (std::holds_alternative<PreCandidate>(role)) return Role::pre_candidate;
  return self_votes ? Role::follower : Role::learner;
}

void Raft::State::set_term(Term term) {
  ASSERT(term > hard.term, term, hard.term);
  hard = {term, MemberId{}};
  hard_dirty = true;
  // What the earlier term still had to say after its writes is not said any more: the writes may never be
  // made in that form, and nobody needs it.
  out.after_persist.clear();
  held.clear();
}

// `of`: the leader, or none as long as it is not known.
void Raft::State::become_follower(Term term, const MemberId& of) {
  if (term > hard.term) set_term(term);
  const bool had_timer = std::holds_alternative<Follower>(role);
  leave_role();
  role = Follower{.leader = of, .heard = now, .matched = {}, .incoming = {}, .reads = {}};
  // A follower that only learns of a term keeps its timeout: else one that cannot win keeps all others from
  // standing.
  if (!had_timer || of) reset_election_timer();
}

// Who waits for something that only the present role can give is told.
void Raft::State::leave_role() {
  if (auto* lead = std::get_if<Leader>(&role)) {
    refuse_reads(*lead);
  } else if (auto* follower = std::get_if<Follower>(&role)) {
    refuse_reads(*follower);
  }
}

// An election timeout is over. Thesis §9.6: first ask whether the others would vote, so that a member that
// cannot win, or is alone, does not drive up the term.
void Raft::State::stand() {
  ASSERT(may_stand());
  leave_role();
  role = PreCandidate{.granted = {self}, .ask_again = now};
  reset_election_timer();
  if (quorum_granted(std::get<PreCandidate>(role).granted)) return campaign(false);
  ask_for_pre_votes();
}

void Raft::State::ask_for_pre_votes() {
  auto& pre = std::get<PreCandidate>(role);
  pre.ask_again = now + options.heartbeat * k_heartbeats_between_asking;
  const VoteRequest request{.pre = true, .last_index = log.last(), .last_term = log.last_term()};
  ask_voters(request, pre.granted);
}

// Each voter that has not granted it yet; one that votes in both halves is asked once.
void Raft::State::ask_voters(const VoteRequest& request, const std::vector<MemberId>& granted) {
  std::vector<MemberId> asked = granted;
  insert(asked, self);
  for (const auto* voters : {&configuration().voters, &configuration().outgoing}) {
    for (const Member& voter : *voters) {
      if (std::ranges::binary_search(asked, voter.id)) continue;
      insert(asked, voter.id);
      send(voter.id, request);
    }
  }
}

// Paper fig. 2, candidates: a new term, the own vote, and everyone is asked. The own vote counts like those of
// others, once it is durable: a leader that its own crash could make forget that it was one never is.
void Raft::State::campaign(bool transfer) {
  leave_role();
  set_term(hard.term.next());
  hard.vote = self;
  role = Candidate{.granted = {}, .transfer = transfer, .ask_again = now};
  // Also where it is alone: standing again would undo what is on its way.
  election_due = now + random.between(options.election_timeout_min, options.election_timeout_max);
  ask_for_votes();
}

// The hard state is durable, and with it the own vote.
void Raft::State::count_own_vote(Candidate& candidate) {
  insert(candidate.granted, self);
  if (quorum_granted(candidate.granted)) become_leader();
}

void Raft::State::ask_for_votes() {
  auto& candidate = std::get<Candidate>(role);
  candidate.ask_again = now + options.heartbeat * k_heartbeats_between_asking;
  const VoteRequest request{.pre = false,
                            .transfer = candidate.transfer,
                            .last_index = log.last(),
                            .last_term = log.last_term()};
  ask_voters(request, candidate.granted);
}

void Raft::State::become_leader() {
  Leader lead;
  lead.term_start = log.last().next();
  lead.heartbeat_due = now + options.heartbeat;
  lead.quorum_check_due = now + options.election_timeout_max;
  for (Index i = commit.next(); i <= log.last(); i = i.next())
    lead.uncommitted_bytes += log.at(i).cost();
  role = std::move(lead);
  rebuild_progress(std::get<Leader>(role));
  // Thesis §6.4: an entry of the own term at once, without which nothing before it is known to be
  // committed (paper §5.4.2).
  append(Entry{hard.term, EntryKind::empty, {}});
}

// Paper §5.4.1.
bool Raft::State::log_is_up_to_date(const VoteRequest& request) const {
  return request.last_term > log.last_term() ||
         (request.last_term == log.last_term() && request.last_index >= log.last());
}

// Asked by whomever: who is not in this member's configuration may be in a newer one (thesis §4.1).
void Raft::State::on_vote_request(const MemberId& from, Term from_term,
                                  const VoteRequest& request) {
  VoteResponse response{.pre = request.pre, .granted = false};
  if (request.pre) {
    // Would it get the vote of the term after its own?
    response.granted = from_term >= hard.term && log_is_up_to_date(request) && !hears_leader();
  } else if (from_term > hard.term) {
    return drop();  // step() kept the term: a leader is heard
  } else if (from_term == hard.term && std::holds_alternative<Follower>(role)) {
    const bool free = (!hard.vote && !leader()) || hard.vote == from;
    response.granted = free && log_is_up_to_date(request);
    if (response.granted) {
      hard_dirty |= hard.vote != from;
      hard.vote = from;
      reset_election_timer();
    }
  }
  send(from, response);
}

void Raft::State::on_vote_response(const MemberId& from, const VoteResponse& response) {
  if (!response.granted || !configuration().is_voter(from)) return;
  if (auto* pre = std::get_if<PreCandidate>(&role); pre && response.pre) {
    insert(pre->granted, from);
    if (quorum_granted(pre->granted)) campaign(false);
  } else if (auto* candidate = std::get_if<Candidate>(&role); candidate && !response.pre) {
    insert(candidate->granted, from);
    if (quorum_granted(candidate->granted)) become_leader();
  }
}

void Raft::State::lead_tick(Leader& lead) {
  if (lead.transfer && now >= lead.transfer->give_up) lead.transfer.reset();
  if (now >= lead.quorum_check_due) check_quorum(lead);
  if (!std::holds_alternative<Leader>(role)) return;
  if (now < lead.heartbeat_due) return;
  lead.heartbeat_due = now + options.heartbeat;
  send_heartbeats(lead);
}

// Thesis §6.2: a leader that a quorum has not answered for an election timeout steps down. Who looks much
// too late was itself not running, and its answers may wait to be read: it looks once more before it does.
void Raft::State::check_quorum(Leader& lead) {
  const bool late = now - lead.quorum_check_due > options.heartbeat;
  const uint64_t heard = quorum_value(lead, [&](uint16_t at) -> uint64_t {
    return at == Leader::k_self || lead.progress[at].recent ? 1 : 0;
  });
  if (heard == 0 && !(late && !lead.quorum_check_put_off))
    return become_follower(hard.term, MemberId{});
  lead.quorum_check_put_off = heard == 0;
  lead.quorum_check_due = now + options.election_timeout_max;
  if (heard != 0)
    for (Progress& progress : lead.progress) progress.recent = false;
}

void Raft::State::set_can_persist(bool can) {
  if (can_persist == can) return;
  can_persist = can;
  if (auto* lead = std::get_if<Leader>(&role); lead && !can) {
    pass_on(*lead);
    become_follower(hard.term, MemberId{});
  } else if (!can && !std::holds_alternative<Follower>(role)) {
    become_follower(hard.term, MemberId{});
  } else if (can) {
    reset_election_timer();
  }
}

// All voters hear of it at about the same time: a short random pause keeps them from standing at once.
void Raft::State::leader_is_gone(const MemberId& gone) {
  auto* follower = std::get_if<Follower>(&role);
  if (!follower || !gone || follower->leader != gone) return;
  refuse_reads(*follower);
  follower->leader = MemberId{};
  election_due = std::min(election_due, now + random.between(Duration{}, options.heartbeat * 2));
}

}  // namespace bascule::raft

// Who is a member: joint changes (paper §6; thesis §4.3), and what follows when one is committed.
#include <algorithm>

#include "src/raft/raft_state.h"

namespace bascule::raft {
namespace {

bool has(const std::vector<Member>& members, const MemberId& id) {
  return std::ranges::find(members, id, &Member::id) != members.end();
}

bool same_ids(const std::vector<Member>& a, const std::vector<Member>& b) {
  return std::ranges::equal(a, b, {}, &Member::id, &Member::id);
}

}  // namespace

Result<Index> Raft::State::change_membership(std::vector<Member> voters,
                                             std::vector<Member> learners) {
  auto* lead = std::get_if<Leader>(&role);
  if (!lead) return fail(Errc::not_leader, "change of members");
  const Configuration& present = configuration();
  if (present.joint() || configuration_index() > commit)
    return fail(Errc::busy, "another change of members is under way");
  // The bug of thesis §4.2 as first published, found later: a leader that has committed nothing may not know
  // of a change that an earlier one began.
  if (commit < lead->term_start)
    return fail(Errc::not_yet, "the leader has not committed an entry of its term");
  if (lead->transfer) return fail(Errc::not_yet, "leadership is being handed over");
  std::ranges::sort(voters, {}, &Member::id);
  std::ranges::sort(learners, {}, &Member::id);
  Configuration next{
      .voters = std::move(voters), .outgoing = {}, .learners = std::move(learners), .demoted = {}};
  BASCULE_TRY(next.check());
  if (next == present) return fail(Errc::invalid, "the members are these already");
  // The same voters: their majorities overlap, and no joint configuration is needed.
  if (!same_ids(next.voters, present.voters)) {
    for (const Member& voter : next.voters)
      if (!has(present.voters, voter.id)) BASCULE_TRY(may_vote_soon(*lead, voter));
    next.outgoing = present.voters;
    std::vector<Member> only_learners;
    for (Member& learner : next.learners)
      (has(next.outgoing, learner.id) ? next.demoted : only_learners).push_back(std::move(learner));
    next.learners = std::move(only_learners);
    BASCULE_TRY(next.check());
  }
  const Index index =
      append({hard.term, EntryKind::configuration, Slice::copy_of(encode_configuration(next))});
  use_configuration(index, std::move(next));
  return index;
}

// A voter-to-be must be a learner that follows, at most one window of appends behind: else commits would
// wait for it (thesis §4.2.1).
Status Raft::State::may_vote_soon(Leader& lead, const Member& voter) {
  const std::string name = "voter " + voter.id.to_string();
  const Progress* progress = progress_of(lead, voter.id);
  if (!progress) return fail(Errc::not_yet, name + " must be a learner first");
  if (progress->state != ProgressState::replicate ||
      now - progress->heard > options.election_timeout_max)
    return fail(Errc::not_yet, name + " does not follow");
  if (progress->match.next() < log.first())
    return fail(Errc::not_yet, name + " is behind what is compacted");
  size_t behind = 0;
  for (Index i = log.last(); i > progress->match; i = Index(i.value - 1)) {
    behind += log.at(i).cost();
    if (behind > options.in_flight_bytes_max) return fail(Errc::not_yet, name + " is far behind");
  }
  return {};
}

// Paper §6: a configuration is in force from when its entry is in the log.
void Raft::State::use_configuration(Index index, Configuration next) {
  ASSERT(index > configuration_index(), index, configuration_index());
  configurations.push_back({index, std::move(next)});
  configuration_moved();
}

void Raft::State::configuration_moved() {
  self_votes = configuration().is_voter(self);
  if (auto* lead = std::get_if<Leader>(&role)) rebuild_progress(*lead);
}

// Who stays keeps what is known of it; who comes is probed at the log's end.
void Raft::State::rebuild_progress(Leader& lead) {
  std::vector<Progress> kept;
  const std::vector<Member> members = configuration().all();
  kept.reserve(members.size());
  for (const Member& member : members) {
    if (member.id == self) continue;
    if (Progress* known = progress_of(lead, member.id)) {
      kept.push_back(std::move(*known));
    } else {
      kept.emplace_back(member.id, log.last().next(), options.in_flight_messages_max,
                        options.in_flight_bytes_max);
      kept.back().heard = now;
      kept.back().recent = true;  // it has the time of a first look at the quorum to answer
    }
  }
  lead.progress = std::move(kept);
  const auto places = [&](const std::vector<Member>& voters) {
    std::vector<uint16_t> at;
    for (const Member& voter : voters) {
      const Progress* progress = progress_of(lead, voter.id);
      at.push_back(progress ? static_cast<uint16_t>(progress - lead.progress.data())
                            : Leader::k_self);
    }
    return at;
  };
  lead.voters = places(configuration().voters);
  lead.outgoing = places(configuration().outgoing);
  lead.flush = true;
}

// The commit index has risen.
void Raft::State::after_commit(Leader& lead) {
  if (configuration_index() > commit) return;
  if (configuration().joint()) {
    // C_old,new is committed: the leader goes on to C_new (paper §6).
    Configuration next = configuration();
    next.outgoing.clear();
    next.learners.insert(next.learners.end(), next.demoted.begin(), next.demoted.end());
    std::ranges::sort(next.learners, {}, &Member::id);
    next.demoted.clear();
    const Index index =
        append({hard.term, EntryKind::configuration, Slice::copy_of(encode_configuration(next))});
    use_configuration(index, std::move(next));
    // In C_new a commit may need fewer: look again at once, since nobody may answer any more.
    if (std::holds_alternative<Leader>(role)) advance_commit(lead);
  } else if (!self_votes) {
    // C_new is committed and the leader is not in it (thesis §4.2.2). The others hear of the commit first.
    flush(lead);
    pass_on(lead);
    become_follower(hard.term, MemberId{});
  }
}

}  // namespace bascule::raft

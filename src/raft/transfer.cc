// Handing leadership over (thesis §3.10).
#include <algorithm>

#include "src/raft/raft_state.h"

namespace bascule::raft {

Status Raft::State::transfer_to(const MemberId& to) {
  auto* lead = std::get_if<Leader>(&role);
  if (!lead) return fail(Errc::not_leader, "transfer of leadership");
  if (lead->transfer && lead->transfer->to == to) return {};
  if (lead->transfer) return fail(Errc::not_yet, "another transfer of leadership is under way");
  const auto& voters = configuration().voters;
  if (to == self || std::ranges::find(voters, to, &Member::id) == voters.end())
    return fail(Errc::invalid,
                "transfer of leadership: " + to.to_string() + " is not another voter");
  const Progress* progress = progress_of(*lead, to);
  if (!progress || progress->state != ProgressState::replicate || progress->match < commit ||
      now - progress->heard > options.election_timeout_max)
    return fail(Errc::not_yet, "transfer of leadership: " + to.to_string() + " is behind");
  lead->transfer = Transfer{.to = to, .give_up = now + options.election_timeout_max};
  advance_transfer(*lead);
  return {};
}

// Nothing is proposed meanwhile, so that the other one's log is complete before it is told to stand.
void Raft::State::advance_transfer(Leader& lead) {
  if (!lead.transfer || lead.transfer->told) return;
  const Progress* progress = progress_of(lead, lead.transfer->to);
  if (!progress || progress->match < log.last()) return;
  lead.transfer->told = true;
  send(lead.transfer->to, TimeoutNow{});
}

// This leadership ends now: the voter that is furthest need not wait for its timeout. Whether it wins is
// up to the voters.
void Raft::State::pass_on(Leader& lead) {
  const Progress* best = nullptr;
  for (const Member& voter : configuration().voters) {
    const Progress* progress = progress_of(lead, voter.id);
    if (!progress || now - progress->heard > options.election_timeout_min) continue;
    if (!best || progress->match > best->match) best = progress;
  }
  if (best) send(best->member, TimeoutNow{});
}

void Raft::State::on_timeout_now(const MemberId& from) {
  const auto* follower = std::get_if<Follower>(&role);
  if (!follower || follower->leader != from || !may_stand()) return drop();
  campaign(true);
}

}  // namespace bascule::raft

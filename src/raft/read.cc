// Linearizable reads without the log: ReadIndex (thesis §6.4). A leader takes its commit index, makes sure
// by a round of heartbeats that began later that it still leads, and answers; others ask it.
#include <algorithm>

#include "src/raft/raft_state.h"

namespace bascule::raft {

Status Raft::State::read(uint64_t id) {
  if (auto* lead = std::get_if<Leader>(&role)) {
    if (lead->reads.size() >= options.reads_max) return fail(Errc::overloaded, "reads wait");
    add_read(*lead, id, MemberId{});
    return {};
  }
  auto* follower = std::get_if<Follower>(&role);
  if (!follower || !follower->leader) return fail(Errc::not_leader, "read: no leader is known");
  if (follower->reads.size() >= options.reads_max) return fail(Errc::overloaded, "reads wait");
  follower->reads.push_back({id, now + options.election_timeout_max});
  send(follower->leader, ReadRequest{id});
  return {};
}

// Step 1: a leader that has committed nothing in its term does not know the commit index. Step 2: the index.
// Reads that come while a round is on its way share the next one, which begins when that one has ended, or
// with the next heartbeat.
void Raft::State::add_read(Leader& lead, uint64_t id, const MemberId& asker) {
  if (commit < lead.term_start) {
    lead.reads.push_back({id, asker, Index{}, 0});
    return;
  }
  const bool idle = lead.round_confirmed == lead.round;
  lead.reads.push_back({id, asker, commit, lead.round + 1});
  if (idle) send_heartbeats(lead);
}

// The first entry of the term is committed.
void Raft::State::vouch_for_reads(Leader& lead) {
  if (lead.reads.empty()) return;
  for (LeaderRead& read : lead.reads) {
    read.index = commit;
    read.round = lead.round + 1;
  }
  send_heartbeats(lead);
}

void Raft::State::note_round(Leader& lead, Progress& of, uint64_t round) {
  if (round <= of.round) return;
  of.round = round;
  confirm_rounds(lead);
}

// Step 3: a quorum has answered a round that began after the read came.
void Raft::State::confirm_rounds(Leader& lead) {
  lead.round_confirmed =
      std::max(lead.round_confirmed, quorum_value(lead, [&](uint16_t at) {
                 return at == Leader::k_self ? lead.round : lead.progress[at].round;
               }));
  while (!lead.reads.empty() && lead.reads.front().round != 0 &&
         lead.reads.front().round <= lead.round_confirmed) {
    answer(lead.reads.front(), true);
    lead.reads.pop_front();
  }
  // Those that came during the round wait for one of their own.
  if (!lead.reads.empty() && lead.reads.front().round > lead.round &&
      lead.round_confirmed == lead.round)
    send_heartbeats(lead);
}

void Raft::State::answer(const LeaderRead& read, bool ok) {
  if (read.asker) {
    send(read.asker, ReadResponse{.id = read.id, .ok = ok, .index = ok ? read.index : Index{}});
  } else if (ok) {
    out.reads.push_back({read.id, read.index});
  } else {
    out.reads.push_back({read.id, fail(Errc::not_leader, "read")});
  }
}

void Raft::State::refuse_reads(Leader& lead) {
  for (const LeaderRead& read : lead.reads) answer(read, false);
  lead.reads.clear();
}

void Raft::State::refuse_reads(Follower& follower) {
  for (const ForwardedRead& read : follower.reads)
    out.reads.push_back({read.id, fail(Errc::not_leader, "read")});
  follower.reads.clear();
}

// The question or its answer was lost.
void Raft::State::expire_reads(Follower& follower) {
  auto& reads = follower.reads;
  auto kept = reads.begin();
  while (kept != reads.end() && kept->give_up <= now) {
    out.reads.push_back({kept->id, fail(Errc::not_leader, "read: the leader does not answer")});
    ++kept;
  }
  reads.erase(reads.begin(), kept);
}

// From whoever follows, in the configuration or not.
void Raft::State::on_read_request(const MemberId& from, const ReadRequest& request) {
  auto* lead = std::get_if<Leader>(&role);
  if (!lead || commit < lead->term_start || lead->reads.size() >= options.reads_max)
    return send(from, ReadResponse{.id = request.id, .ok = false, .index = {}});
  add_read(*lead, request.id, from);
}

void Raft::State::on_read_response(const ReadResponse& response) {
  auto* follower = std::get_if<Follower>(&role);
  if (!follower) return drop();
  const auto at = std::ranges::find(follower->reads, response.id, &ForwardedRead::id);
  if (at == follower->reads.end()) return drop();
  if (response.ok)
    out.reads.push_back({response.id, response.index});
  else
    out.reads.push_back({response.id, fail(Errc::not_leader, "read: ask again")});
  follower->reads.erase(at);
}

}  // namespace bascule::raft

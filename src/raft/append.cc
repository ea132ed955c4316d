// The leader's side of replication: proposals, appends with flow control, what the answers prove, and what
// is committed by it (paper §5.3, §5.4.2; thesis §10.2.1).
#include <algorithm>

#include "src/raft/raft_state.h"

namespace bascule::raft {

Result<Index> Raft::State::propose(std::vector<Slice> commands) {
  auto* lead = std::get_if<Leader>(&role);
  if (!lead) return fail(Errc::not_leader, "proposal");
  if (lead->transfer) return fail(Errc::not_yet, "leadership is being handed over");
  size_t bytes = 0;
  for (const Slice& command : commands) {
    if (command.size() > options.command_bytes_max)
      return fail(Errc::too_large, "a command of " + std::to_string(command.size()) + " bytes");
    bytes += Entry{hard.term, EntryKind::command, command}.cost();
  }
  if (commands.empty()) return fail(Errc::invalid, "no command");
  // What is large is taken where nothing else waits.
  if (lead->uncommitted_bytes > 0 &&
      lead->uncommitted_bytes + bytes > options.uncommitted_bytes_max)
    return fail(Errc::overloaded, "too much is proposed and not committed");
  const Index first = log.last().next();
  for (Slice& command : commands) append(Entry{hard.term, EntryKind::command, std::move(command)});
  return first;
}

// To the leader's own log.
Index Raft::State::append(Entry entry) {
  auto& lead = std::get<Leader>(role);
  lead.uncommitted_bytes += entry.cost();
  lead.flush = true;
  log.append(std::move(entry));
  return log.last();
}

Progress* Raft::State::progress_of(Leader& lead, const MemberId& member) {
  const auto at = std::ranges::lower_bound(lead.progress, member, {}, &Progress::member);
  return at == lead.progress.end() || at->member != member ? nullptr : &*at;
}

// Once per Output, so that what a turn has brought goes out together.
void Raft::State::flush(Leader& lead) {
  lead.flush = false;
  for (Progress& to : lead.progress) send_appends(lead, to);
}

// All that may be on its way to this member now.
void Raft::State::send_appends(Leader& lead, Progress& to) {
  switch (to.state) {
    case ProgressState::probe:
      if (!to.probe_sent) to.probe_sent = send_append(lead, to, options.append_bytes_max);
      return;
    case ProgressState::replicate:
      while (to.next <= log.last() && !to.in_flight.full() && to.state == ProgressState::replicate)
        if (!send_append(lead, to, options.append_bytes_max)) return;
      // Others wait for the commit index too; it need not wait for the next entry or heartbeat.
      if (to.state == ProgressState::replicate && to.commit_sent < commit && !to.in_flight.full())
        send_append(lead, to, 0);
      return;
    case ProgressState::snapshot: return;  // the chunks go by their answers
  }
}

// One append from to.next on, with entries of up to `bytes_max`: none where that is 0. False: what comes
// before them is compacted, and a snapshot is needed instead.
bool Raft::State::send_append(Leader& lead, Progress& to, size_t bytes_max) {
  const Index prev(to.next.value - 1);
  const auto prev_term = log.term_at(prev);
  if (!prev_term) {
    begin_snapshot(lead, to);
    return false;
  }
  AppendRequest request{.prev_index = prev,
                        .prev_term = *prev_term,
                        .entries = {},
                        .commit = commit,
                        .round = lead.round};
  if (bytes_max > 0 && to.next <= log.last()) {
    size_t bytes = 0;
    Index end = to.next;
    while (end <= log.last()) {
      const size_t cost = log.at(end).cost();
      if (bytes > 0 && bytes + cost > bytes_max) break;
      bytes += cost;
      end = end.next();
    }
    request.entries.reserve(end.value - to.next.value);
    for (Index i = to.next; i < end; i = i.next()) request.entries.push_back(log.at(i));
    if (to.state == ProgressState::replicate) {
      to.next = end;
      to.in_flight.add(Index(end.value - 1), bytes);
    }
  }
  to.commit_sent = commit;
  send(to.member, std::move(request));
  return true;
}

// Also to who answers nothing: that is how it is found again. Each heartbeat is a round of leadership
// confirmation (thesis §6.4).
void Raft::State::send_heartbeats(Leader& lead) {
  ++lead.round;
  for (Progress& to : lead.progress) send_heartbeat(lead, to);
  confirm_rounds(lead);
}

// An append without entries behind all that was sent: who has lost some of it refuses, and is probed.
void Raft::State::send_heartbeat(Leader& lead, Progress& to) {
  if (to.state != ProgressState::snapshot) {
    const bool sent = send_append(lead, to, 0);
    if (to.state == ProgressState::probe) to.probe_sent = true;
    if (sent || to.state == ProgressState::snapshot) return;
  }
  // While a snapshot comes, or where none is begun for who needs one: behind what it is known to have, or, if
  // that is compacted, behind nothing. Either fits every log.
  const auto match_term = log.term_at(to.match);
  send(to.member, AppendRequest{.prev_index = match_term ? to.match : Index{},
                                .prev_term = match_term.value_or(Term{}),
                                .entries = {},
                                .commit = std::min(commit, to.match),
                                .round = lead.round});
  if (to.state == ProgressState::snapshot &&
      now - to.transfer->sent >= options.election_timeout_max) {
    // The chunk or its answer is lost. Who answers nothing at all gets no more of it, only heartbeats.
    if (now - to.heard >= options.election_timeout_max)
      to.probe_from(to.match.next());
    else
      send_chunk(lead, to);
  }
}

void Raft::State::on_append_response(const MemberId& from, const AppendResponse& response) {
  auto* lead = std::get_if<Leader>(&role);
  Progress* of = lead ? progress_of(*lead, from) : nullptr;
  if (!of || response.index > log.last() || response.round > lead->round) return drop();
  of->recent = true;
  of->heard = now;
  if (response.accepted)
    on_accepted(*lead, *of, response);
  else
    on_refused(*lead, *of, response);
  // What was committed may have ended this leadership, and what was refused says nothing against it.
  if (!std::holds_alternative<Leader>(role)) return;
  if (Progress* still = progress_of(*lead, from)) note_round(*lead, *still, response.round);
}

void Raft::State::on_accepted(Leader& lead, Progress& of, const AppendResponse& response) {
  of.in_flight.free_to(response.index);
  if (of.state == ProgressState::probe)
    of.replicate_from(std::max(of.next, response.index.next()));
  else if (of.state == ProgressState::snapshot &&
           response.index >= of.transfer->snapshot.meta.index)
    of.replicate_from(response.index.next());
  of.next = std::max(of.next, response.index.next());
  const MemberId member = of.member;
  note_match(lead, of, response.index);
  if (!std::holds_alternative<Leader>(role)) return;
  if (Progress* still = progress_of(lead, member)) send_appends(lead, *still);
}

// Paper §5.3, end: back to where the logs may meet, a whole term at a time.
void Raft::State::on_refused(Leader& lead, Progress& of, const AppendResponse& response) {
  if (of.state == ProgressState::snapshot || response.index <= of.match) return;
  if (of.state == ProgressState::probe && response.index.value + 1 != of.next.value) return;
  Index next = response.index;  // one back, at the least
  if (response.last_index < response.index) {
    next = std::min(next, response.last_index.next());
  } else if (response.conflict_term) {
    const auto ours = log.last_at_most(response.conflict_term, response.index);
    const bool has_term = ours && log.term_at(*ours) == response.conflict_term;
    next = std::min(next, has_term ? ours->next() : response.conflict_first);
  }
  of.probe_from(std::max(next, of.match.next()));
  send_appends(lead, of);
}

void Raft::State::note_match(Leader& lead, Progress& of, Index match) {
  if (match <= of.match) return;
  of.match = match;
  advance_commit(lead);
  if (std::holds_alternative<Leader>(role)) advance_transfer(lead);
}

// Paper §5.4.2: only an entry of the current term is committed by counting; what is before it is with it.
// The leader's own log counts as far as it is durable (thesis §10.2.1), and not at all where the leader is
// not a voter any more.
void Raft::State::advance_commit(Leader& lead) {
  const Index index(quorum_value(lead, [&](uint16_t at) -> uint64_t {
    return at == Leader::k_self ? durable.value : lead.progress[at].match.value;
  }));
  if (index <= commit || log.term_at(index) != hard.term) return;
  const bool first = commit < lead.term_start;
  for (Index i = commit.next(); i <= index; i = i.next())
    lead.uncommitted_bytes -= log.at(i).cost();
  commit_to(index);
  lead.flush = true;
  if (first) vouch_for_reads(lead);
  after_commit(lead);
}

void Raft::State::commit_to(Index index) {
  ASSERT(index >= commit && index <= log.last(), index, commit, log.last());
  commit = index;
}

bool Raft::State::quorum_granted(const std::vector<MemberId>& granted) const {
  const auto majority = [&](const std::vector<Member>& voters) {
    const auto yes = std::ranges::count_if(
        voters, [&](const Member& voter) { return std::ranges::binary_search(granted, voter.id); });
    return static_cast<size_t>(yes) > voters.size() / 2;
  };
  const auto& in_force = configuration();
  return majority(in_force.voters) && (in_force.outgoing.empty() || majority(in_force.outgoing));
}

}  // namespace bascule::raft

// Snapshots: forgetting what is compacted, sending to who needs what was, taking in (paper §7, fig. 13).
#include <algorithm>

#include "src/raft/raft_state.h"

namespace bascule::raft {

// --- The leader's side ------------------------------------------------------------------------------

// Its next entry is not here any more.
void Raft::State::begin_snapshot(Leader& lead, Progress& to) {
  // Who is silent gets heartbeats alone until it answers one.
  if (snapshot.meta.index <= to.match || !to.recent) return;
  to.state = ProgressState::snapshot;
  to.in_flight.clear();
  to.transfer = SnapshotTransfer{snapshot, 0, now};
  send_chunk(lead, to);
}

void Raft::State::send_chunk(Leader& lead, Progress& to) {
  SnapshotTransfer& transfer = *to.transfer;
  const Slice& data = transfer.snapshot.data;
  const size_t size = std::min<size_t>(options.snapshot_chunk_bytes, data.size() - transfer.offset);
  transfer.sent = now;
  send(to.member, SnapshotRequest{.meta = transfer.snapshot.meta,
                                  .total_bytes = data.size(),
                                  .offset = transfer.offset,
                                  .data = data.sub(transfer.offset, size),
                                  .round = lead.round});
}

void Raft::State::on_snapshot_response(const MemberId& from, const SnapshotResponse& response) {
  auto* lead = std::get_if<Leader>(&role);
  Progress* to = lead ? progress_of(*lead, from) : nullptr;
  if (!to || response.round > lead->round) return drop();
  to->recent = true;
  to->heard = now;
  note_round(*lead, *to, response.round);
  if (to->state != ProgressState::snapshot) return;
  SnapshotTransfer& transfer = *to->transfer;
  const uint64_t total = transfer.snapshot.data.size();
  if (response.index != transfer.snapshot.meta.index || response.next_offset > total) return;
  if (response.next_offset == total) {
    const Index index = transfer.snapshot.meta.index;
    to->replicate_from(std::max(to->match, index).next());
    note_match(*lead, *to, index);
    if (!std::holds_alternative<Leader>(role)) return;
    if (Progress* still = progress_of(*lead, from)) send_appends(*lead, *still);
  } else if (response.next_offset != transfer.offset ||
             now - transfer.sent >= options.election_timeout_max) {
    transfer.offset = response.next_offset;
    send_chunk(*lead, *to);
  }
}

// --- The follower's side ----------------------------------------------------------------------------

void Raft::State::on_snapshot_request(const MemberId& from, const SnapshotRequest& request) {
  const SnapshotMeta& meta = request.meta;
  if (std::holds_alternative<Leader>(role) || !meta.index || !meta.term || meta.term > hard.term ||
      !meta.configuration.check() || request.total_bytes > options.snapshot_bytes_max ||
      request.offset > request.total_bytes ||
      request.data.size() > request.total_bytes - request.offset ||
      (request.data.empty() && request.offset < request.total_bytes))
    return drop();
  if (const MemberId known = leader(); known && known != from) return drop();
  Follower& follower = follow(from);
  // Fig. 13, step 6: what it covers is here already, and is the leader's log up to there.
  if (meta.index <= commit || log.term_at(meta.index) == meta.term) {
    follower.incoming.reset();
    commit_to(std::max(commit, meta.index));
    follower.matched = std::max(follower.matched, meta.index);
    // Not durable yet: asked again, it will be.
    if (durable < meta.index) return;
    return send(
        from, SnapshotResponse{
                  .index = meta.index, .next_offset = request.total_bytes, .round = request.round});
  }
  if (!can_persist) return;
  auto& incoming = follower.incoming;
  if (!incoming || incoming->meta != meta || incoming->total_bytes != request.total_bytes)
    incoming = Incoming{meta, request.total_bytes, {}};
  if (request.offset == incoming->data.size()) {
    const ByteView data = request.data;
    incoming->data.insert(incoming->data.end(), data.begin(), data.end());
    if (incoming->data.size() == incoming->total_bytes) {
      Incoming whole = std::move(*incoming);
      incoming.reset();
      return install(from, request, std::move(whole));
    }
  }
  send(from,
       SnapshotResponse{
           .index = meta.index, .next_offset = incoming->data.size(), .round = request.round});
}

// Fig. 13, steps 5, 7 and 8: nothing of the present log stays; the state machine starts over from it.
void Raft::State::install(const MemberId& from, const SnapshotRequest& last, Incoming incoming) {
  ASSERT(incoming.meta.index > commit, incoming.meta.index, commit);
  // What was durable and committed is a prefix of what the snapshot covers; the rest may conflict.
  durable = std::min(durable, commit);
  for (PersistInFlight& flight : persists) flight.last = std::min(flight.last, commit);
  snapshot = {incoming.meta, Slice::copy_of(incoming.data)};
  snapshot_dirty = snapshot_on_its_way = true;
  log.reset(snapshot.meta.index, snapshot.meta.term);
  unpersisted_first = log.first();
  configurations.assign(1, {snapshot.meta.index, snapshot.meta.configuration});
  configuration_moved();
  commit_to(snapshot.meta.index);
  auto& follower = std::get<Follower>(role);
  follower.matched = std::max(follower.matched, snapshot.meta.index);
  send(from,
       SnapshotResponse{
           .index = snapshot.meta.index, .next_offset = incoming.total_bytes, .round = last.round},
       After::log);
}

// --- Compaction -------------------------------------------------------------------------------------

void Raft::State::compact(const Snapshot& made) {
  REQUIRE(made.meta.index <= applied, made.meta.index, applied);
  // One that the leader sent has overtaken it.
  if (made.meta.index <= snapshot.meta.index || snapshot_on_its_way) return;
  REQUIRE(log.term_at(made.meta.index) == made.meta.term, made.meta.index, made.meta.term);
  snapshot = made;
  // Entries below the snapshot stay for who is a little behind, within both bounds.
  Index to = made.meta.index;
  size_t bytes = 0;
  while (to >= log.first() && made.meta.index.value - to.value < options.keep_entries) {
    bytes += log.at(to).cost();
    if (bytes > options.keep_bytes) break;
    to = Index(to.value - 1);
  }
  if (to < log.first()) return;
  // Nothing is forgotten that a Persist has not carried yet.
  if (to >= unpersisted_first) to = Index(unpersisted_first.value - 1);
  log.forget(to);
  while (configurations.size() > 1 && configurations[1].index <= to)
    configurations.erase(configurations.begin());
}

}  // namespace bascule::raft

// What members say to each other, as values. How they become bytes is the codec's matter
// (src/raft/message_codec.h, implemented in capnp/).
//
// Every message names both ends as (node, storage) and the sender's term and incarnation. A receiver drops
// what is not for its own storage id, and what comes from an incarnation of a storage id that is lower than
// one it has heard of: a rolled-back storage, or a dead life's late message.
#pragma once

#include <variant>

#include "src/raft/types.h"

namespace bascule::raft {

// Paper fig. 2 and thesis §9.6: `pre` asks whether a vote would be given and changes no state anywhere.
struct VoteRequest {
  bool pre = false;
  bool transfer =
      false;  // the leader asked for it (thesis §3.10): leader stickiness does not refuse it
  Index last_index{};
  Term last_term{};
};
struct VoteResponse {
  bool pre = false;
  bool granted = false;
};

// Entries, commit index, heartbeat and leadership confirmation in one (paper fig. 2). Message term is the
// leader's.
struct AppendRequest {
  Index prev_index{};
  Term prev_term{};
  std::vector<Entry> entries{};  // first has prev_index + 1
  Index commit{};
  uint64_t round = 0;  // of leadership confirmation (thesis §6.4); echoed
};
struct AppendResponse {
  bool accepted = false;
  // accepted: all up to here is on the follower's disk and equals the leader's log (that this message or
  // earlier ones of the term have proven). Refused: the prev_index that did not fit.
  Index index{};
  // Refused: the follower's last index, and the term it has at `index` with the first index of that term
  // where it has an entry there (paper end of §5.3), so that one round skips a whole term.
  Index last_index{};
  Term conflict_term{};
  Index conflict_first{};
  uint64_t round = 0;
};

// Paper fig. 13, in chunks; the next chunk goes when the one before is acknowledged.
struct SnapshotRequest {
  SnapshotMeta meta{};
  uint64_t total_bytes = 0;
  uint64_t offset = 0;
  Slice data{};
  uint64_t round = 0;
};
struct SnapshotResponse {
  Index index{};             // meta.index of the snapshot it is about
  uint64_t next_offset = 0;  // where the next chunk must begin; total_bytes: installed and durable
  uint64_t round = 0;
};

// Thesis §3.10: stand for election at once.
struct TimeoutNow {};

// ReadIndex of a follower or learner (thesis §6.4): `id` is the asker's own.
struct ReadRequest {
  uint64_t id = 0;
};
struct ReadResponse {
  uint64_t id = 0;
  bool ok = false;  // else: not the leader, or it cannot tell yet; ask again
  Index index{};    // who has applied this far has not missed anything committed before the request
};

using Body = std::variant<VoteRequest, VoteResponse, AppendRequest, AppendResponse, SnapshotRequest,
                          SnapshotResponse, TimeoutNow, ReadRequest, ReadResponse>;

struct Message {
  MemberId from{};
  MemberId to{};
  Term term{};
  Incarnation incarnation{};  // of the sender's process life, persisted before it was first used
  Body body;
};

// Of all its fields: for tests that must know which messages they have seen.
uint64_t fingerprint(const Message& message);

}  // namespace bascule::raft

// The Raft machine: pure. Messages, ticks and proposals go in; one Output comes out. No I/O, no clock but
// the argument, no randomness but the generator that it was given.
//
// Split by verb: election.cc, append.cc, membership.cc, snapshot.cc, read.cc. A driver (raft_driver.h) owns
// a machine and performs its outputs in this order: persist (hard state, snapshot, entries) → send → apply →
// tell who waits; `persisted` comes back when the disk is done.
//
//                 times out                 a quorum would vote            a quorum votes
//   ┌─ follower ─────────────▶ pre-candidate ───────────────▶ candidate ───────────────▶ leader
//   │     ▲  (learners stay)         │                            │                        │
//   │     └──── a leader or a higher term is heard; a leader without a quorum's contact ───┘
//
// Invariants (check_invariants): the five of the paper's fig. 3 as far as one member can see them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "src/base/prng.h"
#include "src/base/time.h"
#include "src/raft/message.h"
#include "src/raft/types.h"

namespace bascule::raft {

struct RaftOptions {
  Duration heartbeat = milliseconds(15);
  Duration election_timeout_min = milliseconds(75);
  Duration election_timeout_max = milliseconds(150);  // drawn anew in [min, max] each time
  size_t append_bytes_max = 256 << 10;  // entries of one message; one entry always passes
  size_t in_flight_messages_max = 16;   // appends to one follower without an answer
  size_t in_flight_bytes_max = 4 << 20;
  size_t snapshot_chunk_bytes = 256 << 10;
  size_t uncommitted_bytes_max = 16 << 20;  // proposals beyond are refused `overloaded`
  size_t reads_max = 10'000;                // waiting reads; beyond: `overloaded`
  size_t command_bytes_max = 4 << 20;       // of one command; beyond: `too_large`
  uint64_t snapshot_bytes_max = 1u << 30;   // that a member takes in; a larger one is not heard
  size_t keep_entries = 4096;               // behind a compaction, for who is a little behind
  size_t keep_bytes = 4 << 20;
};

enum class Role : uint8_t { follower, pre_candidate, candidate, leader, learner };

// What a driver must make durable, in this order of meaning: the snapshot replaces everything up to its
// index; then the log is cut at `first` and the entries follow; then the hard state. All of one Persist are
// durable together or the process ends.
struct Persist {
  std::optional<HardState> hard;
  std::optional<Snapshot> snapshot;  // installed from the leader
  // Of entries; what the log had from here on is cut. 0: no entries, nothing is cut. Set with each snapshot
  // too, also where no entry follows: nothing of the log that was before it stays.
  Index first;
  std::vector<Entry> entries;

  bool empty() const { return !hard && !snapshot && entries.empty(); }
};

struct ReadReady {
  uint64_t id = 0;
  Result<Index> index;  // apply up to here, then read. `not_leader`: ask again
};

struct Output {
  // 0: nothing to persist. Else `persisted(persist_id)` is due when it is durable; ids rise, and a driver may
  // have several on their way if it completes them in order.
  uint64_t persist_id = 0;
  Persist persist;
  std::vector<Message> now;            // may leave before anything is persisted
  std::vector<Message> after_persist;  // leave once persist_id, and all before it, are durable
  // Committed entries to apply, [applied + 1, …], on this member's disk or not. A snapshot from the leader
  // comes first, once it is durable. What StoredState had as a snapshot is the driver's to restore.
  std::optional<Snapshot> restore;
  Index apply_first;
  std::vector<Entry> apply;
  std::vector<ReadReady> reads;
  // Role, term or known leader are others than in the Output before. Proposals that were accepted here may
  // have been cut: who waits for an index compares the term of what is applied there.
  bool role_changed = false;

  bool empty() const;
};

// Where one other member stands, as a leader sees it: for status and tests.
struct ProgressView {
  MemberId member;
  Index match;
  Index next;
  bool snapshotting = false;
  bool active = false;  // heard within an election timeout
};

class Raft {
 public:
  // `self` may be in the configuration or not (then it is a learner that knows nobody, and waits to be found).
  // `bootstrap`: the configuration that a founding member starts from; only with an empty store. The members
  // of one bootstrap give the same configuration, as the log's entry 1 of term 1.
  Raft(MemberId self, const RaftOptions& options, StoredState stored, MonotonicTime now,
       Prng random);
  ~Raft();
  Raft(Raft&&) noexcept;
  // Another one in the same state: for tests that follow all that may happen next.
  Raft copy() const;

  // The entry and hard state that founding with `configuration` begins with: what a store is formatted with.
  static StoredState bootstrap(const Configuration& configuration);

  // --- In ----------------------------------------------------------------------------------------
  // Never fails: a message that cannot be right is dropped (counted in stats).
  void step(MonotonicTime now, Message message);
  // Timeouts and heartbeats. Call at `deadline()` or later; earlier is harmless.
  void tick(MonotonicTime now);
  MonotonicTime deadline() const;
  // The Output with this id, and all before it, are durable.
  void persisted(MonotonicTime now, uint64_t persist_id);
  // The index that the command will have if it is committed under the present term. Errors: `not_leader`,
  // `overloaded`, `not_yet` (a leadership transfer is under way), `too_large`.
  Result<Index> propose(Slice command);
  Result<Index> propose(std::vector<Slice> commands);  // all or none; the first's index
  // Begins a joint change to these voters and learners (thesis §4.3); the machine itself leaves the joint
  // configuration once it is committed. Errors: `not_leader`, `busy` (a change is under way), `not_yet` (no
  // entry of this term is committed: thesis §4.2's bug), `invalid`. `not_yet` too where a voter-to-be does not
  // vote now and is not a learner that follows, at most in_flight_bytes_max behind: add it as a learner, wait
  // (progress()), then ask again. With the same voters there is no joint configuration.
  Result<Index> change_membership(std::vector<Member> voters, std::vector<Member> learners);
  // Hands leadership to a voter that has caught up (thesis §3.10); proposals get `not_yet` until it is over,
  // which is after election_timeout_max at the latest. `not_leader`, `invalid`, `not_yet`.
  Status transfer(MonotonicTime now, MemberId to);
  // Linearizable read: a ReadReady with `id` follows in an Output. Any role; `overloaded`, `not_leader` (no
  // leader is known).
  Status read(MonotonicTime now, uint64_t id);
  // The state machine's own snapshot, durable in the store: entries up to meta.index may be forgotten.
  // Keeps some for followers that are a little behind. Requires meta.index <= applied.
  void compact(const Snapshot& snapshot);
  // A later incarnation of this storage id is known (from the metadata table): earlier ones are not heard.
  void note_incarnation(const MemberId& member, Incarnation incarnation);
  // The disk cannot take writes: steps down, and does not stand until it can.
  void set_can_persist(MonotonicTime now, bool can);
  // The present leader is proven dead (its process is gone): voters need not wait for their timeout.
  void leader_is_gone(MonotonicTime now, const MemberId& leader);

  // --- Out ---------------------------------------------------------------------------------------
  // Everything since the last call. Entries handed out for applying count as applied.
  Output take_output();

  // --- Look --------------------------------------------------------------------------------------
  const MemberId& self() const;
  Role role() const;
  Term term() const;
  MemberId leader() const;  // as far as known; none
  Index commit() const;
  Index applied() const;
  Index first_index() const;  // of what is in memory
  Index last_index() const;
  Index durable_index() const;
  std::optional<Term> term_at(Index index) const;
  const HardState& hard_state() const;
  // In force: that of the last configuration entry, committed or not (paper §6).
  const Configuration& configuration() const;
  bool configuration_committed() const;
  // As of that entry: what a snapshot at `index` carries. Requires applied() >= index, and that no later
  // snapshot is known.
  const Configuration& configuration_at(Index index) const;
  // As leader: has an entry of its own term been committed.
  bool leads_for_sure() const;
  std::vector<ProgressView> progress() const;
  uint64_t dropped_messages() const;
  void check_invariants() const;
  // Equal where two machines do the same from now on, if none of their timers has any time left: times and
  // random draws are left out. For tests that must know where they have been.
  uint64_t fingerprint() const;

 private:
  struct State;
  explicit Raft(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace bascule::raft

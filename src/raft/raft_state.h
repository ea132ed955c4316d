// What a machine is made of; private to src/raft's machine. Each group of functions is in the file of its
// verb. What only a leader (a candidate, a follower) has is in its alternative of `role`, and goes with it.
#pragma once

#include <array>
#include <deque>
#include <variant>

#include "src/raft/progress.h"
#include "src/raft/raft.h"
#include "src/raft/raft_log.h"

namespace bascule::raft {

// What a message waits for before it may leave.
enum class After : uint8_t {
  hard,  // the hard state: everything shows the term
  log,   // and the entries or the snapshot that were taken in last
};

struct ConfigurationAt {
  Index index;  // of its entry; of the snapshot that had it; 0: none yet
  Configuration configuration;
};

// A snapshot that is coming in.
struct Incoming {
  SnapshotMeta meta;
  uint64_t total_bytes = 0;
  Bytes data;  // what has come, from offset 0
};

struct ForwardedRead {
  uint64_t id = 0;
  MonotonicTime give_up;
};

// A learner is a follower whom the configuration in force does not list as a voter.
struct Follower {
  MemberId leader;
  MonotonicTime heard;  // the last append or snapshot of that leader
  // Up to here the log is proven equal to that of the term's leader. Never falls within a term.
  Index matched;
  std::optional<Incoming> incoming;
  std::vector<ForwardedRead> reads;  // oldest first, at most reads_max
};

struct PreCandidate {
  std::vector<MemberId> granted;  // ascending
  MonotonicTime ask_again;
};

struct Candidate {
  std::vector<MemberId> granted;  // ascending
  bool transfer = false;
  MonotonicTime ask_again;
};

struct LeaderRead {
  uint64_t id = 0;
  MemberId asker;      // none: asked here
  Index index;         // the commit index when the machine could vouch for it
  uint64_t round = 0;  // answered once a quorum has echoed this or a later one; 0: none begun yet
};

struct Transfer {
  MemberId to;
  MonotonicTime give_up;
  bool told = false;
};

struct Leader {
  std::vector<Progress> progress;  // of all other members, ascending
  // Where in `progress` each voter of either half is; k_self for the leader.
  std::vector<uint16_t> voters;
  std::vector<uint16_t> outgoing;
  Index term_start;              // of its first entry
  size_t uncommitted_bytes = 0;  // of all entries above commit
  bool flush = false;            // entries or a commit index wait to be sent
  uint64_t round = 0;            // the last leadership confirmation that was begun
  uint64_t round_confirmed = 0;  // by a quorum
  std::deque<LeaderRead> reads;  // rounds ascend; at most reads_max
  MonotonicTime heartbeat_due;
  MonotonicTime quorum_check_due;
  bool quorum_check_put_off = false;
  std::optional<Transfer> transfer;

  static constexpr uint16_t k_self = UINT16_MAX;
};

using RoleState = std::variant<Follower, PreCandidate, Candidate, Leader>;

// A Persist that the driver has and that is not durable yet.
struct PersistInFlight {
  uint64_t id = 0;
  Index last{};  // the log up to here is durable with it; lowered when the log is cut
  bool snapshot = false;
};

struct HeldMessage {
  uint64_t persist_id = 0;
  Message message;
};

struct KnownIncarnation {
  MemberId member;
  Incarnation incarnation;
};

struct Raft::State {
  State(MemberId self, const RaftOptions& options, StoredState stored, MonotonicTime now,
        Prng random);

  // --- raft.cc: in and out ------------------------------------------------------------------------
  void step(Message message);
  void dispatch(const Message& message);
  bool heed(const MemberId& from, Incarnation incarnation);
  void answer_older_term(const Message& message);
  void drop() { ++dropped_messages; }
  void send(const MemberId& to, Body body, After after = After::hard);
  void persisted(uint64_t persist_id);
  Output take_output();
  void hand_out_persist(Output& out);
  void hand_out_committed(Output& out);
  MonotonicTime deadline() const;

  // --- election.cc --------------------------------------------------------------------------------
  void tick();
  void reset_election_timer();
  bool may_stand() const;
  bool hears_leader() const;
  MemberId leader() const;
  Role role_now() const;
  void set_term(Term term);
  void become_follower(Term term, const MemberId& of);
  void leave_role();
  void stand();
  void ask_for_pre_votes();
  void campaign(bool transfer);
  void ask_for_votes();
  void ask_voters(const VoteRequest& request, const std::vector<MemberId>& granted);
  void count_own_vote(Candidate& candidate);
  void become_leader();
  bool log_is_up_to_date(const VoteRequest& request) const;
  void on_vote_request(const MemberId& from, Term from_term, const VoteRequest& request);
  void on_vote_response(const MemberId& from, const VoteResponse& response);
  void on_timeout_now(const MemberId& from);
  void check_quorum(Leader& lead);
  void lead_tick(Leader& lead);
  Status transfer_to(const MemberId& to);
  void advance_transfer(Leader& lead);
  void pass_on(Leader& lead);
  void set_can_persist(bool can);
  void leader_is_gone(const MemberId& leader);

  // --- append.cc: the leader's side ---------------------------------------------------------------
  Result<Index> propose(std::vector<Slice> commands);
  Index append(Entry entry);
  void flush(Leader& lead);
  void send_appends(Leader& lead, Progress& to);
  bool send_append(Leader& lead, Progress& to, size_t bytes_max);
  void send_heartbeats(Leader& lead);
  void send_heartbeat(Leader& lead, Progress& to);
  void on_append_response(const MemberId& from, const AppendResponse& response);
  void on_accepted(Leader& lead, Progress& of, const AppendResponse& response);
  void on_refused(Leader& lead, Progress& of, const AppendResponse& response);
  void note_match(Leader& lead, Progress& of, Index match);
  void advance_commit(Leader& lead);
  void commit_to(Index index);
  Progress* progress_of(Leader& lead, const MemberId& member);
  // The greatest value that a quorum of both halves has reached. `value` of a place in lead.progress or
  // k_self. 0: there is no quorum.
  template <class Value>
  uint64_t quorum_value(const Leader& lead, const Value& value) const;
  bool quorum_granted(const std::vector<MemberId>& granted) const;

  // --- follow.cc: the follower's side -------------------------------------------------------------
  Follower& follow(const MemberId& leader);
  void on_append_request(const MemberId& from, const AppendRequest& request);
  bool well_formed(const AppendRequest& request) const;
  bool take_in(const AppendRequest& request, Follower& follower);
  void refuse(const MemberId& from, const AppendRequest& request);
  void cut(Index from);

  // --- membership.cc ------------------------------------------------------------------------------
  Result<Index> change_membership(std::vector<Member> voters, std::vector<Member> learners);
  Status may_vote_soon(Leader& lead, const Member& voter);
  const Configuration& configuration() const { return configurations.back().configuration; }
  Index configuration_index() const { return configurations.back().index; }
  void use_configuration(Index index, Configuration configuration);
  void configuration_moved();
  void rebuild_progress(Leader& lead);
  void after_commit(Leader& lead);

  // --- snapshot.cc --------------------------------------------------------------------------------
  void begin_snapshot(Leader& lead, Progress& to);
  void send_chunk(Leader& lead, Progress& to);
  void on_snapshot_request(const MemberId& from, const SnapshotRequest& request);
  void install(const MemberId& from, const SnapshotRequest& last, Incoming incoming);
  void on_snapshot_response(const MemberId& from, const SnapshotResponse& response);
  void compact(const Snapshot& snapshot);

  // --- read.cc ------------------------------------------------------------------------------------
  Status read(uint64_t id);
  void add_read(Leader& lead, uint64_t id, const MemberId& asker);
  void vouch_for_reads(Leader& lead);
  void note_round(Leader& lead, Progress& of, uint64_t round);
  void confirm_rounds(Leader& lead);
  void answer(const LeaderRead& read, bool ok);
  void refuse_reads(Leader& lead);
  void refuse_reads(Follower& follower);
  void expire_reads(Follower& follower);
  void on_read_request(const MemberId& from, const ReadRequest& request);
  void on_read_response(const ReadResponse& response);

  // --- invariants.cc ------------------------------------------------------------------------------
  void check_invariants() const;

  // --- fingerprint.cc -----------------------------------------------------------------------------
  uint64_t fingerprint() const;

  MemberId self;
  RaftOptions options;
  Incarnation incarnation;
  Prng random;
  MonotonicTime now;

  HardState hard;
  RaftLog log;
  Snapshot snapshot;  // the state machine's last, or the leader's that was installed; index 0: none
  // In the log's order; the last is in force. The first is committed, or that of the founding entry.
  std::vector<ConfigurationAt> configurations;
  bool self_votes = false;  // in the configuration in force

  Index commit;
  Index applied;  // handed out
  // The log up to here is on this member's disk, and stays. Never above log.last().
  Index durable;

  RoleState role;
  MonotonicTime election_due;
  bool can_persist = true;

  // What no Output has carried yet.
  bool hard_dirty = false;
  bool snapshot_dirty = false;
  Index unpersisted_first;  // entries from here on
  Output out;
  // What Outputs carried and is not durable.
  uint64_t last_persist_id = 0;
  uint64_t hard_persist_id = 0;  // the last with a hard state; 0: durable
  std::deque<PersistInFlight> persists;
  std::vector<HeldMessage>
      held;  // until a Persist on its way is durable; bounded, the rest is dropped
  bool snapshot_on_its_way = false;  // installed, not durable: nothing is applied meanwhile

  std::vector<KnownIncarnation> incarnations;  // ascending by member
  uint64_t dropped_messages = 0;

  // What the last Output told, for role_changed.
  Role told_role = Role::follower;
  Term told_term;
  MemberId told_leader;

  // What check_invariants last saw, for what must never fall or change.
  struct Seen {
    Term term;
    MemberId vote;
    Index commit;
    Term commit_term;
    Index applied;
    Index durable;
  };
  mutable Seen seen;
};

template <class Value>
uint64_t Raft::State::quorum_value(const Leader& lead, const Value& value) const {
  uint64_t least = UINT64_MAX;
  for (const auto* half : {&lead.voters, &lead.outgoing}) {
    if (half->empty()) continue;
    std::array<uint64_t, k_voters_max> values{};
    size_t count = 0;
    // Descending; at most k_voters_max values.
    for (const uint16_t at : *half) {
      uint64_t v = value(at);
      for (size_t i = 0; i < count; ++i)
        if (values[i] < v) std::swap(values[i], v);
      values[count++] = v;
    }
    least = std::min(least, values[count / 2]);
  }
  return lead.voters.empty() ? 0 : least;
}

}  // namespace bascule::raft

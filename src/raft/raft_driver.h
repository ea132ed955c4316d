// Does the I/O of a Raft machine: owns it with its store, and performs its outputs in one stated order.
//
//   messages, proposals, reads, ticks          (of one turn; the machine gathers them)
//        │
//        ▼  at the end of the turn: take_output
//   persist ──▶ send (what may leave at once; what depends on the disk when it is durable)
//           ──▶ apply (committed entries, in order; a leader's snapshot once it is durable)
//           ──▶ tell who waits (proposals, reads)
//
// Invariants: what must not leave before it is durable leaves after `persisted` of its id and of all before
// it. Entries are applied once each, in order, without a gap. A proposal that was appended is told its index
// or `outcome_unknown`, nothing else.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/env/loop.h"
#include "src/raft/raft.h"
#include "src/raft/store.h"

namespace bascule::raft {

// Where messages leave. A message may be lost, late or twice: Raft asks no more of it.
class Sender {
 public:
  virtual ~Sender() = default;
  // `message.to` names its member; whoever has no way there drops it.
  virtual void send(Message message) = 0;
};

// What is replicated. Called in turns of the driver's loop, never from inside a call to it. An error of
// restore or apply (bytes that this program cannot read) ends the process by name.
class StateMachine {
 public:
  virtual ~StateMachine() = default;
  // The state as of `index` takes the place of all that there is: at the start, where there is a snapshot,
  // and when the leader has sent one.
  virtual Status restore(Index index, const Slice& snapshot) = 0;
  // Each committed entry once, in order, of every kind.
  virtual Status apply(Index index, Term term, EntryKind kind, const Slice& data) = 0;
  // The state as of the last entry that was applied.
  virtual Slice take_snapshot() = 0;
  // Role, term, leader or configuration may have changed; the driver's accessors tell. End of a turn.
  virtual void turn_ended() {}
};

struct DriverOptions {
  RaftOptions raft;
  // A snapshot is taken once this much was applied since the last one, whichever comes first. 0: never by
  // itself; save_snapshot alone.
  uint64_t snapshot_entries = 10'000;
  uint64_t snapshot_bytes = 16 << 20;
  // Entries that are kept behind a snapshot, for followers that are a little behind.
  uint64_t keep_entries = 1'000;
  Duration no_space_retry = milliseconds(100);
  // A read whose index is known and not reached here by then is refused, `not_leader`: this member does not
  // follow (it is cut off, or no member any more).
  Duration read_wait_max = seconds(2);
  // A member whose oldest write has not ended for so long does not lead, until it has: the others can, without
  // its disk. Counts only where there are other voters.
  Duration stuck_disk_after = seconds(1);
  size_t proposals_max = 100'000;  // that wait for their outcome; beyond: `overloaded`
};

class RaftDriver {
 public:
  // `stored` is what `store` holds. All references outlive the driver; `store` may be shared with nobody.
  // Nothing is sent or applied before start().
  RaftDriver(env::Loop& loop, MemberId self, const DriverOptions& options, StoredState stored,
             std::unique_ptr<Store> store, Prng random, Sender& sender, StateMachine& state);
  ~RaftDriver();
  RaftDriver(const RaftDriver&) = delete;
  RaftDriver& operator=(const RaftDriver&) = delete;

  // Restores the stored snapshot into the state machine and begins to listen to the clock. Once, before all
  // else. Errors: those of StateMachine::restore.
  Status start();

  void receive(Message message);
  // Completes after the entry was applied here, with its index, under the term that it was appended in.
  // Errors before the append: `not_leader` (leader() is the hint), `overloaded`, `not_yet` (a transfer is
  // under way), `too_large`, `no_space`, `stopping`. After it: `outcome_unknown` alone, once leadership is
  // lost or the driver stops; the command may be committed then, and may not.
  void propose(Slice command, env::Done<Index> done);
  // Completes when all that was committed before the call is applied here, with an index that it has
  // reached. Errors: `not_leader` (no leader is known, it cannot tell yet, or this member is far behind: ask
  // again), `overloaded`, `stopping`.
  void read(env::Done<Index> done);
  // Completes when the change is *appended*, with its first entry's index. Errors as Raft's, `no_space`,
  // `stopping`. Its outcome is seen in configuration() and configuration_committed().
  void change_membership(std::vector<Member> voters, std::vector<Member> learners,
                         env::Done<Index> done);
  Status transfer(MemberId to);
  void leader_is_gone(const MemberId& leader);
  void note_incarnation(const MemberId& member, Incarnation incarnation);

  // Keeps `snapshot`, the state as of `index` (applied, beyond the last snapshot): for state machines that
  // decide themselves when. One at a time: `busy`. `no_space`: nothing has changed.
  void save_snapshot(Index index, Slice snapshot, env::Done<void> done);
  // While set, entries may take the space that the store keeps back: for what a broker with a full disk must
  // still be able to say (deletions).
  void set_urgent(bool urgent);
  void lend_reserve(env::Done<void> done) { store_->lend_reserve(std::move(done)); }

  // Takes nothing more; what was appended gets `outcome_unknown`. Completes when what was given to the store
  // is durable and the clean stop is recorded. Whoever leads hands over first (transfer).
  void stop(env::Done<void> done);

  const Raft& machine() const { return raft_; }
  bool leads() const { return raft_.role() == Role::leader; }
  MemberId leader() const { return raft_.leader(); }
  Index applied() const { return applied_; }
  bool can_persist() const { return !blocked_ && !stuck_; }
  // Age of the oldest write that has not ended; 0: there is none.
  Duration oldest_unsynced() const;
  size_t proposals_waiting() const { return proposals_.size(); }
  size_t reads_waiting() const { return reads_.size() + ready_reads_.size(); }
  size_t persists_waiting() const { return persists_.size(); }
  void check_invariants() const;

 private:
  // An Output's part that waits for the disk.
  struct Pending {
    uint64_t persist_id = 0;
    Persist persist;      // kept until it is durable: a full disk gets it again
    MonotonicTime since;  // given to the store, for the first time
    bool submitted = false;
    bool refused = false;  // `no_space`, the last time
    bool durable = false;  // and something before it is not
    std::vector<Message> messages;
  };
  // An Output's part that is applied, in order.
  struct Application {
    uint64_t after_persist = 0;  // a leader's snapshot waits for this id; 0: at once
    std::optional<Snapshot> restore;
    Index first;
    std::vector<Entry> entries;
  };
  struct Proposal {
    Term term;  // that it was appended in
    env::Done<Index> done;
  };

  struct ReadyRead {
    env::Done<Index> done;
    MonotonicTime give_up;
  };

  void wake();
  void turn();
  void arm_timer();
  void persist(Output& output);
  void submit(Pending& pending);
  void on_persisted(uint64_t persist_id, const Status& status);
  void release_durable();
  void tell_can_persist();
  void watch_disk();
  void judge_disk();
  void block();
  void resubmit();
  void unblock();
  void queue_application(Output& output);
  bool apply_waiting();
  bool apply_entry(Index index, const Entry& entry);
  bool restore(const Snapshot& snapshot);
  void lose_proposals();
  void answer_read(ReadReady& ready);
  void settle_reads();
  void give_up_reads();
  void maybe_snapshot();
  void save(Index index, Slice data, env::Done<void> done);
  void maybe_stopped();
  void die(const Error& why);
  template <class T>
  void refuse(env::Done<T> done, Error why);
  Error hinted(Error why) const;

  env::Loop& loop_;
  const DriverOptions options_;
  std::unique_ptr<Store> store_;
  Snapshot initial_;    // until start()
  uint64_t next_read_;  // ids of two lives never meet
  Raft raft_;
  Sender& sender_;
  StateMachine& state_;

  bool started_ = false;
  bool dead_ = false;  // fail_stop was called: nothing that follows has an effect
  bool stopping_ = false;
  bool turn_armed_ = false;
  env::TimerId timer_;  // at timer_at_, at most the machine's deadline
  MonotonicTime timer_at_;

  std::deque<Pending> persists_;  // ascending by id; the front is not durable
  uint64_t durable_id_ = 0;       // this and all before it are durable
  size_t in_flight_ = 0;          // given to the store and not answered
  bool blocked_ = false;          // the disk is full: nothing new is given to it
  bool stuck_ = false;            // a write has been under way for stuck_disk_after
  bool urgent_ = false;
  env::TimerId retry_;
  env::TimerId watch_;  // for the oldest write

  std::deque<Application> to_apply_;
  Index applied_;
  std::map<Index, Proposal> proposals_;          // all > applied_
  std::map<uint64_t, env::Done<Index>> reads_;   // the machine has them, by id
  std::multimap<Index, ReadyRead> ready_reads_;  // wait for applied_
  env::TimerId read_timer_;                      // while some wait

  std::map<Index, Configuration>
      configurations_;          // that were applied; one at or below the snapshot
  Index snapshot_index_;        // of the last snapshot that is durable
  uint64_t entries_bytes_ = 0;  // applied since
  bool saving_ = false;
  MonotonicTime no_snapshot_before_;
  env::Done<void> stopped_;
  env::Scope scope_;
};

}  // namespace bascule::raft

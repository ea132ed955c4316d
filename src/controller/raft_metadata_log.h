// The metadata log as a Raft group: what is proposed on any broker is appended by the leader and applied
// everywhere in one order.
//
//   propose ──leads here──▶ RaftDriver ──committed──▶ apply here ──▶ CommittedEntries, then the proposer
//      └──leads elsewhere──▶ MemberLink.forward ──▶ that broker's RaftDriver ── … ── applied here ──┘
//
// Every entry begins with (life, number) of its proposer, drawn and counted by the process that proposed it.
// So a proposer sees its own entry when it is applied here, whoever appended it, and learns its outcome in
// that turn. What was given to a leader and never heard of again is `outcome_unknown` in the end.
//
// A broker alone is a group of one, without a link.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "src/controller/metadata_log.h"
#include "src/env/world.h"
#include "src/raft/raft_driver.h"

namespace bascule::controller {

// The way to other members. Implemented over src/peers.
class MemberLink {
 public:
  virtual ~MemberLink() = default;
  // May be lost.
  virtual void send(raft::Message message) = 0;
  // Asks `leader` to append `entry`. Success: it is committed. Errors: those of RaftDriver::propose;
  // `connection_refused`: it was not given away; `connection_lost`, `deadline_exceeded`: it may have been
  // appended.
  virtual void forward(NodeId leader, Slice entry, env::Done<void> done) = 0;
};

// The command in a command entry's bytes, behind its proposer's mark. `corrupt`: too short.
Result<ByteView> command_of_entry(const Slice& entry);

struct RaftLogOptions {
  raft::DriverOptions driver;
  // A proposal that found no leader to take it for so long is refused (`not_leader`); one that was given
  // away and not applied here is `outcome_unknown`.
  Duration patience = seconds(10);
  Duration retry_interval = milliseconds(10);
  Duration handover_max = milliseconds(500);  // of a leader that stops
};

class RaftMetadataLog final : private raft::Sender, private raft::StateMachine {
 public:
  // `link`: null for a broker alone. World, link and committed outlive this. Nothing happens before start().
  RaftMetadataLog(env::World& world, const RaftLogOptions& options, raft::MemberId self,
                  raft::StoredState stored, std::unique_ptr<raft::Store> store, MemberLink* link,
                  CommittedEntries& committed);
  ~RaftMetadataLog() override;
  RaftMetadataLog(const RaftMetadataLog&) = delete;
  RaftMetadataLog& operator=(const RaftMetadataLog&) = delete;

  // Errors: those of CommittedEntries::restore.
  Status start();

  // Completes with the entry's index right after CommittedEntries::apply of it here, in the same turn.
  // `no_space`, `overloaded`, `too_large`, `not_leader` (nobody took it), `stopping`: it was not appended and
  // never will be. `outcome_unknown`: it may have been.
  // `give_up`: sooner than patience ends.
  void propose(Slice command, Urgency urgency, MonotonicTime give_up, env::Done<Index> done);
  // Completes when all that was committed anywhere before the call is applied here (thesis §6.4). `not_leader`:
  // no leader could be asked in time.
  void read(env::Done<Index> done);
  Index last_committed() const { return driver_.applied(); }
  // Keeps `snapshot`, the state as of `index` (applied, beyond the last snapshot), and drops entries that it
  // covers. Durable when complete. One at a time. `no_space`: nothing has changed.
  void save_snapshot(Index index, Slice snapshot, env::Done<void> done);
  // Gives the space that is kept back to another file that a broker cannot do without.
  void lend_reserve(env::Done<void> done);
  // Whoever leads hands over, if somebody can take it. Completes when what was appended is written and the
  // clean stop is recorded. What was not given away gets `stopping`.
  void stop(env::Done<void> done);

  // What another member has sent.
  void receive(raft::Message message) { driver_.receive(std::move(message)); }
  // An entry that another member forwards; for the link's other end. As MemberLink::forward.
  void append_forwarded(Slice entry, env::Done<void> done);

  raft::RaftDriver& driver() { return driver_; }
  const raft::RaftDriver& driver() const { return driver_; }
  // Told at the end of each turn in which role, term, leader or configuration may have changed.
  void on_turn(env::Task task) { on_turn_ = std::move(task); }

 private:
  struct Proposal {
    Slice entry;
    Urgency urgency = Urgency::normal;
    bool given = false;  // to the driver, or to another member
    MonotonicTime give_up;
    env::Done<Index> done;
  };

  // raft::Sender
  void send(raft::Message message) override;
  // raft::StateMachine
  Status restore(Index index, const Slice& snapshot) override;
  Status apply(Index index, Term term, raft::EntryKind kind, const Slice& data) override;
  Slice take_snapshot() override;
  void turn_ended() override;

  void submit(uint64_t number);
  void answered(uint64_t number, const Status& answer);
  void retry_later();
  void look_after_waiting();
  void finish(uint64_t number, Result<Index> result);
  void stop_driver(env::Done<void> done);
  void hand_over(MonotonicTime until, env::Task then);
  void try_read(MonotonicTime give_up, env::Done<Index> done);

  env::World& world_;
  const RaftLogOptions options_;
  MemberLink* link_;
  CommittedEntries& committed_;
  const uint64_t life_;  // drawn: entries of this process begin with it
  uint64_t next_number_ = 1;
  std::map<uint64_t, Proposal> waiting_;
  size_t essential_ = 0;  // of waiting_
  env::TimerId timer_;
  bool stopping_ = false;
  env::Task on_turn_;
  raft::RaftDriver driver_;
  env::Scope alive_;
};

}  // namespace bascule::controller

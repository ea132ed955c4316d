// The controller of one broker: its copy of the cluster's metadata and its way to change it.
//
// Data flow: propose(command) → command_codec → metadata log (a Raft group: durable, in order) →
// metadata_table → outcome to the proposer, changes to the observers. At a start: snapshot → table, then
// what is committed after it, up to what the cluster had committed when this broker came; then the broker
// opens its logs by the table and registers, then it is unfenced and leads.
//
// Files: `identity` (who this disk is: made once, and given its cluster once), `incarnation` (synced before
// anything is said in its name), and the directory of Raft's store.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/controller/active_controller.h"
#include "src/controller/cluster_options.h"
#include "src/controller/cluster_peers.h"
#include "src/controller/command.h"
#include "src/controller/command_codec.h"
#include "src/controller/identity.h"
#include "src/controller/metadata_log.h"
#include "src/controller/metadata_table.h"
#include "src/controller/raft_metadata_log.h"
#include "src/env/world.h"
#include "src/log/coroutine.h"
#include "src/raft/disk_store.h"

namespace bascule::controller {

class Controller;

// Sees a controller before the broker around it is open: it votes, leads and applies by then. For health, and
// for the simulator's oracles. Called in turns of the loop.
class ControllerWatcher {
 public:
  virtual ~ControllerWatcher() = default;
  // The store of the metadata's group is open and not in use yet; another one may be put around it.
  virtual void store_opened(const raft::MemberId& self, raft::OpenedStore& opened) = 0;
  // It takes part in the group from now on, until `left`.
  virtual void joined(Controller& controller) = 0;
  virtual void left(Controller& controller) = 0;
};

struct ControllerOptions {
  NodeId node{1};  // used when the directory is formatted; later it must be the one on disk
  raft::DiskStoreOptions store;
  RaftLogOptions log;
  ClusterOptions cluster;
  uint64_t snapshot_entries = 4096;    // a snapshot is taken after so many entries,
  uint64_t snapshot_bytes = 4 << 20;   // or so many bytes of them
  size_t queued_commands_max = 4096;   // proposed and without an outcome: beyond it `overloaded`
  size_t queued_bytes_max = 64 << 20;  // encoded; likewise
  // What a registration says of this broker.
  BrokerEndpoints endpoints;
  std::string host;                      // failure domain
  ControllerWatcher* watcher = nullptr;  // outlives the controller; null: nobody
};

// Told of every applied command that changed something, in turns of their own and in order; of a snapshot
// that takes the place of commands, as one. The table may be ahead of what is being told: read what a change
// names from the table, and expect it to be gone.
class MetadataObserver {
 public:
  virtual ~MetadataObserver() = default;
  virtual void metadata_changed(Index index, const std::vector<Change>& changes) = 0;
  // Right after it: each event once, in order. `gap`: some before these are gone (a snapshot was installed
  // that no longer had them).
  virtual void events_happened(const std::vector<Event>& /*events*/, bool /*gap*/) {}
};

class Controller : private CommittedEntries, private ClusterListener {
 public:
  ~Controller() override;
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  const Identity& identity() const { return identity_; }
  // As of all that is committed and applied here.
  const MetadataTable& table() const { return table_; }
  // Of this process life; 0 until register_broker has completed.
  Incarnation incarnation() const { return incarnation_; }

  // Admits this process life: persists the next incarnation, then proposes it with what recovery found
  // (partitions that are clean are not listed). Once per life, after all logs were opened. When it
  // completes the broker is recorded, and fenced.
  // Errors: `fenced` (another process registered this node: exit), `no_space`, `outcome_unknown`, `stopping`.
  void register_broker(std::vector<ReplicaReport> reports, env::Done<Incarnation> done);
  // Ready to lead. After register_broker. When it completes elections have been applied.
  void unfence(env::Done<void> done);

  // Completes with what applying the command gave; a refusal is its error. Completions come in the order
  // of the log, before the observers are told. Errors that mean it will never be applied: those of the
  // command itself, `overloaded`, `no_space`, `too_large`, `stopping`. `outcome_unknown`: it may be
  // applied, now or after the next start.
  void propose(Command command, env::Done<Outcome> done);

  // Completes when all that was committed before the call is applied here: what the table then says is not
  // older than the call. `not_leader`: no majority could be asked in time.
  void read_barrier(env::Done<void> done);

  // Tells the active controller that this life is there; whether it is fenced. `not_leader` and others: there
  // was no answer.
  void send_heartbeat(Incarnation incarnation, bool ready, env::Done<bool> done);

  // Who votes and who listens, as the leader of the metadata sees them. `not_leader`: none is known.
  void members(env::Done<MembersAnswer> done);
  // Carried out by the leader of the metadata. Completes when the change is in the log; members() shows its
  // outcome. Errors: `not_found` (no such learner, voter or member), `busy` (a change is under way), `not_yet`
  // (it is too far behind to vote, or the leader is too new), `not_leader`, `connection_lost` (it may happen).
  void change_members(const MembershipRequest& request, env::Done<void> done);

  // The Raft group of the metadata, and the way to the other brokers (null: a broker alone).
  RaftMetadataLog& log() { return *log_; }
  const RaftMetadataLog& log() const { return *log_; }
  ClusterPeers* cluster_peers() { return peers_.get(); }
  const ClusterPeers* cluster_peers() const { return peers_.get(); }

  // Called until it is taken back; not told of what is in the table already.
  void observe(MetadataObserver& observer);
  void forget_observer(MetadataObserver& observer);

  // Not destroyed from inside a completion other than stop's, nor by an observer. Without a stop, what
  // is pending is never completed.
  // Refuses what is proposed from now on, hands the leadership of the metadata over, waits for what is being
  // written, and writes that the stop was clean. No completion runs after `done`.
  void stop(env::Done<void> done);

 private:
  friend struct ControllerOpening;

  Controller(env::World& world, const ControllerOptions& options, const CommandCodec& codec,
             const Identity& identity, const PersistedIncarnation& persisted);

  // CommittedEntries
  Status restore(Index index, ByteView snapshot) override;
  Status apply(Index index, Term term, ByteView command) override;
  // ClusterListener
  void raft_message(raft::Message message) override;
  void process_gone(NodeId node, Incarnation incarnation) override;
  void displaced(const Error& why) override;

  // What other brokers ask (controller_requests.cc).
  void answer_peers();
  Result<FoundingAnswer> on_founding(const FoundingQuery& query) const;
  void on_join(JoinRequest request, env::Done<PeerMessage> answer);
  void let_in(raft::Member member, env::Done<PeerMessage> answer);
  MembersAnswer members_here() const;
  void change_members_here(const MembershipRequest& request, env::Done<void> done);
  void call_members();
  void note_lives(const std::vector<Change>& changes);

  log::Co<Incarnation> run_registration(std::vector<ReplicaReport> reports);
  log::Co<void> persist_incarnation(PersistedIncarnation next);
  void refuse(env::Done<Outcome> done, Error why);
  void maybe_snapshot();
  struct Untold {
    Index index;
    std::vector<Change> changes;
    std::vector<Event> events;
    bool gap = false;
  };
  void tell_later(Untold untold);
  void tell_observers();

  env::World& world_;
  const ControllerOptions options_;
  const CommandCodec& codec_;
  Identity identity_;               // its cluster is none until it is founded or joined
  PersistedIncarnation persisted_;  // as on disk
  // Frees the store's reserve for the file `incarnation`; null before there is a store.
  std::move_only_function<void(env::Done<void>)> lend_;
  Incarnation incarnation_;
  MetadataTable table_;
  std::unique_ptr<ClusterPeers> peers_;       // null: a broker alone
  std::unique_ptr<RaftMetadataLog> log_;      // null until it is opened
  std::unique_ptr<ActiveController> active_;  // as log_
  // Outcome of the entry that was applied last: its proposer's completion runs right after apply().
  Index last_index_;
  Result<Outcome> last_outcome_ = fail(Errc::internal);
  size_t queued_commands_ = 0;
  size_t queued_bytes_ = 0;
  uint64_t entries_since_snapshot_ = 0;
  uint64_t bytes_since_snapshot_ = 0;
  bool snapshot_due_ = false;  // one is being taken, or is about to be
  bool registering_ = false;
  bool stopping_ = false;
  std::vector<MetadataObserver*> observers_;
  std::deque<Untold> untold_;
  env::Scope alive_;
  log::CoScope scope_;
};

// Opens the metadata under the data directory, whose lock the caller holds; formats an empty directory
// (only where no `identity` and no metadata is there), and founds or joins a cluster where it is told to.
// Completes when the table is as far as the cluster was: until a majority can be reached it waits, and says so.
// `parts`: needed where options.cluster has a peers port; may be null else.
// Errors: `corrupt` (names what is lost or rotten: the broker must not start), `unsupported` (written by a
// later program), `no_space`, `io_error`, `invalid` (the directory belongs to another node id; options that do
// not fit), `fenced` (another process is this broker).
void open_controller(env::World& world, ControllerOptions options, const CommandCodec& codec,
                     const ClusterParts* parts, env::Done<std::unique_ptr<Controller>> done);

}  // namespace bascule::controller

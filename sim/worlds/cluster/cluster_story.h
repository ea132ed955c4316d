// What one run of world `cluster` remembers over the lives of its brokers, and the oracles that watch them: of the
// metadata's group, of its tables, and (StreamStory) of the messages.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "capnp/command_codec.h"
#include "capnp/controller_message_codec.h"
#include "sim/oracles/applied_chain.h"
#include "sim/oracles/durable_promises.h"
#include "sim/oracles/equal_tables.h"
#include "sim/oracles/leader_completeness.h"
#include "sim/oracles/metadata_linearizability.h"
#include "sim/oracles/one_leader.h"
#include "sim/oracles/partition_leaders.h"
#include "sim/worlds/cluster/seat.h"
#include "sim/worlds/cluster/watched_codec.h"

namespace bascule::sim {

class ClusterStory final : public StreamStory, private MessageWatcher {
 public:
  ClusterStory(Simulation& simulation, const Plan& its_plan, Verdict& its_verdict);

  // --- What happens.
  void starts(Seat& seat);
  void died(Seat& seat, const Death& death);
  void store_opened(Seat& seat, const raft::MemberId& self, const raft::StoredState& stored);
  // Looks at what the seat's process has become. Cheap where nothing has changed.
  void look(Seat& seat);
  // A stream exists, as a client was told who had asked at `asked`.
  void learned(const broker::StreamStatus& status, SimTime asked);
  // An ack has come from this seat, in this turn.
  void acked(Seat& seat, size_t index, Epoch epoch);
  // The disk goes back to what it was at `then`.
  void goes_back(Seat& seat, SimTime then);
  // All that its disk held is gone, or may be.
  void lose_logs(Seat& seat);

  // StreamStory
  void look_at_damage() override;
  bool may_fail_to_read(PartitionId partition) const override;
  bool damaged(PartitionId partition) const override;

  // --- What is known.
  Seat& seat(NodeId node) { return *seats[node.value - 1]; }
  const Seat& seat(NodeId node) const { return *seats[node.value - 1]; }
  std::vector<NodeId> replicas_of(PartitionId partition) const;
  // The node's replica was given to a storage that is not there any more.
  bool on_a_lost_storage(PartitionId partition, NodeId node) const;
  // The leader of the metadata in the highest term that any node believes in; null: none does.
  Seat* leader();
  // The table that is furthest; null: nobody has one.
  const controller::MetadataTable* newest() const;
  // All founders have opened their stores.
  bool founded() const;
  // The configurations that any member, but for one, may act by, each once.
  std::vector<raft::Configuration> known_configurations(const Seat* but = nullptr) const;
  // Is this member's disk what it was when it last acted?
  bool intact(const raft::MemberId& member) const;
  // Would every known configuration keep a quorum of intact voters without this node's storage?
  bool may_lose(const Seat& seat) const;
  // All that this node has promised is on enough other disks.
  bool may_roll_back(const Seat& seat) const;
  // A message that `from` sent to `to` some time ago; null: none.
  const raft::Message* old_message(NodeId from, NodeId to, uint64_t pick) const;
  // A proposal about a broker's life that was committed some time ago; empty: none.
  Slice old_command(uint64_t pick) const;

  const Plan& plan;
  capnp_codec::MetadataCodec codec;
  WatchedCodec peer_codec;
  capnp_codec::ControllerMessageCodec message_codec;
  std::vector<std::unique_ptr<Seat>> seats;
  size_t founders = 0;    // the first so many seats
  uint64_t secret = 0;    // of the cluster
  uint64_t messages = 0;  // of Raft, that left

  RaftHistory raft_history;
  OneLeader one_leader;
  LeaderCompleteness completeness;
  AppliedChain chains;
  DurablePromises promises;
  MetadataLinearizability linearizability;
  PartitionLeaders leaders;
  EqualTables tables;

 private:
  void leaves(const raft::Message& message) override;
  void look_at_applied(Seat& seat);
  void look_at_leader(Seat& seat);
  void look_at_table(Seat& seat);
  uint64_t take_command(const raft::Entry& entry);
  template <class F>
  void each_partition_on(NodeId node, F f);

  std::map<std::pair<NodeId, NodeId>, std::deque<raft::Message>> tape_;
  std::vector<Slice> life_commands_;
  // Replicas of `memory` partitions whose page cache is gone, since what was acknowledged was forgiven last.
  std::map<PartitionId, std::set<NodeId>> caches_gone_;
  Index newest_table_;
  uint64_t lives_ = 0;
};

// What marks a creation: it comes back in the stream's configuration. 0: there is none.
void mark_creation(model::StreamConfig& config, uint64_t mark);
uint64_t creation_mark(const model::StreamConfig& config);

}  // namespace bascule::sim

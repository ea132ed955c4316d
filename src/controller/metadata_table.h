// The cluster's metadata: a deterministic state machine over the entries of the metadata log.
//
// Where it stands: the controller hands it each committed command with its index; every broker does so
// in the same order and comes to the same state. It does no I/O, sees no clock and draws nothing.
// Split by verb: registration.cc (lives of brokers), removal.cc (brokers and storages that go for good),
// elections.cc (who leads), isr_changes.cc, streams.cc, cluster_wide.cc (feature level, settings, producer ids),
// table_events.cc (the activity log), invariants.cc.
//
// Who may lead (KIP-966 and Viewstamped Replication Revisited §4.3 are the nearest relatives): a
// leadership names (node, incarnation, epoch). Losing a leader opens a leaderless epoch; electing one
// opens the next. A replica that a crash has made *suspect* leads only when enough others have told how
// far they go and none goes further.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/controller/command.h"
#include "src/controller/metadata_state.h"

namespace bascule::controller {

// What a command changed. Values name things; the table has what they are now: a broker that is gone was
// removed. Also made by table_difference.h; in one list deletions of streams come first.
struct BrokerChanged {
  NodeId node;
  bool operator==(const BrokerChanged&) const = default;
};
struct StreamCreated {
  StreamId stream;
  bool operator==(const StreamCreated&) const = default;
};
struct StreamDeleted {
  StreamEntry stream;  // as it was last
  bool operator==(const StreamDeleted&) const = default;
};
// Also once for every partition of a created stream, after its StreamCreated; not for those of a
// deleted one.
struct PartitionChanged {
  PartitionId partition;
  bool operator==(const PartitionChanged&) const = default;
};
// The feature level, a setting, or the storages that were declared lost.
struct ClusterChanged {
  bool operator==(const ClusterChanged&) const = default;
};
using Change =
    std::variant<BrokerChanged, StreamCreated, StreamDeleted, PartitionChanged, ClusterChanged>;

struct Applied {
  Result<Outcome> outcome;
  std::vector<Change> changes;  // empty where the command was refused; each thing at most once
  std::vector<Event> events;    // all of this command's, also those that the log does not keep
};

class MetadataTable {
 public:
  explicit MetadataTable(Uuid cluster);
  // Takes over a decoded snapshot. `corrupt`: it breaks an invariant (its bytes were not ours).
  static Result<MetadataTable> restore(MetadataState state);

  // Applies the entry at `index`. Requires index > applied(): indexes of entries that are no commands are
  // skipped. Bounds of the command are checked here.
  Applied apply(Index index, const Command& command);

  const MetadataState& state() const { return state_; }
  Index applied() const { return state_.applied; }
  Uuid hash() const { return state_hash(state_); }

  // Null where there is none. Valid until the next apply.
  const BrokerEntry* broker(NodeId node) const;
  // What a registration of the node has to replace: no life of it was ever above. 0: none was.
  Incarnation recorded_incarnation(NodeId node) const;
  const StreamEntry* stream(StreamId id) const;
  const StreamEntry* stream_named(std::string_view name) const;
  const PartitionEntry* partition(PartitionId id) const;
  // Partitions with a replica on `node`, ascending.
  std::vector<PartitionId> partitions_of(NodeId node) const;
  uint64_t replicas_on(NodeId node) const;
  uint64_t led_by(NodeId node) const;
  // Leaderless partitions where some have reported and others are waited for.
  std::vector<WaitedPartition> waiting_elections() const;
  // Whether those who have reported could elect, if nobody else were waited for.
  bool wait_can_end(PartitionId id) const;
  // Whether another broker could safely lead something that `node` leads.
  bool can_resign(NodeId node) const;
  Settings settings() const;
  // `unsupported`: the cluster's feature level is beyond this program, which must stop.
  Status check_feature_level() const;
  uint64_t partition_count() const { return partition_count_; }

  // All of them; O(state).
  Status find_broken_invariant() const;
  void check_invariants() const;

 private:
  enum class Wait : uint8_t { for_all, over };
  class ChangeSet;

  Result<Outcome> apply_one(Index index, const RegisterBroker& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const UnfenceBroker& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const FenceBrokers& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const CreateStream& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const DeleteStream& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const ClearSuspect& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const ReportReplica& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const EndElectionWait& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const ElectUnclean& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const UnregisterBroker& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const DeclareStorageLost& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const FinalizeFeatureLevel& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const SetSetting& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const AllocateProducerIds& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const ResignLeaderships& c, ChangeSet& changes);
  Result<Outcome> apply_one(Index index, const ChangeIsr& c, ChangeSet& changes);

  // registration.cc
  Status check_registration(const RegisterBroker& c) const;
  void judge_replica(NodeId node, bool lost_all, const ReplicaReport* report, PartitionEntry& p,
                     ChangeSet& changes);
  void fence_in_partition(const std::vector<NodeId>& fenced, PartitionEntry& p, ChangeSet& changes);

  // isr_changes.cc
  bool may_join(const PartitionEntry& p, const BrokerLife& life) const;
  bool change_isr(PartitionEntry& p, const std::vector<BrokerLife>& isr, ChangeSet& changes);

  // elections.cc
  bool unfenced(NodeId node) const;
  uint32_t min_isr(const PartitionEntry& p) const;
  void touch(PartitionEntry& p, ChangeSet& changes);  // bumps the version
  void lose_leader(PartitionEntry& p, ChangeSet& changes);
  void make_leader(NodeId node, PartitionEntry& p, ChangeSet& changes);
  bool remove_member(NodeId node, PartitionEntry& p);  // false: the sole one
  bool elect(Wait wait, PartitionEntry& p, ChangeSet& changes);
  NodeId safe_candidate(const PartitionEntry& p) const;
  NodeId successor(const PartitionEntry& p) const;
  NodeId reported_candidate(Wait wait, const PartitionEntry& p) const;

  // What is derived of the partitions that one broker holds.
  struct Held {
    std::set<PartitionId> partitions;
    uint64_t led = 0;

    bool operator==(const Held&) const = default;
  };

  PartitionEntry* find_partition(PartitionId id);
  // Of a partition that joins or leaves the table.
  void index_partition(const PartitionEntry& p);
  void forget_partition(const PartitionEntry& p);
  std::vector<Event> log_events(Index index, ChangeSet& changes);

  // invariants.cc
  Status check_partition(const StreamEntry& s, const PartitionEntry& p) const;
  Status check_brokers() const;
  Status check_index() const;

  MetadataState state_;
  std::map<std::string, StreamId, std::less<>> names_;  // derived
  uint64_t partition_count_ = 0;                        // derived
  std::map<NodeId, Held> held_;                         // derived; nodes that hold something
  std::set<PartitionId> leaderless_;                    // derived
};

}  // namespace bascule::controller

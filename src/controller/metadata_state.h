// The cluster's metadata as plain values: what a snapshot holds, and what metadata_table.h guards.
// Everything is ordered, so that walking it gives the same order on every broker.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/controller/command.h"
#include "src/controller/events.h"
#include "src/controller/settings.h"
#include "src/model/stream_config.h"

namespace bascule::controller {

// What this program understands.
inline constexpr FeatureRange k_feature_range{1, 1};
inline constexpr uint32_t k_feature_level = k_feature_range.most;

struct BrokerEntry {
  NodeId node;
  Uuid storage;
  Incarnation incarnation;  // never falls
  bool fenced = true;
  Index registered;  // index of the command that admitted the incarnation
  BrokerEndpoints endpoints;
  std::string host;  // failure domain; empty: the broker is one by itself
  FeatureRange features;

  bool operator==(const BrokerEntry&) const = default;
};

// How far a replica goes, as it said for one leaderless epoch.
struct LeaderlessReport {
  Epoch last_epoch;
  Offset leo;

  bool operator==(const LeaderlessReport&) const = default;
};

struct ReplicaEntry {
  NodeId node;
  AssignmentId assignment;
  Index assigned;  // index of the command that placed it here
  bool suspect = false;
  bool damaged = false;
  bool diverged = false;
  std::optional<LeaderlessReport> report;  // for the present epoch; only while there is no leader

  bool operator==(const ReplicaEntry&) const = default;
};

// A choice that may have lost committed records, kept so that it can be told.
struct LossRecord {
  Epoch epoch;  // of the leader that came of it
  NodeId node;
  bool by_operator = false;  // else: a `memory` partition after a crash of all machines
  WallTime decided;          // 0 where nobody decided

  bool operator==(const LossRecord&) const = default;
};

// Invariants: isr and elr are disjoint, ascending, subsets of the replicas; they are never both empty; elr
// is empty unless |isr| < min_isr; the leader, where there is one, is in isr, unfenced, not suspect, and
// its incarnation is the broker's recorded one. Epoch and version never fall.
struct PartitionEntry {
  PartitionId id;
  Uuid log_id;                         // the same on all replicas
  std::vector<ReplicaEntry> replicas;  // in order of preference
  std::vector<NodeId> isr;
  std::vector<NodeId> elr;
  NodeId leader;                   // 0: none
  Incarnation leader_incarnation;  // 0: none
  Epoch epoch;                     // of the leader, or the leaderless one; 1 is the first
  Version version;                 // bumped by each change of this entry
  // The last replica that held everything has lost its storage: nobody leads until the operator decides.
  bool data_lost = false;
  std::optional<LossRecord> loss;  // the latest

  bool operator==(const PartitionEntry&) const = default;

  const ReplicaEntry* replica(NodeId node) const;
  ReplicaEntry* replica(NodeId node);
  bool in_isr(NodeId node) const;
  bool in_elr(NodeId node) const;
};

struct StreamEntry {
  StreamId id;
  model::StreamConfig config;
  WallTime created;
  std::vector<PartitionEntry> partitions;  // by index

  bool operator==(const StreamEntry&) const = default;
};

// The operator went on with one survivor after a majority of the controllers was lost for good (rescue.h). What
// others had decided beyond `last_known` is not known; the entries that follow begin at `first`, so whatever
// on a disk names an index between the two comes of a decision that is forgotten.
struct RescueRecord {
  Index last_known;
  Index first;
  NodeId node;
  Uuid cluster_before;
  WallTime decided;

  bool operator==(const RescueRecord&) const = default;
};
inline constexpr size_t k_rescues_max = 100;

struct MetadataState {
  Uuid cluster;
  uint32_t feature_level = 1;  // never falls
  Index applied;               // last entry that is in here
  StreamId next_stream{1};     // ids are never given twice
  AssignmentId next_assignment{1};
  std::map<NodeId, BrokerEntry> brokers;
  std::map<StreamId, StreamEntry> streams;
  ProducerId next_producer{1};   // ids are never given twice
  Incarnation removed;           // the highest that a removed broker had: the next life is above it
  std::set<Uuid> lost_storages;  // refused for good
  SettingValues settings;
  EventLog events;
  std::vector<RescueRecord> rescues;  // ascending

  // Whether an entry at `index` is one of those that a rescue has forgotten.
  bool forgotten(Index index) const;

  bool operator==(const MetadataState&) const = default;
};

// Hash over every value of the state, stable across programs, compilers and machines: replicas compare
// their tables by it, never by encodings.
Uuid state_hash(const MetadataState& state);
// Id of a partition's log, from what the stream's creator drew.
Uuid derive_log_id(const Uuid& seed, PartitionIndex index);

}  // namespace bascule::controller

// Everything that can happen to the cluster's metadata, as values: commands that are put in the metadata
// log, and what applying each of them gives.
//
// Data flow: controller.h encodes a command, the metadata log makes it durable, metadata_table.h applies
// it. Whatever matters (incarnations, epochs, versions) is checked when it is applied, never when it
// arrives; a refusal is an Error in place of the outcome, the same on every broker, and changes nothing.
// What a command needs of the outside world (time, randomness) is drawn by the proposer and carried in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/model/stream_config.h"

namespace bascule::controller {

// Bounds of one command; beyond them it is `too_large` to encode and `invalid` to decode or apply.
inline constexpr size_t k_command_items_max = 200'000;   // reports or partitions in one command
inline constexpr size_t k_command_bytes_max = 12 << 20;  // encoded
inline constexpr size_t k_brokers_max = 1000;
inline constexpr size_t k_partitions_max = 200'000;  // of the whole cluster
inline constexpr uint32_t k_replicas_max = 15;       // of one partition
inline constexpr size_t k_lost_storages_max = 10'000;
inline constexpr size_t k_label_bytes_max = 255;           // of an endpoint or a host label
inline constexpr uint64_t k_producer_ids_max = 1'000'000;  // in one block

// Where a broker is reached, "HOST:PORT" each; empty: not at all.
struct BrokerEndpoints {
  std::string peers;
  std::string rpc;
  std::string nats;

  bool operator==(const BrokerEndpoints&) const = default;
};

// Feature levels that a program can work at, ends included.
struct FeatureRange {
  uint32_t least = 1;
  uint32_t most = 1;

  bool operator==(const FeatureRange&) const = default;
  bool contains(uint32_t level) const { return least <= level && level <= most; }
};

// What a broker's recovery found of one of its replicas. Clean ones are not reported.
struct ReplicaReport {
  PartitionId partition;
  AssignmentId assignment;  // a report about an earlier assignment is ignored
  bool missing = false;     // its directory had been promised and is not there
  bool damaged = false;     // something that must be there cannot be read
  bool diverged = false;    // it was told to cut below its own HW, and kept its data
  bool suspect = false;     // after an unclean stop: a synced tail may be gone unnoticed
  bool cache_lost =
      false;         // likewise, and the machine went down: what was written and not synced is gone
  Epoch last_epoch;  // of its last batch; 0: empty
  Offset leo;        // durable

  bool operator==(const ReplicaReport&) const = default;
};

// Admits a process life of a broker. The broker is fenced until UnfenceBroker. Refused: `fenced`, where
// `replaces` is not the recorded incarnation (read it and begin anew) or the storage was declared lost;
// `unsupported`, where the cluster's feature level is not one of the program's.
// A duplicate of the current registration is answered as the first was and changes nothing.
struct RegisterBroker {
  NodeId node;
  Uuid storage;             // made when the data directory was formatted
  Incarnation incarnation;  // > replaces, synced on the broker's disk before this was proposed
  Incarnation replaces;     // MetadataTable::recorded_incarnation(node)
  bool rolled_back =
      false;  // the broker's disk remembered a lower incarnation than the recorded one
  std::vector<ReplicaReport> reports;
  BrokerEndpoints endpoints;
  std::string
      host;  // failure domain: shards of one host share it; empty: the broker is one by itself
  FeatureRange features;

  bool operator==(const RegisterBroker&) const = default;
};

// The broker may lead and follow: it has applied its registration and recovered its logs. Elects.
// Refused: `fenced` (another incarnation is recorded). Unfencing the unfenced changes nothing.
struct UnfenceBroker {
  NodeId node;
  Incarnation incarnation;

  bool operator==(const UnfenceBroker&) const = default;
};

struct BrokerLife {
  NodeId node;
  Incarnation incarnation;

  bool operator==(const BrokerLife&) const = default;
};

// Ends the sessions of all these brokers at once, so that no order among them decides who leads.
// Items of another incarnation than the recorded one, and unknown nodes, are skipped.
struct FenceBrokers {
  std::vector<BrokerLife> brokers;

  bool operator==(const FenceBrokers&) const = default;
};

// Placed by placement.h. Refused: `invalid` (configuration; more replicas than brokers), `stream_exists`
// (another configuration under the name; an equal one is success with the existing stream),
// `not_enough_replicas` (brokers are up on fewer hosts), `too_large` (the cluster's bounds).
struct CreateStream {
  model::StreamConfig config;
  Uuid log_seed;  // drawn by the proposer; every partition's log id is derived from it
  WallTime created;

  bool operator==(const CreateStream&) const = default;
};

// Refused: `unknown_stream`.
struct DeleteStream {
  StreamId stream;

  bool operator==(const DeleteStream&) const = default;
};

// The leader has seen that replicas hold all they must: their suspect marks go. Each item is judged by
// itself; it is refused unless leader, incarnations and version are the recorded ones.
struct ClearSuspectItem {
  PartitionId partition;
  Version version;  // that the leader made it from
  NodeId replica;
  Incarnation replica_incarnation;

  bool operator==(const ClearSuspectItem&) const = default;
};
struct ClearSuspect {
  NodeId leader;
  Incarnation leader_incarnation;
  std::vector<ClearSuspectItem> items;

  bool operator==(const ClearSuspect&) const = default;
};

// The leader's wish for another in-sync set. Each item is judged by itself. One that is out of date (another
// leader, incarnation or version) is refused and changes nothing. One that is not, and names a member that
// may not be in the set (no replica, fenced, of another incarnation, damaged, diverged), is refused and
// raises the version: every later copy of it is then out of date, so a proposer that sees a higher version
// knows that nothing it proposed from an earlier one can still happen.
struct ChangeIsrItem {
  PartitionId partition;
  Version version;              // that the leader made it from
  std::vector<BrokerLife> isr;  // the whole set, ascending by node, the leader among them

  bool operator==(const ChangeIsrItem&) const = default;
};
struct ChangeIsr {
  NodeId leader;
  Incarnation leader_incarnation;
  std::vector<ChangeIsrItem> items;

  bool operator==(const ChangeIsr&) const = default;
};

// How far the replica of a living broker goes, for one leaderless epoch. From then on it appends and cuts
// nothing until the next leader. Refused: `fenced` (another incarnation or epoch, a leader exists),
// `not_found` (no such replica).
struct ReportReplica {
  NodeId node;
  Incarnation incarnation;
  PartitionId partition;
  Epoch epoch;  // the leaderless one
  Epoch last_epoch;
  Offset leo;

  bool operator==(const ReportReplica&) const = default;
};

// The wait for more reports is over for these leaderless epochs: those who reported elect. Items of
// another epoch, or with a leader, are skipped.
struct WaitedPartition {
  PartitionId partition;
  Epoch epoch;

  bool operator==(const WaitedPartition&) const = default;
};
struct EndElectionWait {
  std::vector<WaitedPartition> partitions;

  bool operator==(const EndElectionWait&) const = default;
};

// The operator's choice where no safe leader is left: `node` leads with what it has, and what may have
// been lost is recorded. Refused: `unknown_partition`, `not_found` (no such replica), `fenced` (epoch
// differs), `already_exists` (a leader exists), `not_leader` (the broker is fenced).
struct ElectUnclean {
  PartitionId partition;
  Epoch epoch;  // the leaderless one that the operator saw
  NodeId node;
  WallTime decided;

  bool operator==(const ElectUnclean&) const = default;
};

// The operator takes a broker out of the cluster. Refused: `not_found`, `fenced` (another incarnation is
// recorded), `busy` (it is up, or holds replicas: says how many). Its node id may come back, in a higher
// incarnation.
struct UnregisterBroker {
  NodeId node;
  Incarnation incarnation;  // that the operator saw

  bool operator==(const UnregisterBroker&) const = default;
};

// The operator's word that a storage will never come back: its broker is fenced and leaves every set, as if
// it had registered with another storage; the storage is refused for good. Saying it again changes nothing.
// Refused: `not_found` (no broker has it), `too_large`.
struct DeclareStorageLost {
  Uuid storage;

  bool operator==(const DeclareStorageLost&) const = default;
};

// From now on what the level brings may be used. Refused: `invalid` (below the present one),
// `unsupported` (a registered broker cannot work at it: names them).
struct FinalizeFeatureLevel {
  uint32_t level = 0;

  bool operator==(const FinalizeFeatureLevel&) const = default;
};

// See settings.h. An empty value: the default again. Refused: `invalid`.
struct SetSetting {
  std::string name;
  std::string value;

  bool operator==(const SetSetting&) const = default;
};

// A block of producer ids, never given twice. Refused: `fenced`, `invalid` (count), `too_large` (none are
// left).
struct AllocateProducerIds {
  NodeId node;
  Incarnation incarnation;
  uint64_t count = 0;  // 1..k_producer_ids_max

  bool operator==(const AllocateProducerIds&) const = default;
};

// The broker's disk makes no progress: what it leads and another in-sync replica could lead safely is led by that
// one from now on. The rest stays. Refused: `fenced` (another incarnation is recorded).
struct ResignLeaderships {
  NodeId node;
  Incarnation incarnation;

  bool operator==(const ResignLeaderships&) const = default;
};

using Command =
    std::variant<RegisterBroker, UnfenceBroker, FenceBrokers, CreateStream, DeleteStream,
                 ClearSuspect, ReportReplica, EndElectionWait, ElectUnclean, UnregisterBroker,
                 DeclareStorageLost, FinalizeFeatureLevel, SetSetting, AllocateProducerIds,
                 ResignLeaderships, ChangeIsr>;

std::string_view command_name(const Command& command);

// --- Outcomes --------------------------------------------------------------------------------------

struct RegisterBrokerOutcome {
  Incarnation incarnation;  // the recorded one now
  bool operator==(const RegisterBrokerOutcome&) const = default;
};
struct UnfenceBrokerOutcome {
  bool operator==(const UnfenceBrokerOutcome&) const = default;
};
struct FenceBrokersOutcome {
  uint32_t fenced = 0;  // brokers that were unfenced before
  bool operator==(const FenceBrokersOutcome&) const = default;
};
struct CreateStreamOutcome {
  StreamId stream;
  bool existed = false;
  bool operator==(const CreateStreamOutcome&) const = default;
};
struct DeleteStreamOutcome {
  bool operator==(const DeleteStreamOutcome&) const = default;
};
struct ClearSuspectOutcome {
  std::vector<uint32_t> refused;  // positions of refused items, ascending
  bool operator==(const ClearSuspectOutcome&) const = default;
};
struct ReportReplicaOutcome {
  bool operator==(const ReportReplicaOutcome&) const = default;
};
struct EndElectionWaitOutcome {
  uint32_t elected = 0;
  bool operator==(const EndElectionWaitOutcome&) const = default;
};
struct ElectUncleanOutcome {
  Epoch epoch;  // of the new leader
  bool operator==(const ElectUncleanOutcome&) const = default;
};

struct UnregisterBrokerOutcome {
  bool operator==(const UnregisterBrokerOutcome&) const = default;
};
struct DeclareStorageLostOutcome {
  NodeId node;  // whose it was; 0: it had been declared lost before
  bool operator==(const DeclareStorageLostOutcome&) const = default;
};
struct FinalizeFeatureLevelOutcome {
  bool operator==(const FinalizeFeatureLevelOutcome&) const = default;
};
struct SetSettingOutcome {
  bool operator==(const SetSettingOutcome&) const = default;
};
struct AllocateProducerIdsOutcome {
  ProducerId first;  // of `count` consecutive ones
  bool operator==(const AllocateProducerIdsOutcome&) const = default;
};

struct ResignLeadershipsOutcome {
  uint32_t moved = 0;  // partitions that have another leader now
  bool operator==(const ResignLeadershipsOutcome&) const = default;
};
struct ChangeIsrOutcome {
  std::vector<uint32_t> refused;  // positions of refused items, ascending
  bool operator==(const ChangeIsrOutcome&) const = default;
};

// Same order as Command.
using Outcome =
    std::variant<RegisterBrokerOutcome, UnfenceBrokerOutcome, FenceBrokersOutcome,
                 CreateStreamOutcome, DeleteStreamOutcome, ClearSuspectOutcome,
                 ReportReplicaOutcome, EndElectionWaitOutcome, ElectUncleanOutcome,
                 UnregisterBrokerOutcome, DeclareStorageLostOutcome, FinalizeFeatureLevelOutcome,
                 SetSettingOutcome, AllocateProducerIdsOutcome, ResignLeadershipsOutcome,
                 ChangeIsrOutcome>;
static_assert(std::variant_size_v<Command> == std::variant_size_v<Outcome>);

}  // namespace bascule::controller

// The lives of brokers: registering, unfencing, fencing.
//
// A registration tells who the disk is, which life begins on it, and what its recovery could not vouch
// for. The command that admits the life takes the broker out of every set that its disk no longer
// justifies: otherwise an empty disk under a known name would count as a replica that has everything.
#include <algorithm>
#include <map>
#include <set>

#include "src/base/assert.h"
#include "src/controller/change_set.h"
#include "src/controller/metadata_table.h"

namespace bascule::controller {

Status MetadataTable::check_registration(const RegisterBroker& c) const {
  if (!c.node || !c.storage || c.incarnation <= c.replaces)
    return fail(Errc::invalid, "registration: a node, a storage and a higher incarnation");
  if (c.reports.size() > k_command_items_max)
    return fail(Errc::invalid, "registration: too many reports");
  if (state_.lost_storages.contains(c.storage))
    return fail(Errc::fenced, "storage " + c.storage.to_string() + " was declared lost");
  for (const auto& [node, b] : state_.brokers) {
    if (node != c.node && b.storage == c.storage)
      return fail(Errc::fenced, "the storage is registered for node " + node.to_string() +
                                    ": this directory is a copy of its own");
  }
  if (c.features.least == 0 || c.features.least > c.features.most)
    return fail(Errc::invalid, "registration: feature levels");
  if (std::max({c.host.size(), c.endpoints.peers.size(), c.endpoints.rpc.size(),
                c.endpoints.nats.size()}) > k_label_bytes_max)
    return fail(Errc::invalid, "registration: an endpoint or the host label is too long");
  if (!c.features.contains(state_.feature_level))
    return fail(Errc::unsupported,
                "the cluster's feature level is " + std::to_string(state_.feature_level) +
                    "; the broker's program works at " + std::to_string(c.features.least) + " to " +
                    std::to_string(c.features.most));
  const BrokerEntry* b = broker(c.node);
  const Incarnation recorded = recorded_incarnation(c.node);
  if (recorded != c.replaces)
    return fail(Errc::fenced, "incarnation " + recorded.to_string() + " is recorded, not " +
                                  c.replaces.to_string());
  if (b == nullptr && state_.brokers.size() >= k_brokers_max)
    return fail(Errc::too_large, "the cluster has as many brokers as it can");
  return {};
}

Result<Outcome> MetadataTable::apply_one(Index index, const RegisterBroker& c, ChangeSet& changes) {
  const BrokerEntry* known = broker(c.node);
  // A retry of what was admitted already: no second life, so nothing else may change.
  if (known != nullptr && known->incarnation == c.incarnation && known->storage == c.storage)
    return RegisterBrokerOutcome{c.incarnation};
  BASCULE_TRY(check_registration(c));

  std::map<PartitionId, const ReplicaReport*> reports;
  for (const ReplicaReport& r : c.reports) {
    if (!reports.emplace(r.partition, &r).second)
      return fail(Errc::invalid, "registration: two reports of " + r.partition.to_string());
  }
  const bool lost_all = c.rolled_back || (known != nullptr && known->storage != c.storage);
  state_.brokers[c.node] =
      BrokerEntry{c.node, c.storage, c.incarnation, true, index, c.endpoints, c.host, c.features};
  changes.broker(c.node);
  changes.event({.kind = EventKind::broker_registered,
                 .node = c.node,
                 .incarnation = c.incarnation,
                 .name = c.host});
  for (const PartitionId id : partitions_of(c.node)) {
    PartitionEntry& p = *find_partition(id);
    const auto at = reports.find(id);
    const bool listed =
        at != reports.end() && at->second->assignment == p.replica(c.node)->assignment;
    judge_replica(c.node, lost_all, listed ? at->second : nullptr, p, changes);
  }
  return RegisterBrokerOutcome{c.incarnation};
}

// A life of `node` is over: what its disk no longer justifies goes.
void MetadataTable::judge_replica(NodeId node, bool lost_all, const ReplicaReport* report,
                                  PartitionEntry& p, ChangeSet& changes) {
  const bool member = p.in_isr(node) || p.in_elr(node);
  ReplicaEntry& r = *p.replica(node);
  if (!member && report == nullptr && !r.report) return;
  changes.before(p);
  if (p.leader == node) lose_leader(p, changes);
  r.report.reset();  // of its earlier life
  bool lost = lost_all;
  bool removed = lost_all;
  if (report != nullptr) {
    r.suspect |= report->suspect;
    r.damaged |= report->damaged;
    r.diverged |= report->diverged;
    lost |= report->missing;
    removed |= report->missing || report->damaged;
    // In memory mode a machine crash takes what was acknowledged: the others have it, if any is left. A killed
    // process leaves it in the page cache.
    if (report->cache_lost &&
        stream(p.id.stream)->config.durability == model::DurabilityMode::memory) {
      removed |= std::ranges::any_of(p.isr, [&](NodeId other) {
        return other != node && unfenced(other) && !p.replica(other)->suspect;
      });
    }
  }
  // The sole holder is never removed: with a lost storage nobody may lead before the operator has
  // decided; with damage it serves what it can.
  if (member && removed && !remove_member(node, p) && lost) p.data_lost = true;
  if (report != nullptr && !p.leader && !lost)
    r.report = LeaderlessReport{report->last_epoch, report->leo};
  touch(p, changes);
  elect(Wait::for_all, p, changes);
}

Result<Outcome> MetadataTable::apply_one(Index, const UnfenceBroker& c, ChangeSet& changes) {
  const auto at = state_.brokers.find(c.node);
  if (at == state_.brokers.end() || at->second.incarnation != c.incarnation)
    return fail(Errc::fenced, "another life of broker " + c.node.to_string() + " is recorded");
  if (state_.lost_storages.contains(at->second.storage))
    return fail(Errc::fenced, "its storage was declared lost");
  if (!at->second.fenced) return UnfenceBrokerOutcome{};
  at->second.fenced = false;
  changes.broker(c.node);
  changes.event({.kind = EventKind::broker_unfenced, .node = c.node, .incarnation = c.incarnation});
  for (const PartitionId id : partitions_of(c.node)) {
    PartitionEntry& p = *find_partition(id);
    if (p.in_isr(c.node) || p.in_elr(c.node)) elect(Wait::for_all, p, changes);
  }
  return UnfenceBrokerOutcome{};
}

Result<Outcome> MetadataTable::apply_one(Index, const FenceBrokers& c, ChangeSet& changes) {
  if (c.brokers.size() > k_brokers_max) return fail(Errc::invalid, "too many brokers");
  std::vector<NodeId> fenced;
  for (const BrokerLife& life : c.brokers) {
    const auto at = state_.brokers.find(life.node);
    if (at == state_.brokers.end() || at->second.incarnation != life.incarnation) continue;
    if (std::exchange(at->second.fenced, true)) continue;
    fenced.push_back(life.node);
    changes.broker(life.node);
  }
  std::ranges::sort(fenced);
  std::set<PartitionId> affected;
  for (const NodeId node : fenced) {
    changes.event(
        {.kind = EventKind::broker_fenced, .node = node, .incarnation = broker(node)->incarnation});
    if (const auto at = held_.find(node); at != held_.end())
      affected.insert(at->second.partitions.begin(), at->second.partitions.end());
  }
  for (const PartitionId id : affected) fence_in_partition(fenced, *find_partition(id), changes);
  return FenceBrokersOutcome{static_cast<uint32_t>(fenced.size())};
}

void MetadataTable::fence_in_partition(const std::vector<NodeId>& fenced, PartitionEntry& p,
                                       ChangeSet& changes) {
  std::vector<NodeId> gone;
  std::ranges::set_intersection(p.isr, fenced, std::back_inserter(gone));
  if (gone.empty()) return;
  changes.before(p);
  const bool led = std::ranges::binary_search(fenced, p.leader);
  if (led) lose_leader(p, changes);
  // Where none would be left that is up and not in doubt, the sets stay: otherwise the order of
  // fencing, an accident, would decide who is "all of them" after a power loss.
  const bool one_left = std::ranges::any_of(p.isr, [&](NodeId node) {
    return unfenced(node) && !p.replica(node)->suspect && !p.replica(node)->diverged;
  });
  if (one_left) {
    for (NodeId node : gone) std::erase(p.isr, node);
    if (p.isr.size() < min_isr(p)) {
      p.elr.insert(p.elr.end(), gone.begin(), gone.end());
      std::ranges::sort(p.elr);
    }
    touch(p, changes);
  }
  if (led) elect(Wait::for_all, p, changes);
}

}  // namespace bascule::controller

// Who leads a partition: losing a leader, electing the next, and what replicas tell for it.
//
// The order of choice: (a) a member of the ISR that no crash has put in doubt; (b) such a member of the
// ELR, who held everything when it left the ISR below min_isr (KIP-966); (c) among members in doubt, when
// at least min_isr of ISR ∪ ELR (all, where fewer exist) have told for this very leaderless epoch how far
// they go: the greatest (last epoch, LEO). min_isr of them, since every acknowledged batch is on at least
// min_isr disks; this very epoch, since a report made while another led may be from before it caught up.
#include <algorithm>
#include <set>
#include <utility>

#include "src/base/assert.h"
#include "src/controller/change_set.h"
#include "src/controller/metadata_table.h"

namespace bascule::controller {
namespace {

std::vector<NodeId> members_of(const PartitionEntry& p) {
  std::vector<NodeId> out;
  std::ranges::set_union(p.isr, p.elr, std::back_inserter(out));
  return out;
}

bool in_doubt(const ReplicaEntry& r) { return r.suspect || r.diverged; }

Status check_life(const BrokerEntry* b, NodeId node, Incarnation incarnation) {
  if (b == nullptr) return fail(Errc::fenced, "broker " + node.to_string() + " is not registered");
  if (b->incarnation != incarnation)
    return fail(Errc::fenced, "broker " + node.to_string() + " is registered with incarnation " +
                                  b->incarnation.to_string());
  return {};
}

Status check_leaderless(const PartitionEntry* p, PartitionId id, Epoch epoch) {
  if (p == nullptr) return fail(Errc::unknown_partition, id.to_string());
  if (p->leader) return fail(Errc::already_exists, id.to_string() + " has a leader");
  if (p->epoch != epoch)
    return fail(Errc::fenced, id.to_string() + " is in epoch " + p->epoch.to_string());
  return {};
}

}  // namespace

bool MetadataTable::unfenced(NodeId node) const {
  const BrokerEntry* b = broker(node);
  return b != nullptr && !b->fenced;
}

uint32_t MetadataTable::min_isr(const PartitionEntry& p) const {
  const StreamEntry* s = stream(p.id.stream);
  ASSERT(s != nullptr, p.id);
  return s->config.min_isr;
}

void MetadataTable::touch(PartitionEntry& p, ChangeSet& changes) {
  p.version = p.version.next();
  changes.partition(p.id);
}

void MetadataTable::lose_leader(PartitionEntry& p, ChangeSet& changes) {
  if (!p.leader) return;
  changes.before(p);
  --held_.at(p.leader).led;
  leaderless_.insert(p.id);
  p.leader = {};
  p.leader_incarnation = {};
  p.epoch = p.epoch.next();
  for (ReplicaEntry& r : p.replicas) r.report.reset();
  touch(p, changes);
}

void MetadataTable::make_leader(NodeId node, PartitionEntry& p, ChangeSet& changes) {
  const BrokerEntry* b = broker(node);
  ASSERT(!p.leader && b != nullptr && !b->fenced, p.id, node);
  changes.before(p);
  if (!p.in_isr(node)) {
    // All others may lack what it has and still hold all that was acknowledged.
    std::vector<NodeId> others = members_of(p);
    std::erase(others, node);
    p.isr = {node};
    p.elr = min_isr(p) <= 1 ? std::vector<NodeId>{} : std::move(others);
  }
  leaderless_.erase(p.id);
  ++held_.at(node).led;
  p.leader = node;
  p.leader_incarnation = b->incarnation;
  p.epoch = p.epoch.next();
  p.replica(node)->suspect = false;
  for (ReplicaEntry& r : p.replicas) r.report.reset();
  touch(p, changes);
}

bool MetadataTable::remove_member(NodeId node, PartitionEntry& p) {
  if (p.isr.size() + p.elr.size() == 1) return false;
  std::erase(p.isr, node);
  std::erase(p.elr, node);
  return true;
}

NodeId MetadataTable::safe_candidate(const PartitionEntry& p) const {
  for (const auto* members : {&p.isr, &p.elr}) {
    for (const ReplicaEntry& r : p.replicas) {  // their order is the order of preference
      if (std::ranges::binary_search(*members, r.node) && unfenced(r.node) && !in_doubt(r))
        return r.node;
    }
  }
  return {};
}

// Who could take over from the present leader without anything being lost: in sync, like it.
NodeId MetadataTable::successor(const PartitionEntry& p) const {
  for (const ReplicaEntry& r : p.replicas) {
    if (r.node != p.leader && p.in_isr(r.node) && unfenced(r.node) && !in_doubt(r)) return r.node;
  }
  return {};
}

bool MetadataTable::can_resign(NodeId node) const {
  if (led_by(node) == 0) return false;
  return std::ranges::any_of(partitions_of(node), [&](PartitionId id) {
    const PartitionEntry& p = *partition(id);
    return p.leader == node && successor(p);
  });
}

Result<Outcome> MetadataTable::apply_one(Index, const ResignLeaderships& c, ChangeSet& changes) {
  BASCULE_TRY(check_life(broker(c.node), c.node, c.incarnation));
  ResignLeadershipsOutcome outcome;
  for (const PartitionId id : partitions_of(c.node)) {
    PartitionEntry& p = *find_partition(id);
    const NodeId next = p.leader == c.node ? successor(p) : NodeId{};
    if (!next) continue;
    lose_leader(p, changes);
    make_leader(next, p, changes);
    ++outcome.moved;
  }
  return outcome;
}

NodeId MetadataTable::reported_candidate(Wait wait, const PartitionEntry& p) const {
  const std::vector<NodeId> members = members_of(p);
  const ReplicaEntry* best = nullptr;
  size_t reported = 0;
  for (NodeId node : members) {  // ascending: of equals the lowest id stays
    const ReplicaEntry* r = p.replica(node);
    if (!r->report || !unfenced(node)) continue;
    ++reported;
    const auto reach = [](const ReplicaEntry& e) {
      return std::pair(e.report->last_epoch, e.report->leo);
    };
    if (best == nullptr || reach(*r) > reach(*best)) best = r;
  }
  const bool all = reported == members.size();
  if (!all && wait == Wait::for_all) return {};
  // In memory mode a crash of all machines may have taken what all of them had: no number of reports
  // proves anything, so it is all, or whoever is there when the wait is over.
  const bool memory = stream(p.id.stream)->config.durability == model::DurabilityMode::memory;
  const size_t needed = memory ? 1 : std::min<size_t>(min_isr(p), members.size());
  return best != nullptr && reported >= needed ? best->node : NodeId{};
}

bool MetadataTable::elect(Wait wait, PartitionEntry& p, ChangeSet& changes) {
  if (p.leader || p.data_lost) return false;
  if (const NodeId node = safe_candidate(p)) {
    make_leader(node, p, changes);
    return true;
  }
  const NodeId node = reported_candidate(wait, p);
  if (!node) return false;
  make_leader(node, p, changes);
  if (stream(p.id.stream)->config.durability == model::DurabilityMode::memory)
    p.loss = LossRecord{p.epoch, node, false, {}};
  return true;
}

std::vector<WaitedPartition> MetadataTable::waiting_elections() const {
  std::vector<WaitedPartition> out;
  for (const PartitionId id : leaderless_) {
    const PartitionEntry& p = *partition(id);
    if (p.data_lost) continue;
    if (std::ranges::any_of(p.replicas, [](const auto& r) { return r.report.has_value(); }))
      out.push_back({p.id, p.epoch});
  }
  return out;
}

bool MetadataTable::wait_can_end(PartitionId id) const {
  const PartitionEntry* p = partition(id);
  if (p == nullptr || p->leader || p->data_lost) return false;
  return static_cast<bool>(reported_candidate(Wait::over, *p));
}

Result<Outcome> MetadataTable::apply_one(Index, const ReportReplica& c, ChangeSet& changes) {
  BASCULE_TRY(check_life(broker(c.node), c.node, c.incarnation));
  PartitionEntry* p = find_partition(c.partition);
  BASCULE_TRY(check_leaderless(p, c.partition, c.epoch));
  ReplicaEntry* r = p->replica(c.node);
  if (r == nullptr) return fail(Errc::not_found, "no replica of " + c.partition.to_string());
  r->report = LeaderlessReport{c.last_epoch, c.leo};
  touch(*p, changes);
  elect(Wait::for_all, *p, changes);
  return ReportReplicaOutcome{};
}

Result<Outcome> MetadataTable::apply_one(Index, const EndElectionWait& c, ChangeSet& changes) {
  if (c.partitions.size() > k_command_items_max) return fail(Errc::invalid, "too many partitions");
  EndElectionWaitOutcome outcome;
  for (const WaitedPartition& w : c.partitions) {
    PartitionEntry* p = find_partition(w.partition);
    if (p == nullptr || p->leader || p->epoch != w.epoch) continue;
    outcome.elected += elect(Wait::over, *p, changes) ? 1 : 0;
  }
  return outcome;
}

Result<Outcome> MetadataTable::apply_one(Index, const ElectUnclean& c, ChangeSet& changes) {
  PartitionEntry* p = find_partition(c.partition);
  BASCULE_TRY(check_leaderless(p, c.partition, c.epoch));
  ReplicaEntry* r = p->replica(c.node);
  if (r == nullptr) return fail(Errc::not_found, "no replica of " + c.partition.to_string());
  if (!unfenced(c.node))
    return fail(Errc::not_leader, "broker " + c.node.to_string() + " is fenced");
  changes.before(*p);
  p->isr = {c.node};
  p->elr.clear();
  p->data_lost = false;
  r->diverged = false;
  make_leader(c.node, *p, changes);
  p->loss = LossRecord{p->epoch, c.node, true, c.decided};
  return ElectUncleanOutcome{p->epoch};
}

Result<Outcome> MetadataTable::apply_one(Index, const ClearSuspect& c, ChangeSet& changes) {
  if (c.items.size() > k_command_items_max) return fail(Errc::invalid, "too many items");
  // All are judged against what the leader saw, then all are cleared: two replicas of one partition
  // come with one version.
  ClearSuspectOutcome outcome;
  std::vector<std::pair<PartitionEntry*, ReplicaEntry*>> granted;
  for (size_t i = 0; i < c.items.size(); ++i) {
    const ClearSuspectItem& item = c.items[i];
    PartitionEntry* p = find_partition(item.partition);
    ReplicaEntry* r = p == nullptr ? nullptr : p->replica(item.replica);
    const BrokerEntry* b = broker(item.replica);
    if (r == nullptr || b == nullptr || p->leader != c.leader || !p->leader ||
        p->leader_incarnation != c.leader_incarnation || p->version != item.version ||
        b->incarnation != item.replica_incarnation || b->fenced) {
      outcome.refused.push_back(static_cast<uint32_t>(i));
    } else if (r->suspect) {
      granted.emplace_back(p, r);
    }
  }
  std::set<PartitionId> cleared;
  for (auto [p, r] : granted) {
    r->suspect = false;
    if (cleared.insert(p->id).second) touch(*p, changes);
  }
  return outcome;
}

}  // namespace bascule::controller

// O4 for partitions: an epoch has at most one leader, in one life of one broker; who acknowledges in an epoch is
// that one, and no later life of its broker is known. O7, as far as a partition of one replica has it: nobody leads
// what was assigned to another storage than its own.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "sim/worlds/world.h"
#include "src/controller/metadata_table.h"

namespace bascule::sim {

class PartitionLeaders {
 public:
  explicit PartitionLeaders(Verdict& verdict) : verdict_(verdict) {}

  // A table that is further than any that was seen.
  void table_moved(const controller::MetadataTable& table) {
    for (const auto& [id, stream] : table.state().streams) {
      for (const controller::PartitionEntry& p : stream.partitions) {
        for (const controller::ReplicaEntry& r : p.replicas) {
          const controller::BrokerEntry* broker = table.broker(r.node);
          if (broker != nullptr) storages_.try_emplace(r.assignment, broker->storage);
        }
        if (p.leader) elected(p, *table.broker(p.leader));
      }
    }
    for (const auto& [node, broker] : table.state().brokers) {
      Incarnation& known = recorded_[node];
      if (broker.incarnation < known)
        verdict_.fire("O4", "broker " + node.to_string() + " is registered with incarnation " +
                                broker.incarnation.to_string() + " after " + known.to_string());
      known = broker.incarnation;
    }
  }
  // A disk went back to before the registration that the table has: it holds nothing that it must.
  void rolled_back(NodeId node, const controller::MetadataTable& table) {
    for (const auto& [id, stream] : table.state().streams) {
      for (const controller::PartitionEntry& p : stream.partitions) {
        if (const controller::ReplicaEntry* r = p.replica(node)) storages_[r->assignment] = {};
      }
    }
  }
  // The storage that a replica was assigned to; none: nobody has seen that.
  Uuid storage_of(AssignmentId assignment) const {
    const auto it = storages_.find(assignment);
    return it == storages_.end() ? Uuid() : it->second;
  }
  void acked(PartitionId partition, Epoch epoch, NodeId node, Incarnation incarnation) {
    const auto it = leaders_.find({partition, epoch});
    const controller::BrokerLife who{node, incarnation};
    if (it == leaders_.end() || it->second != who)
      return verdict_.fire(
          "O4", "broker " + text(who) + " acknowledges in epoch " + epoch.to_string() + " of " +
                    partition.to_string() + ", " +
                    (it == leaders_.end() ? "which nobody leads" : text(it->second) + " leads it"));
    if (recorded_[node] > incarnation)
      verdict_.fire("O4", "broker " + text(who) + " acknowledges, and incarnation " +
                              recorded_[node].to_string() + " of it is registered");
  }

 private:
  void elected(const controller::PartitionEntry& p, const controller::BrokerEntry& broker) {
    const controller::BrokerLife who{p.leader, p.leader_incarnation};
    const auto [it, first] = leaders_.try_emplace({p.id, p.epoch}, who);
    if (!first && it->second != who)
      verdict_.fire("O4", "epoch " + p.epoch.to_string() + " of " + p.id.to_string() +
                              " is led by " + text(who) + ", and was by " + text(it->second));
    // A leadership from before its disk went is not over until the others know.
    if (!first) return;
    const auto assigned = storages_.find(p.replica(p.leader)->assignment);
    // One of several replicas may have copied all of it to a new storage since.
    if (p.replicas.size() == 1 && assigned->second != broker.storage && !p.loss)
      verdict_.fire("O7", "broker " + p.leader.to_string() + " leads " + p.id.to_string() +
                              " with a storage that never held it");
  }
  static std::string text(const controller::BrokerLife& life) {
    return life.node.to_string() + " in incarnation " + life.incarnation.to_string();
  }

  Verdict& verdict_;
  std::map<std::pair<PartitionId, Epoch>, controller::BrokerLife> leaders_;
  std::map<NodeId, Incarnation> recorded_;
  std::map<AssignmentId, Uuid> storages_;  // that each replica was assigned to
};

}  // namespace bascule::sim

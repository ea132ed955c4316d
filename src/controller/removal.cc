// What goes for good, on the operator's word: brokers that leave the cluster, storages that are lost.
#include <algorithm>
#include <string>
#include <utility>

#include "src/controller/change_set.h"
#include "src/controller/metadata_table.h"

namespace bascule::controller {

Result<Outcome> MetadataTable::apply_one(Index, const UnregisterBroker& c, ChangeSet& changes) {
  const BrokerEntry* b = broker(c.node);
  if (b == nullptr) return fail(Errc::not_found, "no broker " + c.node.to_string());
  if (b->incarnation != c.incarnation)
    return fail(Errc::fenced, "incarnation " + b->incarnation.to_string() + " is recorded");
  if (const uint64_t held = replicas_on(c.node); held > 0)
    return fail(Errc::busy, "broker " + c.node.to_string() + " holds " + std::to_string(held) +
                                (held == 1 ? " replica" : " replicas") + ": move them first");
  if (!b->fenced) return fail(Errc::busy, "broker " + c.node.to_string() + " is up: stop it first");
  // Incarnations of a node id never repeat, whatever becomes of its entry.
  state_.removed = std::max(state_.removed, b->incarnation);
  state_.brokers.erase(c.node);
  changes.broker(c.node);
  changes.event({.kind = EventKind::broker_removed, .node = c.node, .incarnation = c.incarnation});
  return UnregisterBrokerOutcome{};
}

Result<Outcome> MetadataTable::apply_one(Index, const DeclareStorageLost& c, ChangeSet& changes) {
  if (state_.lost_storages.contains(c.storage)) return DeclareStorageLostOutcome{};
  BrokerEntry* b = nullptr;
  for (auto& [node, entry] : state_.brokers) {
    if (entry.storage == c.storage) b = &entry;
  }
  if (b == nullptr) return fail(Errc::not_found, "no broker has storage " + c.storage.to_string());
  if (state_.lost_storages.size() >= k_lost_storages_max)
    return fail(Errc::too_large, "as many storages are lost as can be remembered");
  state_.lost_storages.insert(c.storage);
  changes.cluster();
  changes.event({.kind = EventKind::storage_lost,
                 .node = b->node,
                 .incarnation = b->incarnation,
                 .detail = c.storage.to_string()});
  if (!std::exchange(b->fenced, true)) {
    changes.broker(b->node);
    changes.event(
        {.kind = EventKind::broker_fenced, .node = b->node, .incarnation = b->incarnation});
  }
  for (const PartitionId id : partitions_of(b->node))
    judge_replica(b->node, true, nullptr, *find_partition(id), changes);
  return DeclareStorageLostOutcome{b->node};
}

}  // namespace bascule::controller

#include "src/controller/table_difference.h"

#include <set>

#include "src/base/assert.h"

namespace bascule::controller {
namespace {

void add_brokers(const MetadataState& before, const MetadataState& after,
                 std::vector<Change>& out) {
  std::set<NodeId> changed;
  for (const auto& [node, b] : before.brokers) {
    if (!after.brokers.contains(node)) changed.insert(node);
  }
  for (const auto& [node, b] : after.brokers) {
    const auto old = before.brokers.find(node);
    if (old == before.brokers.end() || old->second != b) changed.insert(node);
  }
  for (const NodeId node : changed) out.emplace_back(BrokerChanged{node});
}

void add_partitions(const MetadataState& before, const MetadataState& after,
                    std::vector<Change>& out) {
  for (const auto& [id, stream] : after.streams) {
    const auto old = before.streams.find(id);
    for (size_t i = 0; i < stream.partitions.size(); ++i) {
      const bool same = old != before.streams.end() && i < old->second.partitions.size() &&
                        old->second.partitions[i] == stream.partitions[i];
      if (!same) out.emplace_back(PartitionChanged{stream.partitions[i].id});
    }
  }
}

}  // namespace

std::vector<Change> table_difference(const MetadataState& before, const MetadataState& after) {
  REQUIRE(before.cluster == after.cluster && before.applied <= after.applied);
  std::vector<Change> out;
  for (const auto& [id, stream] : before.streams) {
    if (!after.streams.contains(id)) out.emplace_back(StreamDeleted{stream});
  }
  if (before.feature_level != after.feature_level || before.settings != after.settings ||
      before.lost_storages != after.lost_storages)
    out.emplace_back(ClusterChanged{});
  add_brokers(before, after, out);
  // Ids are never given twice: a stream that is in both is the same one.
  for (const auto& [id, stream] : after.streams) {
    if (!before.streams.contains(id)) out.emplace_back(StreamCreated{id});
  }
  add_partitions(before, after, out);
  return out;
}

MissedEvents missed_events(const MetadataState& before, const MetadataState& after) {
  const EventPosition seen = latest_event(before.events);
  MissedEvents out;
  out.gap = after.events.dropped > seen;
  for (const Event& event : after.events.kept) {
    if (event.position > seen) out.events.push_back(event);
  }
  return out;
}

}  // namespace bascule::controller

#include "src/controller/metadata_table.h"

#include <utility>

#include "src/base/assert.h"
#include "src/controller/change_set.h"

namespace bascule::controller {

MetadataTable::MetadataTable(Uuid cluster) { state_.cluster = cluster; }

Result<MetadataTable> MetadataTable::restore(MetadataState state) {
  MetadataTable table(state.cluster);
  table.state_ = std::move(state);
  for (const auto& [id, stream] : table.state_.streams) {
    if (!table.names_.emplace(stream.config.name, id).second)
      return fail(Errc::corrupt, "metadata: two streams have the name " + stream.config.name);
    for (const PartitionEntry& p : stream.partitions) table.index_partition(p);
  }
  BASCULE_TRY(table.check_feature_level());
  BASCULE_TRY(table.find_broken_invariant());
  return table;
}

Applied MetadataTable::apply(Index index, const Command& command) {
  REQUIRE(index > state_.applied, index, state_.applied);
  ChangeSet changes;
  Result<Outcome> outcome =
      std::visit([&](const auto& c) { return apply_one(index, c, changes); }, command);
  state_.applied = index;
  std::vector<Event> events = log_events(index, changes);
  std::vector<Change> list = std::move(changes).take();
  ASSERT(outcome || (list.empty() && events.empty()));
  VERIFY(find_broken_invariant().has_value());
  return {std::move(outcome), std::move(list), std::move(events)};
}

const BrokerEntry* MetadataTable::broker(NodeId node) const {
  const auto at = state_.brokers.find(node);
  return at == state_.brokers.end() ? nullptr : &at->second;
}

const StreamEntry* MetadataTable::stream(StreamId id) const {
  const auto at = state_.streams.find(id);
  return at == state_.streams.end() ? nullptr : &at->second;
}

const StreamEntry* MetadataTable::stream_named(std::string_view name) const {
  const auto at = names_.find(name);
  return at == names_.end() ? nullptr : stream(at->second);
}

const PartitionEntry* MetadataTable::partition(PartitionId id) const {
  const StreamEntry* s = stream(id.stream);
  if (s == nullptr || id.index.value >= s->partitions.size()) return nullptr;
  return &s->partitions[id.index.value];
}

PartitionEntry* MetadataTable::find_partition(PartitionId id) {
  const auto at = state_.streams.find(id.stream);
  if (at == state_.streams.end() || id.index.value >= at->second.partitions.size()) return nullptr;
  return &at->second.partitions[id.index.value];
}

Incarnation MetadataTable::recorded_incarnation(NodeId node) const {
  const BrokerEntry* b = broker(node);
  return b == nullptr ? state_.removed : b->incarnation;
}

// --- What is derived -------------------------------------------------------------------------------

std::vector<PartitionId> MetadataTable::partitions_of(NodeId node) const {
  const auto at = held_.find(node);
  if (at == held_.end()) return {};
  return {at->second.partitions.begin(), at->second.partitions.end()};
}

uint64_t MetadataTable::replicas_on(NodeId node) const {
  const auto at = held_.find(node);
  return at == held_.end() ? 0 : at->second.partitions.size();
}

uint64_t MetadataTable::led_by(NodeId node) const {
  const auto at = held_.find(node);
  return at == held_.end() ? 0 : at->second.led;
}

void MetadataTable::index_partition(const PartitionEntry& p) {
  for (const ReplicaEntry& r : p.replicas) held_[r.node].partitions.insert(p.id);
  if (p.leader) {
    ++held_[p.leader].led;
  } else {
    leaderless_.insert(p.id);
  }
  ++partition_count_;
}

void MetadataTable::forget_partition(const PartitionEntry& p) {
  leaderless_.erase(p.id);
  if (p.leader) --held_[p.leader].led;
  for (const ReplicaEntry& r : p.replicas) {
    const auto at = held_.find(r.node);
    ASSERT(at != held_.end(), r.node);
    at->second.partitions.erase(p.id);
    if (at->second.partitions.empty()) held_.erase(at);
  }
  --partition_count_;
}

}  // namespace bascule::controller

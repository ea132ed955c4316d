#include "src/controller/metadata_table.h"

#include <algorithm>
#include <set>
#include <utility>

#include "src/base/assert.h"
#include "src/controller/change_set.h"
#include "src/model/limits.h"

namespace bascule::controller {

MetadataTable::MetadataTable(Uuid cluster) { state_.cluster = cluster; }

Result<MetadataTable> MetadataTable::restore(MetadataState state) {
  MetadataTable table(state.cluster);
  table.state_ = std::move(state);
  for (const auto& [id, stream] : table.state_.streams) {
    if (!table.names_.emplace(stream.config.name, id).second)
      return fail(Errc::corrupt, "metadata: two streams have the name " + stream.config.name);
    table.partition_count_ += stream.partitions.size();
  }
  BASCULE_TRY(table.find_broken_invariant());
  return table;
}

Applied MetadataTable::apply(Index index, const Command& command) {
  REQUIRE(index > state_.applied, index, state_.applied);
  ChangeSet changes;
  Result<Outcome> outcome =
      std::visit([&](const auto& c) { return apply_one(index, c, changes); }, command);
  state_.applied = index;
  std::vector<Change> list = std::move(changes).take();
  ASSERT(outcome || list.empty());
  VERIFY(find_broken_invariant().has_value());
  return {std::move(outcome), std::move(list)};
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

std::vector<PartitionId> MetadataTable::partitions_of(NodeId node) const {
  std::vector<PartitionId> out;
  for (const auto& [id, stream] : state_.streams) {
    for (const PartitionEntry& p : stream.partitions) {
      if (p.replica(node) != nullptr) out.push_back(p.id);
    }
  }
  return out;
}

// --- Invariants ------------------------------------------------------------------------------------

namespace {

Status broken(PartitionId id, std::string_view what) {
  return fail(Errc::corrupt, "metadata: partition " + id.to_string() + ": " + std::string(what));
}

bool ascending(const std::vector<NodeId>& nodes) {
  return std::ranges::adjacent_find(nodes, std::greater_equal<>{}) == nodes.end();
}

Status check_sets(const PartitionEntry& p, uint32_t min_isr) {
  if (!ascending(p.isr) || !ascending(p.elr)) return broken(p.id, "ISR or ELR is out of order");
  for (NodeId node : p.isr) {
    if (p.replica(node) == nullptr) return broken(p.id, "the ISR names a node without a replica");
  }
  for (NodeId node : p.elr) {
    if (p.replica(node) == nullptr) return broken(p.id, "the ELR names a node without a replica");
    if (p.in_isr(node)) return broken(p.id, "ISR and ELR overlap");
  }
  if (p.isr.empty() && p.elr.empty()) return broken(p.id, "nobody holds its committed records");
  if (!p.elr.empty() && p.isr.size() >= min_isr) return broken(p.id, "an ELR beside a full ISR");
  return {};
}

}  // namespace

Status MetadataTable::check_partition(const StreamEntry& s, const PartitionEntry& p) const {
  if (p.replicas.empty() || p.replicas.size() > k_replicas_max)
    return broken(p.id, "number of replicas");
  std::set<NodeId> nodes;
  for (const ReplicaEntry& r : p.replicas) {
    if (broker(r.node) == nullptr || !nodes.insert(r.node).second)
      return broken(p.id, "a replica on an unknown node, or two on one");
    if (!r.assignment || r.assignment >= state_.next_assignment || r.assigned > state_.applied)
      return broken(p.id, "an assignment that was never made");
    if (r.report && p.leader) return broken(p.id, "a report beside a leader");
  }
  BASCULE_TRY(check_sets(p, s.config.min_isr));
  if (!p.epoch || !p.version || !p.log_id) return broken(p.id, "epoch, version or log id is 0");
  if (!p.leader) {
    return p.leader_incarnation ? broken(p.id, "an incarnation without a leader") : Status{};
  }
  const BrokerEntry* b = broker(p.leader);
  if (b == nullptr || b->fenced || b->incarnation != p.leader_incarnation || !p.in_isr(p.leader))
    return broken(p.id, "its leader is fenced, of an earlier life, or not in the ISR");
  if (p.replica(p.leader)->suspect || p.data_lost)
    return broken(p.id, "its leader is suspect, or its data is lost");
  return {};
}

Status MetadataTable::find_broken_invariant() const {
  if (!state_.cluster || !state_.next_stream || !state_.next_assignment)
    return fail(Errc::corrupt, "metadata: an id is 0");
  if (state_.feature_level == 0 || state_.feature_level > k_feature_level)
    return fail(Errc::unsupported,
                "metadata: feature level " + std::to_string(state_.feature_level));
  if (state_.brokers.size() > k_brokers_max || state_.streams.size() > limits::k_streams_max ||
      partition_count_ > k_partitions_max)
    return fail(Errc::corrupt, "metadata: beyond its bounds");
  for (const auto& [node, b] : state_.brokers) {
    if (!node || b.node != node || !b.storage || !b.incarnation || b.registered > state_.applied)
      return fail(Errc::corrupt, "metadata: broker " + node.to_string());
  }
  for (const auto& [id, s] : state_.streams) {
    if (!id || s.id != id || id >= state_.next_stream)
      return fail(Errc::corrupt, "metadata: stream id " + id.to_string());
    if (auto ok = model::check_stream_config(s.config); !ok)
      return fail(Errc::corrupt, "metadata: stream " + id.to_string() + ": " + ok.error().context);
    if (s.partitions.size() != s.config.partitions)
      return fail(Errc::corrupt, "metadata: stream " + id.to_string() + ": partitions");
    for (size_t i = 0; i < s.partitions.size(); ++i) {
      const PartitionEntry& p = s.partitions[i];
      if (p.id != PartitionId{id, PartitionIndex(static_cast<uint32_t>(i))})
        return broken(p.id, "is in another's place");
      BASCULE_TRY(check_partition(s, p));
    }
  }
  return {};
}

void MetadataTable::check_invariants() const {
  const Status s = find_broken_invariant();
  ASSERT(s.has_value(), s ? std::string_view() : std::string_view(s.error().context));
}

}  // namespace bascule::controller

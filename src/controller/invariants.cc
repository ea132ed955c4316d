// What always holds of the table: checked of each snapshot before it is used, and after each command in
// tests and debug builds.
#include <algorithm>
#include <functional>
#include <set>

#include "src/base/assert.h"
#include "src/controller/metadata_table.h"
#include "src/model/limits.h"

namespace bascule::controller {
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

Status MetadataTable::check_brokers() const {
  for (const auto& [node, b] : state_.brokers) {
    const size_t longest = std::max(
        {b.host.size(), b.endpoints.peers.size(), b.endpoints.rpc.size(), b.endpoints.nats.size()});
    if (!node || b.node != node || !b.storage || !b.incarnation || b.registered > state_.applied ||
        longest > k_label_bytes_max || !b.features.contains(state_.feature_level))
      return fail(Errc::corrupt, "metadata: broker " + node.to_string());
    if (!b.fenced && state_.lost_storages.contains(b.storage))
      return fail(Errc::corrupt, "metadata: a lost storage is up, broker " + node.to_string());
  }
  return {};
}

// What is derived is what it would be if it were derived anew.
Status MetadataTable::check_index() const {
  MetadataTable anew(state_.cluster);
  for (const auto& [id, s] : state_.streams) {
    for (const PartitionEntry& p : s.partitions) anew.index_partition(p);
  }
  if (anew.held_ != held_ || anew.leaderless_ != leaderless_ ||
      anew.partition_count_ != partition_count_ || names_.size() != state_.streams.size())
    return fail(Errc::internal, "metadata: an index differs from the table");
  return {};
}

Status MetadataTable::check_feature_level() const {
  if (k_feature_range.contains(state_.feature_level)) return {};
  return fail(Errc::unsupported,
              "the cluster's feature level is " + std::to_string(state_.feature_level) +
                  "; this program understands " + std::to_string(k_feature_range.least) + " to " +
                  std::to_string(k_feature_range.most));
}

Status MetadataTable::find_broken_invariant() const {
  if (!state_.cluster || !state_.next_stream || !state_.next_assignment)
    return fail(Errc::corrupt, "metadata: an id is 0");
  if (state_.feature_level == 0) return fail(Errc::corrupt, "metadata: feature level 0");
  if (!state_.next_producer || !is_sound(state_.events) ||
      latest_event(state_.events).index > state_.applied ||
      state_.lost_storages.size() > k_lost_storages_max)
    return fail(Errc::corrupt, "metadata: producer ids, events or lost storages");
  Index known;
  for (const RescueRecord& r : state_.rescues) {
    if (r.last_known < known || r.first <= r.last_known || r.first > state_.applied ||
        !r.cluster_before)
      return fail(Errc::corrupt, "metadata: a rescue that was never made");
    known = r.first;
  }
  if (state_.rescues.size() > k_rescues_max)
    return fail(Errc::corrupt, "metadata: too many rescues");
  if (auto ok = settings_from(state_.settings); !ok) return fail(std::move(ok.error()));
  if (state_.brokers.size() > k_brokers_max || state_.streams.size() > limits::k_streams_max ||
      partition_count_ > k_partitions_max)
    return fail(Errc::corrupt, "metadata: beyond its bounds");
  BASCULE_TRY(check_brokers());
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
  return check_index();
}

void MetadataTable::check_invariants() const {
  const Status s = find_broken_invariant();
  ASSERT(s.has_value(), s ? std::string_view() : std::string_view(s.error().context));
}

}  // namespace bascule::controller

// Streams: creating with placement, deleting. Ids are never given twice.
#include <algorithm>
#include <utility>

#include "src/base/assert.h"
#include "src/controller/change_set.h"
#include "src/controller/metadata_table.h"
#include "src/model/limits.h"

namespace bascule::controller {
namespace {

// Replicas of partition `index` go to consecutive brokers of the list, each partition and stream starting
// one further: every broker leads about as many.
std::vector<ReplicaEntry> place(const std::vector<NodeId>& brokers, StreamId stream, uint32_t index,
                                uint32_t count, AssignmentId& next, Index at) {
  std::vector<ReplicaEntry> out;
  for (uint32_t i = 0; i < count; ++i) {
    const NodeId node = brokers[(stream.value + index + i) % brokers.size()];
    ReplicaEntry& r = out.emplace_back();
    r.node = node;
    r.assignment = std::exchange(next, next.next());
    r.assigned = at;
  }
  return out;
}

}  // namespace

Result<Outcome> MetadataTable::apply_one(Index index, const CreateStream& c, ChangeSet& changes) {
  if (auto ok = model::check_stream_config(c.config); !ok)
    return fail(Errc::invalid, std::move(ok.error().context));
  if (!c.log_seed) return fail(Errc::invalid, "the log seed is 0");
  if (const StreamEntry* same = stream_named(c.config.name)) {
    if (same->config == c.config) return CreateStreamOutcome{same->id, true};
    return fail(Errc::stream_exists, c.config.name + " exists with another configuration");
  }
  for (const auto& [id, other] : state_.streams)
    BASCULE_TRY(model::check_answers_beside(c.config, other.config));
  if (state_.streams.size() >= limits::k_streams_max ||
      c.config.partitions > k_partitions_max - partition_count_)
    return fail(Errc::too_large, "the cluster has as many streams or partitions as it can");
  std::vector<NodeId> up;
  for (const auto& [node, b] : state_.brokers) {
    if (!b.fenced) up.push_back(node);
  }
  if (c.config.replicas > state_.brokers.size() || c.config.replicas > k_replicas_max)
    return fail(Errc::invalid, "replicas: " + std::to_string(c.config.replicas) + " asked, " +
                                   std::to_string(state_.brokers.size()) + " brokers known");
  if (c.config.replicas > up.size())
    return fail(Errc::not_enough_replicas, "replicas: " + std::to_string(c.config.replicas) +
                                               " asked, " + std::to_string(up.size()) +
                                               " brokers up");

  StreamEntry stream;
  stream.id = std::exchange(state_.next_stream, state_.next_stream.next());
  stream.config = c.config;
  stream.created = c.created;
  for (uint32_t i = 0; i < c.config.partitions; ++i) {
    PartitionEntry p;
    p.id = {stream.id, PartitionIndex(i)};
    p.log_id = derive_log_id(c.log_seed, p.id.index);
    p.replicas = place(up, stream.id, i, c.config.replicas, state_.next_assignment, index);
    for (const ReplicaEntry& r : p.replicas) p.isr.push_back(r.node);
    std::ranges::sort(p.isr);
    p.leader = p.replicas.front().node;
    p.leader_incarnation = broker(p.leader)->incarnation;
    p.epoch = Epoch(1);
    p.version = Version(1);
    changes.partition(p.id);
    stream.partitions.push_back(std::move(p));
  }
  changes.stream_created(stream.id);
  partition_count_ += stream.partitions.size();
  names_.emplace(stream.config.name, stream.id);
  const StreamId id = stream.id;
  state_.streams.emplace(id, std::move(stream));
  return CreateStreamOutcome{id, false};
}

Result<Outcome> MetadataTable::apply_one(Index, const DeleteStream& c, ChangeSet& changes) {
  const auto at = state_.streams.find(c.stream);
  if (at == state_.streams.end()) return fail(Errc::unknown_stream, c.stream.to_string());
  partition_count_ -= at->second.partitions.size();
  names_.erase(at->second.config.name);
  changes.stream_deleted(std::move(at->second));
  state_.streams.erase(at);
  return DeleteStreamOutcome{};
}

}  // namespace bascule::controller

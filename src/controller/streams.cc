// Streams: creating on the brokers that placement.h gives, deleting. Ids are never given twice.
#include <algorithm>
#include <utility>

#include "src/base/assert.h"
#include "src/controller/change_set.h"
#include "src/controller/metadata_table.h"
#include "src/controller/placement.h"
#include "src/model/limits.h"

namespace bascule::controller {
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
  std::vector<PlacementBroker> up;
  for (const auto& [node, b] : state_.brokers) {
    if (!b.fenced) up.push_back({node, b.host, replicas_on(node), led_by(node)});
  }
  if (c.config.replicas > state_.brokers.size() || c.config.replicas > k_replicas_max)
    return fail(Errc::invalid, "replicas: " + std::to_string(c.config.replicas) + " asked, " +
                                   std::to_string(state_.brokers.size()) + " brokers known");
  BASCULE_TRY_ASSIGN(const auto places, place_stream(up, {c.config.partitions, c.config.replicas}));

  StreamEntry stream;
  stream.id = std::exchange(state_.next_stream, state_.next_stream.next());
  stream.config = c.config;
  stream.created = c.created;
  for (uint32_t i = 0; i < c.config.partitions; ++i) {
    PartitionEntry p;
    p.id = {stream.id, PartitionIndex(i)};
    p.log_id = derive_log_id(c.log_seed, p.id.index);
    for (const NodeId node : places[i]) {
      ReplicaEntry& r = p.replicas.emplace_back();
      r.node = node;
      r.assignment = std::exchange(state_.next_assignment, state_.next_assignment.next());
      r.assigned = index;
      p.isr.push_back(node);
    }
    std::ranges::sort(p.isr);
    p.leader = p.replicas.front().node;
    p.leader_incarnation = broker(p.leader)->incarnation;
    p.epoch = Epoch(1);
    p.version = Version(1);
    changes.partition(p.id);
    index_partition(p);
    stream.partitions.push_back(std::move(p));
  }
  changes.stream_created(stream.id);
  changes.event({.kind = EventKind::stream_created,
                 .partition = {stream.id, {}},
                 .number = stream.partitions.size(),
                 .name = stream.config.name});
  names_.emplace(stream.config.name, stream.id);
  const StreamId id = stream.id;
  state_.streams.emplace(id, std::move(stream));
  return CreateStreamOutcome{id, false};
}

Result<Outcome> MetadataTable::apply_one(Index, const DeleteStream& c, ChangeSet& changes) {
  const auto at = state_.streams.find(c.stream);
  if (at == state_.streams.end()) return fail(Errc::unknown_stream, c.stream.to_string());
  for (const PartitionEntry& p : at->second.partitions) forget_partition(p);
  changes.event({.kind = EventKind::stream_deleted,
                 .partition = {c.stream, {}},
                 .name = at->second.config.name});
  names_.erase(at->second.config.name);
  changes.stream_deleted(std::move(at->second));
  state_.streams.erase(at);
  return DeleteStreamOutcome{};
}

}  // namespace bascule::controller

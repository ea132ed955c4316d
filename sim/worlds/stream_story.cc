#include "sim/worlds/stream_story.h"

#include <charconv>
#include <string_view>
#include <utility>

namespace bascule::sim {

std::optional<PartitionId> partition_of_path(std::string_view path) {
  if (!path.starts_with("logs/")) return std::nullopt;
  path.remove_prefix(5);
  PartitionId id;
  const char* const end = path.data() + path.size();
  auto parsed = std::from_chars(path.data(), end, id.stream.value);
  if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != '-') return std::nullopt;
  parsed = std::from_chars(parsed.ptr + 1, end, id.index.value);
  if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != '-') return std::nullopt;
  return id;
}

void StreamStory::created(const broker::StreamStatus& status) {
  KnownStream known{status.config};
  for (const broker::PartitionStatus& p : status.partitions) known.replicas.push_back(p.replicas);
  streams.try_emplace(status.id, std::move(known));
  names[status.config.name] = status.id;
}

void StreamStory::deleted(StreamId id) {
  const auto it = streams.find(id);
  if (it == streams.end()) return;
  names.erase(it->second.config.name);
  streams.erase(it);
}

const KnownStream* StreamStory::stream(StreamId id) const {
  const auto it = streams.find(id);
  return it == streams.end() ? nullptr : &it->second;
}

std::optional<StreamId> StreamStory::named(const std::string& name) const {
  const auto it = names.find(name);
  if (it == names.end()) return std::nullopt;
  return it->second;
}

// --- Answers --------------------------------------------------------------------------------------

void StreamStory::answered(size_t index, const Result<broker::PublishAck>& answer) {
  SentBatch& batch = history.batch(index);
  if (sim.narrating()) {
    sim.tell("client", batch.to_string() + ": " +
                           (answer ? "acked at " + answer->base_offset.to_string() + " in epoch " +
                                         answer->epoch.to_string()
                                   : answer.error().to_string()));
  }
  if (batch.answer != Answer::open) verdict.fire("O11", "a second answer to one publish");
  if (!answer) {
    batch.error = answer.error().code;
    batch.answer = batch.error == Errc::outcome_unknown ? Answer::unknown : Answer::refused;
    sim.count("answer.publish." + std::string(errc_name(batch.error)));
    return;
  }
  sim.count("answer.acked");
  batch.answer = Answer::acked;
  batch.base = answer->base_offset;
  if (answer->partition != batch.partition || answer->count != batch.count)
    verdict.fire("O11", "an ack of another batch");
  const KnownStream* known = stream(batch.partition.stream);
  if (known == nullptr || known->promised(batch.acks)) acks.acked(index);
}

void StreamStory::hit(PartitionId partition, NodeId node) {
  std::set<NodeId>& nodes = hits_[partition];
  nodes.insert(node);
  const KnownStream* known = stream(partition.stream);
  if (known == nullptr || nodes.size() >= known->config.min_isr) give_up(partition);
}

void StreamStory::give_up(PartitionId partition) {
  damaged_.insert(partition);
  acks.give_up(partition);
  consumers.forget(partition);
}

}  // namespace bascule::sim

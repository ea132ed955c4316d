#include "sim/worlds/broker_story.h"

#include <charconv>
#include <string_view>

namespace bascule::sim {
namespace {

// "logs/12-3-7/…" → 12/3
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

}  // namespace

void BrokerStory::created(const broker::StreamStatus& status) {
  streams.try_emplace(status.id, KnownStream{status.config, false});
  names[status.config.name] = status.id;
}

void BrokerStory::deleted(StreamId id) {
  const auto it = streams.find(id);
  if (it == streams.end()) return;
  names.erase(it->second.config.name);
  streams.erase(it);
}

const KnownStream* BrokerStory::stream(StreamId id) const {
  const auto it = streams.find(id);
  return it == streams.end() ? nullptr : &it->second;
}

std::optional<StreamId> BrokerStory::named(const std::string& name) const {
  const auto it = names.find(name);
  if (it == names.end()) return std::nullopt;
  return it->second;
}

bool BrokerStory::damaged(PartitionId partition) const {
  return all_damaged_ || damaged_.contains(partition);
}

void BrokerStory::give_up(PartitionId partition) {
  damaged_.insert(partition);
  acks.give_up(partition);
  consumers.forget(partition);
}

void BrokerStory::give_up_all() {
  all_damaged_ = true;
  for (const auto& [id, known] : streams) {
    for (uint32_t p = 0; p < known.config.partitions; ++p) give_up({id, PartitionIndex(p)});
  }
}

void BrokerStory::look_at_damage() {
  const std::vector<Damage>& damage = node.device().damage();
  for (; damage_seen_ < damage.size(); ++damage_seen_) {
    const std::string& path = damage[damage_seen_].path;
    if (const auto partition = partition_of_path(path)) {
      give_up(*partition);
    } else if (path.starts_with("logs") || path.empty()) {
      // The node-wide file, or all of the logs: what must be there is not known any more.
      give_up_all();
      if (path.empty()) metadata_damaged_ = true;
    } else {
      metadata_damaged_ = true;
    }
  }
  // New streams on a disk like this are on their own too.
  if (all_damaged_) give_up_all();
}

void BrokerStory::restarts() {
  look_at_damage();
  for (const PartitionId partition : damaged_) consumers.forget(partition);
}

void BrokerStory::cache_went_away() {
  for (const auto& [id, known] : streams) {
    if (known.config.durability != model::DurabilityMode::memory) continue;
    for (uint32_t p = 0; p < known.config.partitions; ++p) {
      acks.forgive({id, PartitionIndex(p)});
      consumers.forget({id, PartitionIndex(p)});
    }
  }
}

}  // namespace bascule::sim

#include "sim/worlds/broker_story.h"

namespace bascule::sim {

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
  for (const PartitionId partition : given_up()) consumers.forget(partition);
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

#include "src/controller/election_waits.h"

#include <algorithm>

#include "src/base/assert.h"

namespace bascule::controller {

EndElectionWait ElectionWaits::tick(MonotonicTime now, const MetadataTable& table) {
  const Settings settings = table.settings();
  EndElectionWait out;
  std::map<PartitionId, Wait> waits;
  next_ = MonotonicTime::never();
  for (const WaitedPartition& waiting : table.waiting_elections()) {
    const auto old = waits_.find(waiting.partition);
    const bool known = old != waits_.end() && old->second.epoch == waiting.epoch;
    const Wait wait = known ? old->second : Wait{waiting.epoch, now};
    waits.emplace(waiting.partition, wait);
    const StreamEntry* stream = table.stream(waiting.partition.stream);
    ASSERT(stream != nullptr, waiting.partition);
    const bool memory = stream->config.durability == model::DurabilityMode::memory;
    const MonotonicTime over =
        wait.since + (memory ? settings.memory_election_wait : settings.election_wait);
    if (over > now) {
      next_ = std::min(next_, over);
    } else if (table.wait_can_end(waiting.partition)) {
      out.partitions.push_back(waiting);
    }
  }
  waits_ = std::move(waits);
  return out;
}

}  // namespace bascule::controller

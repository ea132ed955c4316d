// O2: at the instant an ack leaves, the record is in the worst legal crash image of the disk (in `memory`
// mode: in the page cache, which outlives the process).
#pragma once

#include <cstddef>
#include <vector>

#include "sim/oracles/history.h"
#include "sim/world/storage.h"
#include "sim/worlds/world.h"
#include "src/model/stream_config.h"

namespace bascule::sim {

class DurableAtAck {
 public:
  DurableAtAck(const History& history, Verdict& verdict) : history_(history), verdict_(verdict) {}

  // Call in the turn in which the answer of batch `index` came: it is on at least `needed` of the disks.
  void acked(size_t index, model::DurabilityMode mode, const std::vector<const Storage*>& disks,
             size_t needed);

 private:
  const History& history_;
  Verdict& verdict_;
};

// Whether the bytes lie end to end in some file of the partition's directory.
bool storage_holds(const Storage& storage, PartitionId partition, ByteView bytes);

}  // namespace bascule::sim

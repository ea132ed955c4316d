// How far one replica's copy of the log has come, and which of its two numbers counts.
#pragma once

#include "src/base/ids.h"
#include "src/model/stream_config.h"

namespace bascule::partition {

// Contiguous from the log's start, as the replica itself says it, truly. durable <= written.
struct ReplicaProgress {
  Offset written;  // handed to the operating system
  Offset durable;  // synced on its disk

  bool operator==(const ReplicaProgress&) const = default;
};

// The LEO that acknowledgements count on: a replica always reports both, and the leader chooses by the
// mode it has applied.
constexpr Offset counted_leo(const ReplicaProgress& progress, model::DurabilityMode mode) {
  return mode == model::DurabilityMode::fsync ? progress.durable : progress.written;
}

}  // namespace bascule::partition

#include "src/partition/high_watermark.h"

#include <algorithm>

namespace bascule::partition {

Offset next_high_watermark(Offset current, NodeId leader, const InSyncReplicas& isr,
                           const ProgressTable& progress, model::DurabilityMode mode) {
  if (!isr.enough()) return current;
  const auto leo_of = [&](NodeId node) {
    const auto it = progress.find(node);
    return it == progress.end() ? Offset{} : counted_leo(it->second, mode);
  };
  Offset lowest = leo_of(leader);
  for (const NodeId node : isr.committed) lowest = std::min(lowest, leo_of(node));
  for (const NodeId node : isr.pending) lowest = std::min(lowest, leo_of(node));
  return std::max(current, lowest);
}

}  // namespace bascule::partition

// The high watermark: the first offset that is *not* committed.
//
// HW = min counted LEO over the committed and the pending in-sync replicas, the leader included. It
// never falls, and it does not move while fewer than min_isr replicas are in the committed set (strict
// min ISR, KIP-966): otherwise a lone leader would commit what a later leader may lack. Pending members
// (a proposed set whose outcome is not known, KIP-497) hold HW back, and never count towards min_isr.
#pragma once

#include <map>
#include <vector>

#include "src/base/ids.h"
#include "src/partition/replica_progress.h"

namespace bascule::partition {

struct InSyncReplicas {
  std::vector<NodeId> committed;  // as the metadata table says
  std::vector<NodeId> pending;    // union of all proposed sets without a known outcome
  uint32_t min_isr = 1;

  bool enough() const { return committed.size() >= min_isr; }
};

using ProgressTable = std::map<NodeId, ReplicaProgress>;

// The HW that follows `current`. A member without an entry in `progress` has proved nothing yet: HW
// stays. Never above the leader's own counted LEO, whether or not the sets name it.
Offset next_high_watermark(Offset current, NodeId leader, const InSyncReplicas& isr,
                           const ProgressTable& progress, model::DurabilityMode mode);

}  // namespace bascule::partition

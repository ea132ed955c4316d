// The metadata of a cluster that goes on from one survivor: a pure function of what the survivor knew.
//
// A majority is lost for good, so nobody can tell what else had been decided. Whatever may have been given away
// by forgotten entries is never given again: indexes, epochs, stream and assignment ids, producer ids and the
// incarnations of brokers that are not known here leap ahead. No broker is up and no partition is led; those that
// come back register as ever, with all that their disks hold.
#pragma once

#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/controller/metadata_state.h"

namespace bascule::controller {

struct RescueFacts {
  NodeId node;       // that goes on
  Uuid cluster;      // the id from here on: who has the former one is a stranger
  Index last_known;  // the last entry of its log
  WallTime decided;
};

// How far the index leaps: more entries than any cluster has forgotten.
inline constexpr uint64_t k_rescue_index_leap = 1'000'000'000'000;

// Requires a sound state that was applied up to facts.last_known. `too_large`: rescued too often.
Result<MetadataState> rescued_state(MetadataState known, const RescueFacts& facts);

}  // namespace bascule::controller

// What a leader would have changed of its in-sync set, and whose marks of doubt it would have cleared.
// Functions of what it knows; the metadata decides.
//
// A replica joins when its end (that which counts in the stream's durability mode) has reached both HW and the leader's epoch start: from then on it has
// all that is committed, and all that an earlier leader may have shown. It leaves when it has not been
// caught up for `lag_max`. Suspects are cleared before anybody leaves: otherwise the one that is left could
// be one in doubt.
#pragma once

#include <optional>
#include <vector>

#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/partition/follower_sessions.h"
#include "src/partition/replication.h"

namespace bascule::partition {

// A replica as the metadata table has it.
struct ReplicaView {
  NodeId node;
  Incarnation incarnation;  // as registered; 0: never
  bool up = false;          // unfenced
  bool barred = false;      // damaged or diverged: it joins nothing
  bool suspect = false;

  ReplicaLife life() const { return {node, incarnation}; }
  bool operator==(const ReplicaView&) const = default;
};

struct IsrFacts {
  NodeId self;
  const std::vector<ReplicaView>& replicas;
  const std::vector<NodeId>& isr;  // committed, ascending
  Offset hw;
  Offset epoch_start;
  MonotonicTime now;
  Duration lag_max;
  model::DurabilityMode durability;
};

// A set that was proposed, from before its proposal leaves until the metadata shows a higher version: the
// members count for the high watermark, and nothing else is proposed. It outlives a leadership, since a
// proposal does: one that comes late may still be granted when the leadership goes on.
struct IsrProposal {
  Version from;
  std::vector<ReplicaLife> set;  // empty: none
  MonotonicTime at;              // when it was made last

  bool open() const { return !set.empty(); }
  std::vector<NodeId> nodes() const;
};

// The set to propose, ascending; none: the present one is right.
std::optional<std::vector<ReplicaLife>> next_isr(const IsrFacts& facts,
                                                 const FollowerSessions& sessions);
// Suspects that have shown all they must.
std::vector<ReplicaLife> cleared_suspects(const IsrFacts& facts, const FollowerSessions& sessions);

}  // namespace bascule::partition

// Where the replicas of a new stream go: a pure function, the same on every broker.
//
// Each partition in turn gets its leader, then its followers, always on the broker that has the fewest of
// this stream, then on the host that has, then on the broker that has the fewest of all streams, then on the
// lowest node id. So leaders per broker, and per host where hosts have equally many, differ by one at most; so
// do replicas per broker where each host has one (else by two). Two replicas of one partition are never on one host (its failure domain): what cannot be
// placed so is refused.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/ids.h"
#include "src/base/result.h"

namespace bascule::controller {

struct PlacementBroker {
  NodeId node;
  std::string host;       // failure domain; empty: the broker is one by itself
  uint64_t replicas = 0;  // that it has of all streams
  uint64_t leaders = 0;   // of them, those that it leads
};

struct PlacementRequest {
  uint32_t partitions = 1;
  uint32_t replicas = 1;
};

// For each partition its replicas in order of preference, the leader first. `brokers` are those that may be
// chosen (unfenced), in any order. `not_enough_replicas`: on fewer hosts than replicas.
Result<std::vector<std::vector<NodeId>>> place_stream(const std::vector<PlacementBroker>& brokers,
                                                      PlacementRequest request);

}  // namespace bascule::controller

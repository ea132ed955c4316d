// Addressable randomness: each decision of the made-up world is a pure function of the seed and of the
// decision's address (domain, entity, ordinal). The fate of the seventh write of one file depends on
// nothing else, so taking one fault out of a plan does not move the others.
#pragma once

#include <cstdint>

#include "src/base/prng.h"

namespace bascule::sim {

// What is decided. Numbers are part of what a saved plan means: append, never renumber.
enum class Domain : uint32_t {
  tie = 1,           // order of events of one moment; entity: node
  node_random = 2,   // seed of a life's generator; entity: node, ordinal: life
  boot_id = 3,       // entity: node, ordinal: boot
  disk_latency = 4,  // entity: node, ordinal: operation
  disk_flight = 5,   // what an operation in flight at a crash has done; ordinal: operation
  disk_sector = 6,   // which sectors survive; entity: inode, ordinal: counter of the crash
  disk_name = 7,     // which names survive
  disk_mode = 8,     // the manner of one crash
  disk_fault = 9,    // details of a planted fault
  disk_lock = 10,
  net_latency = 11,  // entity: link, ordinal: message
  net_split = 12,
  net_fault = 13,
  clock = 14,
  plan = 15,      // expansion of a seed into a plan
  workload = 16,  // payloads
  oracle = 17,    // sampling of crash images
};

struct Address {
  Domain domain;
  uint64_t entity = 0;
  uint64_t ordinal = 0;
};

constexpr uint64_t draw(uint64_t seed, Address at) {
  const uint64_t place = mix64(seed ^ (static_cast<uint64_t>(at.domain) << 56));
  return mix64(mix64(place ^ at.entity) + at.ordinal * 0x9e3779b97f4a7c15);
}

// In [0, bound). The multiplication favours low values by less than bound / 2^64.
constexpr uint64_t draw_below(uint64_t seed, Address at, uint64_t bound) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((static_cast<Wide>(draw(seed, at)) * bound) >> 64);
}

}  // namespace bascule::sim

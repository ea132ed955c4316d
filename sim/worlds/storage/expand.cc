// What a seed of the world `storage` becomes: tiny segments and groups, a few logs, bursts of appends
// between everything else that can happen to a log.
#include "sim/faults/fault_driver.h"
#include "sim/worlds/storage/storage_world.h"

namespace bascule::sim {
namespace {

constexpr size_t k_operations_max = 250;

int64_t small(Prng& random, uint64_t low, uint64_t high) {
  return static_cast<int64_t>(random.between(low, high));
}

void settings(Swarm& swarm) {
  swarm.set("logs", swarm.pick({1, 1, 2, 3}));
  swarm.set("memory_logs", swarm.pick({0, 0, 0, 1, 3}));  // of the first ones
  swarm.set("segment_bytes", swarm.pick({2048, 4096, 16384, 65536}));
  swarm.set("segment_span_us", swarm.pick({0, 0, 20'000}));
  swarm.set("extent_bytes", swarm.pick({4096, 8192, 65536}));
  swarm.set("index_interval", swarm.pick({256, 1024, 4096}));
  swarm.set("recovery_interval", swarm.pick({4096, 16384, 1 << 20}));
  swarm.set("group_bytes", swarm.pick({4096, 16384, 1 << 20}));
  swarm.set("pool_bytes", swarm.pick({0, 65536, 1 << 20}));
  swarm.set("tail_bytes", swarm.pick({0, 4096, 1 << 20}));
  swarm.set("memory_sync_us", swarm.pick({500, 5000, 200'000}));
  swarm.set("disk_bytes", swarm.pick({1 << 28, 1 << 28, 1 << 19}));
}

void draw_operation(Swarm& swarm, SimTime at, int64_t logs, uint32_t verbs) {
  Prng& random = swarm.random();
  const std::pair<std::string, int64_t> on{"log",
                                           small(random, 0, static_cast<uint64_t>(logs - 1))};
  const uint64_t roll = random.below(100);
  const auto allowed = [&](uint32_t bit) { return (verbs >> bit & 1) != 0; };
  if (roll < 12) {
    swarm.operation(
        at, "read",
        {on, {"pick", small(random, 0, 1 << 20)}, {"bytes", swarm.pick({0, 1000, 100'000})}});
  } else if (roll < 16) {
    swarm.operation(at, "find_time", {on, {"pick", small(random, 0, 1 << 20)}});
  } else if (roll < 21 && allowed(0)) {
    swarm.operation(at, "sync", {on});
  } else if (roll < 25 && allowed(1)) {
    swarm.operation(at, "truncate", {on, {"back", small(random, 0, 12)}});
  } else if (roll < 29 && allowed(2)) {
    swarm.operation(at, "trim", {on, {"pick", small(random, 0, 1 << 20)}});
  } else if (roll < 32 && allowed(3)) {
    swarm.operation(at, "compact", {on});
  } else if (roll < 35) {
    swarm.operation(at, "note_hw", {on, {"back", small(random, 0, 5)}});
  } else if (roll < 38) {
    swarm.operation(at, "epoch", {on});
  } else if (roll < 41) {
    swarm.operation(at, "clear_suspect", {on});
  } else if (roll < 44 && allowed(4)) {
    swarm.operation(at, "stop");
  } else {
    swarm.operation(
        at, "append",
        {on,
         {"records", random.chance(1, 8) ? small(random, 1, 40) : small(random, 1, 3)},
         {"bytes", random.chance(1, 8) ? small(random, 1, 2500) : small(random, 0, 100)},
         {"burst", random.chance(1, 4) ? small(random, 2, 6) : 1},
         {"sealed", small(random, 0, 1)},
         {"packed", swarm.pick({0, 0, 0, 1, 2})}});
  }
}

}  // namespace

Plan StorageWorld::expand(uint64_t seed) const {
  Plan plan;
  plan.world = name();
  plan.seed = seed;
  Swarm swarm(plan, seed);
  settings(swarm);
  Prng& random = swarm.random();
  const int64_t logs = plan.get("logs");
  const auto verbs = static_cast<uint32_t>(random.below(32));
  SimTime at = milliseconds(5);
  const auto gap_us = static_cast<uint64_t>(swarm.pick({30, 150, 600, 2000}));
  const uint64_t count = random.between(20, k_operations_max);
  for (uint64_t i = 0; i < count; ++i) {
    draw_operation(swarm, at, logs, verbs);
    at = at + Duration{static_cast<int64_t>(random.below(gap_us * 2000))};
  }
  FaultMenu menu{.from = milliseconds(1), .until = at + milliseconds(1)};
  draw_faults(swarm, menu);
  plan.end = at + milliseconds(50);
  swarm.finish();
  return plan;
}

}  // namespace bascule::sim

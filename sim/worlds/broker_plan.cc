// How a seed becomes a plan of world `broker`.
#include <algorithm>

#include "sim/faults/fault_driver.h"
#include "sim/plan/swarm.h"
#include "sim/worlds/broker.h"

namespace bascule::sim {
namespace {

constexpr int64_t k_slots = 3;

void add_create(Swarm& swarm, SimTime at, int64_t slot) {
  Prng& random = swarm.random();
  swarm.operation(at, "create",
                  {{"slot", slot},
                   {"partitions", static_cast<int64_t>(random.between(1, 3))},
                   {"memory", random.chance(1, 5) ? 1 : 0},
                   {"retain", random.chance(1, 6) ? 20 : 0},
                   {"segment", swarm.pick({0, 0, 4096, 20000})}});
}

void add_publish(Swarm& swarm, SimTime at) {
  Prng& random = swarm.random();
  const int64_t size = swarm.pick({0, 20, 100, 100, 1000, 5000});
  swarm.operation(at, "publish",
                  {{"slot", static_cast<int64_t>(random.below(k_slots))},
                   {"partition", static_cast<int64_t>(random.below(3))},
                   {"producer", static_cast<int64_t>(random.between(1, 4))},
                   {"count", static_cast<int64_t>(random.between(1, random.chance(1, 8) ? 20 : 3))},
                   {"bytes", size},
                   {"acks", swarm.pick({2, 2, 2, 2, 1, 0})},
                   {"deadline", swarm.pick({0, 0, 500, 20000})}});
}

void add_subscribe(Swarm& swarm, SimTime at) {
  Prng& random = swarm.random();
  swarm.operation(at, "subscribe",
                  {{"slot", static_cast<int64_t>(random.below(k_slots))},
                   {"partition", static_cast<int64_t>(random.below(3))},
                   {"from", static_cast<int64_t>(random.below(7))},
                   {"value", static_cast<int64_t>(random.below(40))},
                   {"until", swarm.pick({0, 0, 1, 2, 3})},
                   {"filter", swarm.pick({0, 0, 0, 1, 2, 3})},
                   {"credit", swarm.pick({0, 500, 4000, 1 << 20})},
                   {"grant", swarm.pick({-1, 0, 0, 300})},
                   {"deadline", swarm.pick({0, 0, 2000})}});
}

void drop_faults_beyond_one_broker(Plan& plan) {
  // A whole storage that is swapped or rolled back can be noticed by peers alone.
  std::erase_if(plan.faults, [](const PlanItem& item) {
    return item.verb == "replaced" || item.verb == "rollback";
  });
}

}  // namespace

Plan BrokerWorld::expand(uint64_t seed) const {
  Plan plan;
  plan.world = name();
  plan.seed = seed;
  Swarm swarm(plan, seed);
  Prng& random = swarm.random();
  swarm.set("segment_bytes", swarm.pick({4096, 16384, 65536, 1 << 20}));
  swarm.set("extent_bytes", swarm.pick({8192, 65536}));
  swarm.set("group_bytes_max", swarm.pick({4096, 65536, 1 << 20}));
  swarm.set("tail_bytes_max", swarm.pick({0, 4096, 1 << 20}));
  swarm.set("housekeeping_us", swarm.pick({3000, 20000, 1'000'000}));
  swarm.set("drift_ppm", swarm.pick({0, 0, 200, -200}));
  for (int64_t slot = 0; slot < k_slots; ++slot)
    add_create(swarm, milliseconds(10) + Duration{static_cast<int64_t>(random.below(3'000'000))},
               slot);
  // A start takes some 10 ms; between two of them there must be work to lose.
  const int64_t gap_us = swarm.pick({200, 1000, 4000});
  const uint64_t operations = random.between(60, 300);
  SimTime at = milliseconds(14);
  for (uint64_t i = 0; i < operations; ++i) {
    const uint64_t kind = random.below(100);
    if (kind < 75) {
      add_publish(swarm, at);
    } else if (kind < 90) {
      add_subscribe(swarm, at);
    } else if (kind < 94) {
      add_create(swarm, at, static_cast<int64_t>(random.below(k_slots)));
    } else if (kind < 97) {
      swarm.operation(at, "delete", {{"slot", static_cast<int64_t>(random.below(k_slots))}});
    } else {
      swarm.operation(at, "stop");
    }
    at = at + microseconds(static_cast<int64_t>(random.below(static_cast<uint64_t>(gap_us) * 2)));
  }
  FaultMenu menu;
  menu.from = random.chance(1, 4) ? milliseconds(1) : milliseconds(12);
  menu.until = std::max(at, milliseconds(20));
  plan.end = at + milliseconds(60);
  draw_faults(swarm, menu);
  swarm.finish();
  drop_faults_beyond_one_broker(plan);
  return plan;
}

}  // namespace bascule::sim

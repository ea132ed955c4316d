// What a seed of world `cluster` becomes: five simulated seconds and more, with short timeouts and small
// thresholds, so that sessions end, elections come, and snapshots and changes fall into each other.
#include <algorithm>

#include "sim/faults/fault_driver.h"
#include "sim/worlds/cluster/cluster_world.h"

namespace bascule::sim {
namespace {

constexpr int64_t k_slots = 4;
constexpr SimTime k_first = milliseconds(300);  // by then a cluster has founded itself
constexpr SimTime k_least = seconds(5);

int64_t number(Prng& random, uint64_t low, uint64_t high) {
  return static_cast<int64_t>(random.between(low, high));
}

void settings(Swarm& swarm) {
  const int64_t nodes = swarm.pick({1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 7});
  swarm.set("nodes", nodes);
  swarm.set("founders", std::min(nodes, swarm.pick({1, 3, 3, 3, 3, 5})));
  swarm.set("heartbeat_us", swarm.pick({25000, 50000, 50000, 100'000}));
  swarm.set("session_ms", swarm.pick({500, 1000, 1000, 3000}));
  swarm.set("silence_ms", swarm.pick({600, 3000}));
  swarm.set("snapshot_entries", swarm.pick({10, 40, 4096}));
  swarm.set("append_bytes", swarm.pick({2000, 256 << 10}));
  swarm.set("chunk_bytes", swarm.pick({1000, 256 << 10}));
  swarm.set("extent_bytes", swarm.pick({8192, 65536}));
  swarm.set("segment_bytes", swarm.pick({4096, 16384, 65536}));
  swarm.set("group_bytes_max", swarm.pick({4096, 1 << 20}));
  swarm.set("housekeeping_us", swarm.pick({50'000, 1'000'000}));
  swarm.set("lag_ms", swarm.pick({200, 1000, 2000}));
  swarm.set("drift_ppm", swarm.pick({0, 0, 200, -200}));
}

// The weights of what happens.
struct Mix {
  bool changes = true;
  bool stops = true;
};

void draw_creation(Swarm& swarm, SimTime at, std::pair<std::string, int64_t> on, int64_t slot,
                   uint64_t nodes) {
  Prng& random = swarm.random();
  const int64_t replicas =
      std::min<int64_t>(swarm.pick({1, 2, 3, 3, 3}), static_cast<int64_t>(nodes));
  // Mostly a majority, as without a wish.
  const int64_t min_isr =
      random.chance(3, 4) ? replicas / 2 + 1 : number(random, 1, static_cast<uint64_t>(replicas));
  swarm.operation(at, "create",
                  {std::move(on),
                   {"slot", slot},
                   {"partitions", number(random, 1, 3)},
                   {"replicas", replicas},
                   {"min_isr", min_isr},
                   {"memory", random.chance(1, 5) ? 1 : 0},
                   {"retain", random.chance(1, 6) ? 20 : 0},
                   {"segment", swarm.pick({0, 0, 4096})}});
}

void draw_stream_operation(Swarm& swarm, SimTime at, std::pair<std::string, int64_t> on,
                           uint64_t nodes) {
  Prng& random = swarm.random();
  const auto slot = static_cast<int64_t>(random.below(k_slots));
  const uint64_t roll = random.below(100);
  if (roll < 70) {
    swarm.operation(at, "publish",
                    {on,
                     {"slot", slot},
                     {"partition", number(random, 0, 2)},
                     {"producer", number(random, 1, 4)},
                     {"count", number(random, 1, random.chance(1, 8) ? 20 : 3)},
                     {"bytes", swarm.pick({0, 20, 100, 100, 1000})},
                     {"acks", swarm.pick({2, 2, 2, 2, 1, 0})},
                     {"deadline", swarm.pick({0, 0, 20'000, 500'000})}});
  } else if (roll < 80) {
    swarm.operation(at, "subscribe",
                    {on,
                     {"slot", slot},
                     {"partition", number(random, 0, 2)},
                     {"from", number(random, 0, 4)},
                     {"value", number(random, 0, 20)},
                     {"until", swarm.pick({0, 0, 1})},
                     {"filter", swarm.pick({0, 0, 0, 1})},
                     {"credit", swarm.pick({500, 4000, 1 << 20})},
                     {"grant", swarm.pick({-1, 0, 0, 3000})}});
  } else if (roll < 90) {
    draw_creation(swarm, at, on, slot, nodes);
  } else if (roll < 94) {
    swarm.operation(at, "delete", {on, {"slot", slot}});
  } else {
    swarm.operation(at, "inspect", {on});
  }
}

void draw_operation(Swarm& swarm, SimTime at, uint64_t nodes, const Mix& mix) {
  Prng& random = swarm.random();
  const std::pair<std::string, int64_t> on{"node", number(random, 1, nodes)};
  const uint64_t roll = random.below(100);
  if (roll < 5 && mix.changes) {
    swarm.operation(at, "add",
                    {on, {"replaces", random.chance(1, 4) ? number(random, 1, nodes) : 0}});
  } else if (roll < 6 && mix.changes) {
    swarm.operation(at, "remove", {on});
  } else if (roll < 8 && mix.changes) {
    swarm.operation(at, "repair");
  } else if (roll < 10 && mix.changes) {
    swarm.operation(at, "transfer", {on});
  } else if (roll < 12 && mix.stops) {
    swarm.operation(at, "stop", {on});
  } else {
    draw_stream_operation(swarm, at, on, nodes);
  }
}

void argument(PlanItem& item, const char* name, uint64_t value) {
  item.arguments.emplace_back(name, static_cast<int64_t>(value));
}

// What the menu does not have: whole partitions, storages that go, requests that come again.
void draw_own_faults(Swarm& swarm, const FaultMenu& menu) {
  const auto on_node = [&](PlanItem& item, Prng& random) {
    argument(item, "node", random.between(1, menu.nodes));
  };
  if (menu.nodes == 1) return;
  swarm.faults("isolate", 3, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
    on_node(item, random);
    argument(item, "way", random.below(3));
    argument(item, "for", random.between(1000, 2'000'000));
  });
  swarm.faults("split", 2, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
    argument(item, "mask", random.below(uint64_t{1} << menu.nodes));
    argument(item, "for", random.between(1000, 2'000'000));
  });
  swarm.faults("again", 8, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
    argument(item, "from", random.between(1, menu.nodes));
    argument(item, "to", random.between(1, menu.nodes));
    argument(item, "count", random.between(1, 4));
  });
  if (!swarm.random().chance(1, 3)) return;
  swarm.faults("replaced", 2, menu.from, menu.until, on_node);
  swarm.faults("lost_directory", 1, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
    on_node(item, random);
    argument(item, "pick", random.below(uint64_t{1} << 40));
  });
  swarm.faults("rollback", 1, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
    on_node(item, random);
    argument(item, "back", random.between(1000, 2'000'000));
  });
}

}  // namespace

Plan ClusterWorld::expand(uint64_t seed) const {
  Plan plan;
  plan.world = name();
  plan.seed = seed;
  Swarm swarm(plan, seed);
  settings(swarm);
  Prng& random = swarm.random();
  const auto nodes = static_cast<uint64_t>(plan.get("nodes"));
  const Mix mix{random.chance(1, 2), random.chance(1, 2)};
  for (int64_t slot = 0; slot < k_slots; ++slot)
    draw_creation(swarm, k_first + milliseconds(number(random, 0, 200)),
                  {"node", number(random, 1, nodes)}, slot, nodes);
  const uint64_t count = random.between(100, 200);
  const auto gap = static_cast<uint64_t>((k_least - k_first).ns) / count * 2;
  SimTime at = k_first + milliseconds(100);
  for (uint64_t i = 0; i < count; ++i) {
    draw_operation(swarm, at, nodes, mix);
    at = at + Duration{static_cast<int64_t>(random.below(gap))};
  }
  FaultMenu menu;
  menu.nodes = nodes;
  menu.from = random.chance(1, 4) ? milliseconds(1) : k_first;
  menu.until = std::max(at, k_least);
  menu.network = nodes > 1;
  menu.lost_storage = false;  // ours, below
  // Most classes are off in each draw; a history without faults shows little.
  for (int tries = 0; tries < 5 && plan.faults.size() < 3; ++tries) draw_faults(swarm, menu);
  draw_own_faults(swarm, menu);
  plan.end = menu.until + milliseconds(20);
  swarm.set("core_seed", static_cast<int64_t>(random.below(1 << 30)));
  swarm.set("clone", nodes > 1 && random.chance(1, 10) ? number(random, 1, nodes) : 0);
  swarm.set("other_cluster", nodes > 2 && random.chance(1, 10) ? number(random, 1, nodes) : 0);
  swarm.finish();
  return plan;
}

}  // namespace bascule::sim

// What a seed of world `raft` becomes: small thresholds and short timeouts, so that elections, snapshots and
// changes come often and fall into each other.
#include "sim/faults/fault_driver.h"
#include "sim/worlds/raft/raft_world.h"

namespace bascule::sim {
namespace {

using Arguments = std::vector<std::pair<std::string, int64_t>>;

int64_t number(Prng& random, uint64_t low, uint64_t high) {
  return static_cast<int64_t>(random.between(low, high));
}

void settings(Swarm& swarm) {
  const int64_t nodes = swarm.pick({1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7});
  swarm.set("nodes", nodes);
  swarm.set("founders", std::min(nodes, swarm.pick({1, 3, 3, 3, 5, 7})));
  swarm.set("heartbeat_us", swarm.pick({3000, 5000, 15000}));
  swarm.set("append_bytes", swarm.pick({200, 4096, 256 << 10}));
  swarm.set("in_flight", swarm.pick({1, 4, 16}));
  swarm.set("chunk_bytes", swarm.pick({100, 4096, 256 << 10}));
  swarm.set("uncommitted_bytes", swarm.pick({2000, 1 << 20}));
  swarm.set("snapshot_entries", swarm.pick({5, 30, 30, 1000}));
  swarm.set("keep_entries", swarm.pick({0, 3, 20}));
  swarm.set("snapshot_padding", swarm.pick({0, 0, 1000, 20'000}));
  swarm.set("extent_bytes", swarm.pick({8192, 65536}));
  swarm.set("segment_bytes", swarm.pick({16384, 1 << 20}));
  swarm.set("drift_ppm", swarm.pick({0, 0, 300, -300}));
}

struct Mix {
  bool reads = true;
  bool changes = true;
  bool transfers = true;
  bool stops = true;
};

void draw_operation(Swarm& swarm, SimTime at, uint64_t nodes, const Mix& mix) {
  Prng& random = swarm.random();
  const std::pair<std::string, int64_t> on{"node", number(random, 1, nodes)};
  const uint64_t roll = random.below(100);
  if (roll < 20 && mix.reads) {
    swarm.operation(at, "read", {on});
  } else if (roll < 30 && mix.changes) {
    swarm.operation(at, random.chance(1, 2) ? "learn" : "promote", {on});
  } else if (roll < 33 && mix.changes) {
    swarm.operation(at, "remove", {on});
  } else if (roll < 36 && mix.changes) {
    swarm.operation(at, "swap", {on, {"in", number(random, 1, nodes)}});
  } else if (roll < 40 && mix.changes) {
    swarm.operation(at, "repair");
  } else if (roll < 45 && mix.transfers) {
    swarm.operation(at, "transfer", {on});
  } else if (roll < 47 && mix.transfers) {
    swarm.operation(at, "gone", {on});
  } else if (roll < 50 && mix.stops) {
    swarm.operation(at, "stop", {on});
  } else {
    swarm.operation(
        at, "propose",
        {on,
         {"leader", random.chance(3, 4) ? 1 : 0},
         {"count", random.chance(1, 5) ? number(random, 2, 30) : 1},
         {"bytes", random.chance(1, 6) ? number(random, 0, 3000) : number(random, 0, 60)}});
  }
}

void argument(PlanItem& item, const char* name, uint64_t value) {
  item.arguments.emplace_back(name, static_cast<int64_t>(value));
}

// What the menu does not have: whole partitions, storages that go, messages that come again.
void draw_own_faults(Swarm& swarm, const FaultMenu& menu) {
  const auto on_node = [&](PlanItem& item, Prng& random) {
    argument(item, "node", random.between(1, menu.nodes));
  };
  swarm.faults("isolate", 4, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
    on_node(item, random);
    argument(item, "way", random.below(3));
    argument(item, "for", random.between(1000, 1'000'000));
  });
  swarm.faults("split", 3, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
    argument(item, "mask", random.below(uint64_t{1} << menu.nodes));
    argument(item, "for", random.between(1000, 1'000'000));
  });
  swarm.faults("again", 12, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
    argument(item, "from", random.between(1, menu.nodes));
    argument(item, "to", random.between(1, menu.nodes));
    argument(item, "count", random.between(1, 8));
  });
  swarm.faults("late", 12, menu.from, menu.until,
               [&](PlanItem& item, Prng& random) { argument(item, "after", random.below(300)); });
  if (swarm.random().chance(1, 4)) {
    swarm.faults("rot_tail", 3, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
      on_node(item, random);
      argument(item, "pick", random.below(uint64_t{1} << 40));
    });
  }
  if (swarm.random().chance(1, 3)) {
    swarm.faults("replaced", 3, menu.from, menu.until, on_node);
    swarm.faults("lost_directory", 1, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
      on_node(item, random);
      argument(item, "pick", random.below(uint64_t{1} << 40));
    });
    swarm.faults("rollback", 2, menu.from, menu.until, [&](PlanItem& item, Prng& random) {
      on_node(item, random);
      argument(item, "back", random.between(1000, 400'000));
    });
  }
}

}  // namespace

Plan RaftWorld::expand(uint64_t seed) const {
  Plan plan;
  plan.world = name();
  plan.seed = seed;
  Swarm swarm(plan, seed);
  settings(swarm);
  Prng& random = swarm.random();
  const auto nodes = static_cast<uint64_t>(plan.get("nodes"));
  const Mix mix{random.chance(3, 4), random.chance(1, 2), random.chance(1, 2), random.chance(1, 2)};
  const auto gap_us = static_cast<uint64_t>(swarm.pick({1000, 4000, 10'000}));
  const uint64_t count = random.between(40, 300);
  SimTime at = milliseconds(30);
  for (uint64_t i = 0; i < count; ++i) {
    draw_operation(swarm, at, nodes, mix);
    at = at + Duration{static_cast<int64_t>(random.below(gap_us * 2000))};
  }
  FaultMenu menu;
  menu.nodes = nodes;
  menu.from = random.chance(1, 4) ? milliseconds(1) : milliseconds(50);
  menu.until = std::max(at, milliseconds(200));
  menu.network = nodes > 1;
  menu.lost_storage = false;  // ours, below
  draw_faults(swarm, menu);
  // More of the same where there are more nodes.
  if (nodes > 2) draw_faults(swarm, menu);
  draw_own_faults(swarm, menu);
  plan.end = menu.until + milliseconds(20);
  swarm.set("core_seed", static_cast<int64_t>(random.below(1 << 30)));
  swarm.finish();
  return plan;
}

}  // namespace bascule::sim

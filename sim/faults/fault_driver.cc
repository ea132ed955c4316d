#include "sim/faults/fault_driver.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sim/world/network.h"

namespace bascule::sim {
namespace {

constexpr Duration k_down_max = milliseconds(50);

Duration micros(const PlanItem& item, std::string_view name) {
  return microseconds(item.get(name));
}

}  // namespace

FaultDriver::FaultDriver(Simulation& sim, const Plan& plan, Restart restart)
    : sim_(sim), plan_(plan), restart_(std::move(restart)) {}

Node* FaultDriver::node_of(int64_t number) const {
  if (number < 1 || static_cast<size_t>(number) > sim_.node_count()) return nullptr;
  return &sim_.node(static_cast<size_t>(number - 1));
}

void FaultDriver::begin() {
  for (size_t i = 0; i < sim_.node_count(); ++i) {
    Node& node = sim_.node(i);
    node.on_death([this, &node](const Death& death) {
      if (on_death_) on_death_(node, death);
      restart_later(node);
    });
  }
  for (const PlanItem& item : plan_.faults) {
    if (item.verb == "rollback") {
      Node* node = node_of(item.get("node", 1));
      const SimTime back = item.at - micros(item, "back");
      if (node != nullptr)
        sim_.at(back, [this, &item, node] {
          snapshots_.insert_or_assign(item.id, node->device().snapshot());
        });
    }
    sim_.at(item.at, [this, &item] { strike(item); });
  }
}

void FaultDriver::restart_later(Node& node) {
  const auto it = down_.find(node.id());
  Duration down{
      static_cast<int64_t>(draw_below(sim_.seed(), {Domain::workload, node.id().value, ++deaths_},
                                      static_cast<uint64_t>(k_down_max.ns)))};
  if (it != down_.end()) {
    down = it->second;
    down_.erase(it);
  }
  if (is_healed(&node)) down = milliseconds(1);
  sim_.after(down, [this, &node] {
    if (!node.alive()) restart_(node);
  });
}

void FaultDriver::lasting(const PlanItem& item, env::Task end, const Node* a, const Node* b) {
  auto shared = std::make_shared<env::Task>(std::move(end));
  const EventId event = sim_.after(micros(item, "for"), [shared] {
    if (*shared) (*shared)();
    *shared = nullptr;
  });
  lasting_.push_back({event, shared, a, b});
}

bool FaultDriver::is_healed(const Node* node) const {
  if (node == nullptr) return false;
  return healed_ || core_.contains(node->id());
}

void FaultDriver::heal() {
  healed_ = true;
  for (Lasting& fault : lasting_) {
    sim_.cancel(fault.event);
    if (*fault.end) (*fault.end)();
    *fault.end = nullptr;
  }
  lasting_.clear();
  for (size_t i = 0; i < sim_.node_count(); ++i) {
    Node& node = sim_.node(i);
    node.device().disarm_all();
    if (!node.alive()) restart_later(node);
  }
  sim_.network().release_all();
}

void FaultDriver::heal_core(const std::set<NodeId>& core) {
  core_ = core;
  for (Lasting& fault : lasting_) {
    // Links that lead out of the core too: who isolates it now is not undone by what was cut before.
    if (!is_healed(fault.a) && !is_healed(fault.b)) continue;
    sim_.cancel(fault.event);
    if (*fault.end) (*fault.end)();
    *fault.end = nullptr;
  }
  SimNetwork& network = sim_.network();
  for (const NodeId id : core) {
    Node& node = *node_of(id.value);
    node.device().disarm_all();
    if (!node.alive()) restart_later(node);
    for (const NodeId other : core) {
      if (network.link(id, other).blocked) network.release(id, other);
      network.link(id, other).slowness = 1;
      network.link(id, other).refuse_next = 0;
      network.link(id, other).corrupt_next = 0;
    }
  }
}

void FaultDriver::strike(const PlanItem& item) {
  if (healed_) return;
  if (own_verbs_ && own_verbs_(item)) return;
  if (strike_network(item) || strike_many_links(item)) return;
  Node* node = node_of(item.get("node", 1));
  if (node == nullptr || is_healed(node)) return;
  if (permit_ && !permit_(item, *node)) {
    sim_.count("fault.not_permitted");
    return;
  }
  if (observer_) observer_(item, *node);
  if (strike_process(item, *node) || strike_clock(item, *node) || strike_disk(item, *node) ||
      strike_storage(item, *node))
    return;
  sim_.count("fault.unknown_verb");
}

void FaultDriver::crash(const PlanItem& item, Node& node, bool machine) {
  const auto now = [this, &item, &node, machine] {
    if (is_healed(&node) || !node.alive()) return;
    sim_.count(machine ? "fault.machine_crash" : "fault.process_crash");
    if (item.get("down") > 0) down_[node.id()] = micros(item, "down");
    if (machine) {
      if (before_crash_) before_crash_(node);
      node.crash_machine();
    } else {
      node.crash_process();
    }
  };
  const int64_t io = item.get("io");
  if (io > 0) {
    node.device().at_operation(static_cast<uint64_t>(io), now);
  } else {
    now();
  }
}

bool FaultDriver::strike_process(const PlanItem& item, Node& node) {
  if (item.verb == "process_crash" || item.verb == "machine_crash") {
    crash(item, node, item.verb == "machine_crash");
  } else if (item.verb == "pause") {
    sim_.count("fault.pause");
    node.pause();
    lasting(item, [&node] { node.resume(); }, &node);
  } else if (item.verb == "slow_cpu") {
    sim_.count("fault.slow_cpu");
    node.set_cpu_factor(std::max<int64_t>(1, item.get("factor")));
    lasting(item, [&node] { node.set_cpu_factor(1); }, &node);
  } else {
    return false;
  }
  return true;
}

bool FaultDriver::strike_clock(const PlanItem& item, Node& node) {
  if (item.verb == "wall_jump") {
    node.jump_wall(micros(item, "by"));
  } else if (item.verb == "mono_jump") {
    node.jump_monotonic(micros(item, "by"));
  } else if (item.verb == "drift") {
    node.set_drift(item.get("ppm"));
  } else {
    return false;
  }
  sim_.count("fault." + item.verb);
  return true;
}

bool FaultDriver::strike_disk(const PlanItem& item, Node& node) {
  Device& device = node.device();
  for (const DiskFault fault :
       {DiskFault::sync_kept_dirty, DiskFault::sync_marked_clean, DiskFault::sync_dropped,
        DiskFault::write_error, DiskFault::read_error, DiskFault::misdirected_write,
        DiskFault::misdirected_read}) {
    if (item.verb != disk_fault_name(fault)) continue;
    device.arm(fault);  // counted when it hits
    return true;
  }
  if (item.verb == "disk_slow") {
    device.set_slowness(std::max<int64_t>(1, item.get("factor")));
    lasting(item, [&device] { device.set_slowness(1); }, &node);
  } else if (item.verb == "disk_stuck") {
    device.set_stuck(true);
    lasting(item, [&device] { device.set_stuck(false); }, &node);
  } else if (item.verb == "disk_full") {
    device.set_full(true);
    lasting(item, [&device] { device.set_full(false); }, &node);
  } else if (item.verb == "no_descriptors") {
    device.set_descriptors_out(true);
    lasting(item, [&device] { device.set_descriptors_out(false); }, &node);
  } else {
    return false;
  }
  sim_.count("fault." + item.verb);
  return true;
}

bool FaultDriver::strike_storage(const PlanItem& item, Node& node) {
  Device& device = node.device();
  const auto pick = static_cast<uint64_t>(item.get("pick"));
  if (item.verb == "rot" || item.verb == "unreadable") {
    if (item.verb == "rot" ? device.rot(pick) : device.spoil(pick))
      sim_.count("fault." + item.verb);
    return true;
  }
  if (item.verb != "lost_directory" && item.verb != "replaced" && item.verb != "rollback")
    return false;
  if (item.verb == "rollback" && !snapshots_.contains(item.id)) return true;
  node.crash_machine();
  sim_.count("fault." + item.verb);
  if (item.verb == "lost_directory") {
    device.lose_directory(pick);
  } else if (item.verb == "replaced") {
    device.replace();
  } else {
    // What was on the medium then, not what was in the cache.
    Storage earlier = std::move(snapshots_.at(item.id));
    earlier.crash(sim_.chooser(), mix64(item.id));
    device.roll_back(earlier);
  }
  return true;
}

bool FaultDriver::strike_network(const PlanItem& item) {
  static constexpr std::array k_verbs{"cut", "clog", "reset", "corrupt", "refuse", "slow_link"};
  if (std::ranges::find(k_verbs, item.verb) == k_verbs.end()) return false;
  const bool one_way = item.verb == "cut" || item.verb == "corrupt" || item.verb == "refuse";
  Node* a = node_of(item.get(one_way ? "from" : "a", 1));
  Node* b = node_of(item.get(one_way ? "to" : "b", 1));
  if (a == nullptr || b == nullptr || (is_healed(a) && is_healed(b))) return true;
  SimNetwork& network = sim_.network();
  Link& link = network.link(a->id(), b->id());
  sim_.count("fault." + item.verb);
  if (item.verb == "cut") {
    network.block(a->id(), b->id());
    lasting(item, [&network, a, b] { network.release(a->id(), b->id()); }, a, b);
  } else if (item.verb == "clog") {
    network.block(a->id(), b->id());
    network.block(b->id(), a->id());
    lasting(
        item,
        [&network, a, b] {
          network.release(b->id(), a->id());
          network.release(a->id(), b->id());
        },
        a, b);
  } else if (item.verb == "reset") {
    network.reset(a->id(), b->id());
  } else if (item.verb == "corrupt") {
    link.corrupt_next += static_cast<uint32_t>(item.get("count", 1));
  } else if (item.verb == "refuse") {
    link.refuse_next += static_cast<uint32_t>(item.get("count", 1));
  } else {
    link.slowness = std::max<int64_t>(1, item.get("factor"));
    lasting(item, [&link] { link.slowness = 1; }, a, b);
  }
  return true;
}

template <class F>
void FaultDriver::cut_links(const PlanItem& item, F which) {
  sim_.count("fault." + item.verb);
  SimNetwork& network = sim_.network();
  for (size_t i = 0; i < sim_.node_count(); ++i) {
    for (size_t k = 0; k < sim_.node_count(); ++k) {
      const Node* a = &sim_.node(i);
      const Node* b = &sim_.node(k);
      if (i == k || !which(i, k) || (is_healed(a) && is_healed(b))) continue;
      network.block(a->id(), b->id());
      lasting(item, [&network, a, b] { network.release(a->id(), b->id()); }, a, b);
    }
  }
}

bool FaultDriver::strike_many_links(const PlanItem& item) {
  if (item.verb == "isolate") {
    const auto node = static_cast<size_t>(item.get("node", 1) - 1);
    const int64_t way = item.get("way");
    cut_links(item, [&](size_t from, size_t to) {
      return (to == node && way != 2) || (from == node && way != 1);
    });
  } else if (item.verb == "split") {
    const auto mask = static_cast<uint64_t>(item.get("mask"));
    cut_links(item,
              [&](size_t from, size_t to) { return ((mask >> from) & 1) != ((mask >> to) & 1); });
  } else {
    return false;
  }
  return true;
}

// --- The menu ------------------------------------------------------------------------------------

namespace {

void add(PlanItem& item, const char* name, uint64_t value) {
  item.arguments.emplace_back(name, static_cast<int64_t>(value));
}

}  // namespace

void draw_faults(Swarm& swarm, const FaultMenu& menu) {
  const auto on_node = [&](PlanItem& item, Prng& random) {
    add(item, "node", random.between(1, menu.nodes));
  };
  const auto lasting = [&](PlanItem& item, Prng& random) {
    on_node(item, random);
    add(item, "for", random.between(100, 100'000));
  };
  const auto draw_class = [&](const char* verb, uint64_t count_max, auto arguments) {
    swarm.faults(verb, count_max, menu.from, menu.until, arguments);
  };
  if (menu.crashes) {
    const auto crash = [&](PlanItem& item, Prng& random) {
      on_node(item, random);
      if (random.chance(3, 4)) add(item, "io", random.between(1, 40));
      // Short, so that one crash often hits the recovery from another.
      add(item, "down", random.chance(1, 2) ? random.between(1, 500) : random.between(1, 50'000));
    };
    draw_class("process_crash", 4, crash);
    draw_class("machine_crash", 4, crash);
  }
  if (menu.failed_syncs) {
    for (const char* verb : {"sync_kept_dirty", "sync_marked_clean", "sync_dropped"})
      draw_class(verb, 2, on_node);
  }
  if (menu.disk_errors) {
    draw_class("write_error", 2, on_node);
  }
  const auto picked = [&](PlanItem& item, Prng& random) {
    on_node(item, random);
    add(item, "pick", random.below(uint64_t{1} << 40));
  };
  // Damage is kept rare: most histories must show that nothing is lost without it.
  if (menu.damage && swarm.random().chance(1, 3)) {
    draw_class("rot", 2, picked);
    draw_class("unreadable", 2, picked);
    draw_class("read_error", 2, on_node);
    draw_class("misdirected_write", 1, on_node);
    draw_class("misdirected_read", 1, on_node);
  }
  if (menu.lost_storage && swarm.random().chance(1, 8)) {
    draw_class("lost_directory", 1, picked);
    draw_class("replaced", 1, on_node);
  }
  if (menu.full_disk) draw_class("disk_full", 2, lasting);
  if (menu.slow_disk) {
    draw_class("disk_slow", 2, [&](PlanItem& item, Prng& random) {
      lasting(item, random);
      add(item, "factor", random.between(2, 50));
    });
    draw_class("disk_stuck", 2, lasting);
  }
  if (menu.clocks) {
    const auto jump = [&](PlanItem& item, Prng& random) {
      on_node(item, random);
      const auto by = static_cast<int64_t>(random.below(100'000'000));
      const bool back = item.verb == "wall_jump" && random.chance(1, 2);
      item.arguments.emplace_back("by", back ? -by : by);
    };
    draw_class("wall_jump", 2, jump);
    draw_class("mono_jump", 1, jump);
    draw_class("drift", 2, [&](PlanItem& item, Prng& random) {
      on_node(item, random);
      item.arguments.emplace_back("ppm", static_cast<int64_t>(random.below(2000)) - 1000);
    });
  }
  if (menu.process) {
    draw_class("pause", 2, lasting);
    draw_class("slow_cpu", 2, [&](PlanItem& item, Prng& random) {
      lasting(item, random);
      add(item, "factor", random.between(2, 1000));
    });
  }
  if (menu.network) {
    const auto pair = [&](PlanItem& item, const char* a, const char* b, Prng& random) {
      add(item, a, random.between(1, menu.nodes));
      add(item, b, random.between(1, menu.nodes));
      add(item, "for", random.between(100, 500'000));
    };
    const auto directed = [&](PlanItem& item, Prng& random) { pair(item, "from", "to", random); };
    const auto both = [&](PlanItem& item, Prng& random) { pair(item, "a", "b", random); };
    draw_class("cut", 2, directed);
    draw_class("clog", 2, both);
    draw_class("reset", 4, both);
    draw_class("refuse", 2, directed);
    draw_class("slow_link", 2, [&](PlanItem& item, Prng& random) {
      both(item, random);
      add(item, "factor", random.between(2, 100));
    });
    if (swarm.random().chance(1, 4)) draw_class("corrupt", 2, directed);
  }
}

}  // namespace bascule::sim

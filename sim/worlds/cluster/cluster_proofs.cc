#include "sim/worlds/cluster/cluster_proofs.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "sim/world/life.h"
#include "sim/world/network.h"

namespace bascule::sim {
namespace {

// In how much simulated time a healthy quorum must be through with one thing, restarts included.
constexpr Duration k_bound = seconds(60);
constexpr Duration k_pause = milliseconds(50);
constexpr Duration k_placed_well = seconds(5);
constexpr Duration k_at_rest = seconds(3);

}  // namespace

bool ClusterProofs::wait_for(Duration limit, Duration between,
                             const std::function<void(const ClusterClients::Told&)>& ask_once) {
  const SimTime end = sim_.now() + limit;
  const auto done = std::make_shared<bool>(false);
  while (!over() && !*done && sim_.now() < end) {
    ask_once([done](bool well) { *done = *done || well; });
    sim_.run_until_true(sim_.now() + between, [&] { return over() || *done; });
  }
  return !over() && *done;
}

// --- A core ----------------------------------------------------------------------------------------

// Any quorum that has whole disks, of every configuration that anybody may act by; empty: there is none.
std::set<NodeId> ClusterProofs::pick_core() {
  std::vector<NodeId> order;
  for (const auto& seat : story_.seats) order.push_back(seat->id());
  Prng random(mix64(story_.plan.seed ^ static_cast<uint64_t>(story_.plan.get("core_seed"))));
  random.shuffle(order);
  const std::vector<raft::Configuration> known = story_.known_configurations();
  std::set<NodeId> core;
  const auto usable = [&](const Seat& s) { return !s.lost && !s.damaged && !s.removed; };
  const auto enough = [&] {
    return !known.empty() && std::ranges::all_of(known, [&](const raft::Configuration& c) {
      return is_quorum(c, [&](const raft::MemberId& id) {
        return core.contains(id.node) && story_.intact(id) && usable(story_.seat(id.node));
      });
    });
  };
  for (const NodeId node : order) {
    if (enough()) break;
    if (usable(story_.seat(node))) core.insert(node);
  }
  return enough() && story_.founded() ? core : std::set<NodeId>();
}

void ClusterProofs::core_liveness() {
  const std::set<NodeId> core = pick_core();
  if (core.empty()) return sim_.count("op.no_core");
  for (const NodeId node : core) sim_.tell("world", "in the core: n" + node.to_string());
  faults_.heal_core(core);
  isolate_the_rest(core);
  sim_.count("oracle.core");
  (void)prove_work("in a core", [&](NodeId node) { return core.contains(node); });
}

// Whoever is outside may be cut off for ever: both ways, or one.
void ClusterProofs::isolate_the_rest(const std::set<NodeId>& core) {
  for (const auto& seat : story_.seats) {
    const NodeId out = seat->id();
    if (core.contains(out)) continue;
    const uint64_t roll = draw_below(sim_.seed(), {Domain::net_fault, out.value, 1 << 20}, 4);
    for (const NodeId in : core) {
      if (roll == 0 || roll == 1) sim_.network().block(in, out);
      if (roll == 0 || roll == 2) sim_.network().block(out, in);
    }
  }
}

bool ClusterProofs::prove_work(const char* when, const std::function<bool(NodeId)>& takes_part) {
  // What is placed while the brokers of a core are fenced still may lie outside of it: another stream will not.
  const SimTime end = sim_.now() + k_bound;
  while (!over() && sim_.now() < end) {
    const std::optional<StreamId> id = prove_creation(when, takes_part);
    if (!id) return false;
    const auto parts = static_cast<uint32_t>(story_.seats.size());
    uint32_t next = 0;
    const bool acked = wait_for(k_placed_well, k_pause, [&](const ClusterClients::Told& told) {
      clients_.publish_to({*id, PartitionIndex(next++ / 4 % parts)}, takes_part, told);
    });
    if (acked) return true;
  }
  if (!over()) story_.verdict.fire("O17", std::string("no publish is acknowledged ") + when);
  return false;
}

std::optional<StreamId> ClusterProofs::prove_creation(
    const char* when, const std::function<bool(NodeId)>& takes_part) {
  const std::string name = "proof" + std::to_string(++proofs_);
  const auto parts = static_cast<uint32_t>(story_.seats.size());
  const bool made = wait_for(k_bound, k_pause * 4, [&](const ClusterClients::Told& told) {
    if (story_.named(name)) return told(true);
    // One that the others have taken out without its knowledge can create nothing.
    Seat* through = clients_.any_broker(takes_part);
    if (through != nullptr) clients_.create(*through, ClusterClients::config_of(name, parts), told);
  });
  if (!made && !over()) story_.verdict.fire("O17", std::string("no stream can be created ") + when);
  return made ? story_.named(name) : std::nullopt;
}

// --- Everything ------------------------------------------------------------------------------------

std::string ClusterProofs::not_settled(const Seat& seat,
                                       const controller::MetadataTable& table) const {
  const std::string name = seat.node.host() + " ";
  if (seat.broker() == nullptr) return name + "is not open";
  const controller::MetadataTable& own = seat.controller->table();
  if (own.applied() != table.applied())
    return name + "has applied " + own.applied().to_string() + " of " + table.applied().to_string();
  if (own.hash() != table.hash()) return name + "has another table than the leader";
  const controller::BrokerEntry* entry = table.broker(seat.id());
  if (entry == nullptr) return name + "is not registered";
  if (entry->fenced) return name + "is fenced";
  if (entry->storage != seat.member.storage || entry->incarnation != seat.controller->incarnation())
    return name + "is registered as another life";
  return {};
}

std::string ClusterProofs::not_led(const controller::MetadataTable& table) const {
  for (const auto& [id, stream] : table.state().streams) {
    for (const controller::PartitionEntry& p : stream.partitions) {
      if (p.leader || (p.data_lost && story_.damaged(p.id))) continue;
      // Of a stream that no client knows nobody can say what the plan has damaged.
      if (story_.stream(id) == nullptr) continue;
      return "partition " + p.id.to_string() + (p.data_lost ? " is lost" : " has no leader");
    }
  }
  return {};
}

std::string ClusterProofs::not_converged() {
  const Seat* leader = story_.leader();
  if (leader == nullptr) return "nobody leads";
  const raft::Raft& machine = leader->driver()->machine();
  if (!machine.configuration_committed() || machine.configuration().joint())
    return "a change of members is under way";
  const controller::MetadataTable& table = leader->controller->table();
  for (const auto& seat : story_.seats) {
    if (machine.configuration().find(seat->member) == nullptr)
      return seat->node.host() + " is no member";
    if (std::string what = not_settled(*seat, table); !what.empty()) return what;
  }
  if (std::string what = not_led(table); !what.empty()) return what;
  return not_in_sync(table);
}

std::string ClusterProofs::describe_replicas(const controller::PartitionEntry& p) const {
  std::string out = "; epoch " + p.epoch.to_string() + ", led by n" + p.leader.to_string();
  for (const controller::ReplicaEntry& r : p.replicas) {
    const broker::Broker* broker = story_.seat(r.node).broker();
    const partition::Partition* here = broker == nullptr ? nullptr : broker->replicas().find(p.id);
    out += "; n" + r.node.to_string();
    if (here == nullptr) {
      out += " not open";
      continue;
    }
    out += " [" + here->log().log_start().to_string() + ", " + here->log().leo().to_string() +
           ") synced " + here->log().durable_leo().to_string() + " hw " + here->hw().to_string() +
           " last epoch " + here->log().last_epoch().to_string() +
           (here->leads() ? " leads" : " follows n" + here->follows().to_string());
    if (r.suspect) out += " suspect";
    if (r.damaged) out += " damaged";
  }
  return out;
}

// Of a partition that no damage has hit every replica is in sync and has the same log.
std::string ClusterProofs::not_in_sync(const controller::MetadataTable& table) const {
  for (const auto& [id, stream] : table.state().streams) {
    for (const controller::PartitionEntry& p : stream.partitions) {
      if (p.replicas.size() == 1 || story_.stream(id) == nullptr || story_.hit_anywhere(p.id))
        continue;
      if (p.isr.size() != p.replicas.size())
        return "of partition " + p.id.to_string() + " only " + std::to_string(p.isr.size()) +
               " replicas are in sync" + describe_replicas(p);
      const partition::Partition* first = nullptr;
      for (const controller::ReplicaEntry& r : p.replicas) {
        const partition::Partition* here = story_.seat(r.node).broker()->replicas().find(p.id);
        if (here == nullptr) return "a replica of partition " + p.id.to_string() + " is not open";
        if (first == nullptr) first = here;
        if (here->hw() != here->log().leo() || here->log().leo() != first->log().leo() ||
            here->log().log_start() != first->log().log_start() ||
            here->log().last_epoch() != first->log().last_epoch() ||
            here->log().last_append_time() != first->log().last_append_time())
          return "replicas of partition " + p.id.to_string() + " differ" + describe_replicas(p);
      }
    }
  }
  return {};
}

void ClusterProofs::converge(const char* when) {
  operator_.all_healed();
  faults_.heal();
  const SimTime end = sim_.now() + k_bound * 2;
  std::string missing = "nothing";
  while (!over() && !missing.empty() && sim_.now() < end) {
    sim_.run_until_true(sim_.now() + k_pause, [this] { return over(); });
    operator_.wipe_what_is_lost();
    missing = operator_.repair() ? not_converged() : "the membership is not whole";
  }
  if (over()) return;
  if (!missing.empty())
    return story_.verdict.fire(
        "O16", std::string("no convergence ") + when + ": " + missing + "; " + not_converged());
  sim_.count("oracle.converged");
  for (const auto& seat : story_.seats) {
    story_.tables.look(seat->node.host(), seat->controller->table());
    seat->disk_was_full = false;
  }
  if (prove_work(when, [](NodeId) { return true; }) && prove_partitions(when)) check_bounds();
}

// Each partition that no damage has hit gives all that was acknowledged, and takes a publish.
bool ClusterProofs::prove_partitions(const char* when) {
  std::vector<PartitionId> partitions;
  for (const auto& [id, known] : story_.streams) {
    if (known.delete_tried) continue;
    for (uint32_t p = 0; p < known.config.partitions; ++p)
      partitions.push_back({id, PartitionIndex(p)});
  }
  for (const PartitionId partition : partitions) {
    // Nobody repairs a replica from another one yet.
    if (story_.damaged(partition) || story_.hit_anywhere(partition)) continue;
    const bool read = wait_for(k_bound, seconds(2), [&](const ClusterClients::Told& told) {
      clients_.read_whole(partition, told);
    });
    if (!read) {
      if (!over())
        story_.verdict.fire("O10", "no whole read of " + partition.to_string() + " ends " + when);
      return false;
    }
    const bool acked = wait_for(k_bound, seconds(2), [&](const ClusterClients::Told& told) {
      clients_.publish_to(partition, [](NodeId) { return true; }, told);
    });
    if (!acked) {
      if (!over())
        story_.verdict.fire("O17",
                            "partition " + partition.to_string() + " takes no publish " + when);
      return false;
    }
  }
  return true;
}

std::string ClusterProofs::waiting() const {
  for (const auto& s : story_.seats) {
    const raft::RaftDriver* driver = s->driver();
    if (driver == nullptr || s->broker() == nullptr) continue;
    if (driver->persists_waiting() != 0 || driver->proposals_waiting() != 0 ||
        driver->reads_waiting() != 0 || s->broker()->publishes_in_flight() != 0)
      return s->node.host() + " has waiting: writes " + std::to_string(driver->persists_waiting()) +
             ", proposals " + std::to_string(driver->proposals_waiting()) + ", reads " +
             std::to_string(driver->reads_waiting()) + ", publishes " +
             std::to_string(s->broker()->publishes_in_flight());
  }
  return {};
}

// O18: nothing is left waiting for ever.
void ClusterProofs::check_bounds() {
  sim_.run_until_true(sim_.now() + k_at_rest, [this] { return over() || waiting().empty(); });
  if (over()) return;
  if (const std::string what = waiting(); !what.empty())
    return story_.verdict.fire("O18", "at rest " + what);
  for (const auto& s : story_.seats)
    if (s->broker() != nullptr) s->broker()->check_invariants();
}

// All end, in different ways; what was there before is there afterwards.
void ClusterProofs::restart_all() {
  for (const auto& seat : story_.seats) {
    const uint64_t roll = draw_below(sim_.seed(), {Domain::workload, seat->id().value, 1 << 20}, 3);
    if (roll == 0 && seat->broker() != nullptr) {
      ClusterProgram* program = seat->program();
      seat->node.life().arrive(program->heard([program] { program->stop([](const Status&) {}); }));
    }
    if (roll == 1) seat->node.crash_machine();
    if (roll == 2) seat->node.crash_process();
  }
  converge("after all were restarted");
}

}  // namespace bascule::sim

// One life of a node's process: the loop, and the tasks that wait in it.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "sim/world/disk.h"
#include "sim/world/network.h"
#include "sim/world/node.h"
#include "src/env/world.h"

namespace bascule::sim {

class SimLoop final : public env::Loop {
 public:
  explicit SimLoop(Life& life) : life_(life) {}
  MonotonicTime now() const override;
  WallTime wall() const override;
  void post(env::Task task) override;
  env::TimerId schedule(MonotonicTime at, env::Task task) override;
  void cancel(env::TimerId timer) override;
  void at_turn_end(env::Task task) override;
  void fail_stop(const Error& why) override;

 private:
  Life& life_;
};

class SimTracer final : public Tracer {
 public:
  explicit SimTracer(Node& node, Simulation& sim) : node_(node), sim_(sim) {}
  void probe(std::string_view name) override;
  void message(TraceLevel level, std::string_view area, std::string_view text) override;
  bool wants(TraceLevel) const override { return sim_.narrating(); }

 private:
  Node& node_;
  Simulation& sim_;
};

class Life {
 public:
  Life(Simulation& sim, Node& node, uint64_t number);
  ~Life();

  Simulation& sim() { return sim_; }
  Node& node() { return node_; }
  uint64_t number() const { return number_; }
  bool dead() const { return dead_; }
  env::World& world() { return world_; }

  // A completion or an event has arrived: runs in a turn as soon as the process can.
  void arrive(env::Task task);
  // Keeps what a dead life drops until it is cleared away.
  void bury(env::Task task) { graveyard_.push_back(std::move(task)); }

 private:
  friend class Node;
  friend class SimLoop;

  struct Timer {
    env::Task task;
    MonotonicTime at;
    EventId event;
    uint32_t generation = 1;
    bool active = false;
  };

  void wake();
  void burst();
  void arm(uint32_t slot);
  void fire(uint32_t slot);
  void rearm_all();

  Simulation& sim_;
  Node& node_;
  uint64_t number_;
  bool dead_ = false;
  bool burst_scheduled_ = false;
  EventId burst_event_;
  std::deque<env::Task> ready_;
  std::vector<env::Task> turn_end_;
  std::vector<Timer> timers_;
  std::vector<uint32_t> free_timers_;
  MonotonicTime turn_now_;
  WallTime turn_wall_;
  SimLoop loop_;
  SimDisk disk_;
  SimNetworkHandle network_;
  Prng random_;
  SimTracer tracer_;
  env::World world_;
  std::unique_ptr<Program> program_;
  std::vector<env::Task> graveyard_;
};

}  // namespace bascule::sim

// One simulated machine: its clocks, its storage, and the process that lives and dies on it.
//
// A *life* is one run of the process: a loop, handles of disk and network, a generator. When a life ends
// (crash, fail_stop, clean exit) nothing it does afterwards has an effect and no turn of it runs; its
// program, tasks and completions are destroyed as soon as no turn of it is on the stack.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/world/device.h"
#include "sim/world/simulation.h"
#include "src/env/world.h"

namespace bascule::sim {

class Life;

// What a node runs. Destroyed when the life ends.
class Program {
 public:
  virtual ~Program() = default;
};

struct NodeOptions {
  std::string host = "n1";  // its name in the network
  WallTime wall_start{1'700'000'000'000'000'000};
  int64_t drift_ppm = 0;                  // of both clocks, at the start
  Duration turn_cost = nanoseconds(500);  // of one burst of turns, at normal speed
  DiskOptions disk;
};

enum class DeathCause : uint8_t { process_crash, machine_crash, fail_stop, exit };

struct Death {
  DeathCause cause = DeathCause::exit;
  Error why;  // of a fail_stop
};

class Node {
 public:
  using Boot = std::function<std::unique_ptr<Program>(env::World&)>;

  Node(Simulation& sim, const NodeOptions& options);
  ~Node();

  NodeId id() const { return id_; }
  const std::string& host() const { return options_.host; }
  Device& device() { return device_; }
  EventSource& source() { return source_; }

  // Begins a life and runs `boot` as its first turn. Requires that no life is there.
  void start(Boot boot);
  // For harnesses that have no Program: the world of the life, which `start` made.
  env::World& world();
  // Requires that a life is there.
  Life& life();
  bool alive() const;
  // False from a machine's crash to the next start: such a host answers nothing.
  bool powered() const { return powered_; }
  uint64_t lives() const { return lives_; }
  Program* program();

  // The ends of a life. A dead node is left alone, but for the machine's crash, which hits the storage.
  void crash_process() { end_life({DeathCause::process_crash, {}}); }
  void crash_machine();
  void exit() { end_life({DeathCause::exit, {}}); }
  // Called after each burst of turns of a living process: oracles look at it here, and change nothing.
  void after_turns(std::function<void()> f) { after_turns_ = std::move(f); }
  // Called after a life has been cleared away, outside of its turns. May start the next.
  void on_death(std::function<void(const Death&)> f) { on_death_ = std::move(f); }

  // A paused process runs no turn; its clocks and its machine go on.
  void pause();
  void resume();
  // Every burst of turns takes `factor` times as long. 1: normal.
  void set_cpu_factor(int64_t factor) { cpu_factor_ = factor; }

  // Clocks are functions of the world's time.
  MonotonicTime monotonic() const;
  WallTime wall() const;
  void set_drift(int64_t ppm);
  void jump_wall(Duration by) { wall_offset_ = wall_offset_ + by; }
  // Forward only: a machine that slept.
  void jump_monotonic(Duration by);

  // Ends everything at the end of the world.
  void shut_down();

 private:
  friend class Life;
  friend class SimLoop;

  void end_life(Death death);
  void reap();
  // The world's time at which the monotonic clock shows `at`.
  SimTime when(MonotonicTime at) const;
  int64_t drifted(SimTime t) const;

  Simulation& sim_;
  NodeOptions options_;
  NodeId id_;
  EventSource source_;
  Device device_;
  int64_t cpu_factor_ = 1;
  bool paused_ = false;
  bool powered_ = true;
  bool in_turn_ = false;
  bool reaping_ = false;
  // Clock: local = anchor_local_ + (now - anchor_) * (1 + drift).
  SimTime anchor_;
  int64_t anchor_local_ = 0;
  int64_t drift_ppm_ = 0;
  Duration wall_offset_;
  uint64_t lives_ = 0;
  SimTime busy_until_;
  std::unique_ptr<Life> life_;
  std::optional<Death> death_;  // of the life that is to be cleared away
  std::function<void(const Death&)> on_death_;
  std::function<void()> after_turns_;
};

}  // namespace bascule::sim

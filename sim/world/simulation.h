// The one event heap of a simulated world: virtual time, all nodes, one thread. Idle time is free.
//
// Events are keyed (time, seeded tie-break, id). The tie-break of an event depends on its entity and on
// how many events that entity has had, so that what one node does never reorders another's events.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/world/chooser.h"
#include "sim/world/random.h"
#include "sim/world/trace_hash.h"
#include "src/base/time.h"
#include "src/env/loop.h"

namespace bascule::sim {

class Node;
class SimNetwork;
struct NodeOptions;

// Time since the beginning of the simulated world.
using SimTime = Duration;

// What sends events into the heap: its number and the count of its events so far.
struct EventSource {
  uint64_t entity = 0;
  uint64_t events = 0;
};

struct EventId {
  uint32_t slot = 0;
  uint32_t generation = 0;  // 0: none
};

class Simulation {
 public:
  // `chooser` decides what the disks leave open; null: by the seed. It outlives the simulation.
  explicit Simulation(uint64_t seed, Chooser* chooser = nullptr);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  uint64_t seed() const { return seed_; }
  SimTime now() const { return now_; }
  Chooser& chooser() { return *chooser_; }

  // Runs `task` at `when`, or now if that is past. Not a node's turn: the world's own doing.
  EventId at(SimTime when, EventSource& source, env::Task task);
  EventId at(SimTime when, env::Task task) { return at(when, world_source_, std::move(task)); }
  EventId after(Duration delay, env::Task task) { return at(now_ + delay, std::move(task)); }
  // An event that has run, or none, is ignored.
  void cancel(EventId event);

  // Runs the next event. False: there is none.
  bool step();
  // Runs all events up to and at `end`, then sets the time to `end`.
  void run_until(SimTime end);
  // Runs events until `done()` or `end`. True: done() holds.
  template <class F>
  bool run_until_true(SimTime end, F done) {
    while (!done()) {
      if (heap_.empty() || heap_.front().time > end.ns) {
        if (end > now_) now_ = end;
        return done();
      }
      step();
    }
    return true;
  }

  Node& add_node(const NodeOptions& options);
  Node& node(size_t index) { return *nodes_[index]; }
  size_t node_count() const { return nodes_.size(); }
  SimNetwork& network() { return *network_; }

  TraceHash& trace() { return trace_; }
  const TraceHash& trace() const { return trace_; }
  uint64_t events_run() const { return events_run_; }

  // Probes of the code under test and of the world ("fault.sync_failed"), with their counts.
  void count(std::string_view probe, uint64_t n = 1);
  const std::map<std::string, uint64_t, std::less<>>& counts() const { return counts_; }

  // The story, for people: printed when `narrate(true)`. Never part of the trace hash.
  void narrate(bool on) { narrating_ = on; }
  bool narrating() const { return narrating_; }
  void tell(std::string_view who, std::string_view text) const;

 private:
  friend class Node;

  struct Key {
    int64_t time;
    uint64_t tie;
    uint32_t slot;
    uint32_t generation;
  };
  struct Slot {
    env::Task task;
    uint64_t entity = 0;
    uint32_t generation = 1;
  };
  static bool later(const Key& a, const Key& b) {
    if (a.time != b.time) return a.time > b.time;
    if (a.tie != b.tie) return a.tie > b.tie;
    return a.slot > b.slot;
  }

  uint64_t seed_;
  SeededChooser seeded_chooser_;
  Chooser* chooser_;
  SimTime now_;
  std::vector<Key> heap_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  EventSource world_source_;
  TraceHash trace_;
  uint64_t events_run_ = 0;
  bool narrating_ = false;
  std::map<std::string, uint64_t, std::less<>> counts_;
  std::unique_ptr<SimNetwork> network_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace bascule::sim

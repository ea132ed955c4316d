#include "sim/world/simulation.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "sim/world/network.h"
#include "sim/world/node.h"

namespace bascule::sim {

Simulation::Simulation(uint64_t seed, Chooser* chooser)
    : seed_(seed),
      seeded_chooser_(seed),
      chooser_(chooser ? chooser : &seeded_chooser_),
      network_(std::make_unique<SimNetwork>(*this)) {
  trace_.add(seed);
}

Simulation::~Simulation() {
  for (auto& node : nodes_) node->shut_down();
  // Events may hold what refers to nodes.
  slots_.clear();
}

EventId Simulation::at(SimTime when, EventSource& source, env::Task task) {
  uint32_t index;
  if (free_slots_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_slots_.back();
    free_slots_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.task = std::move(task);
  slot.entity = source.entity;
  const uint64_t tie = draw(seed_, {Domain::tie, source.entity, source.events++});
  heap_.push_back({std::max(when, now_).ns, tie, index, slot.generation});
  std::push_heap(heap_.begin(), heap_.end(), later);
  return {index, slot.generation};
}

void Simulation::cancel(EventId event) {
  if (event.generation == 0 || slots_[event.slot].generation != event.generation) return;
  Slot& slot = slots_[event.slot];
  ++slot.generation;
  // The task may own what calls back into the heap as it goes.
  env::Task dropped = std::move(slot.task);
  slot.task = nullptr;
  // The key stays in the heap and is skipped; the slot is free once that has happened.
}

bool Simulation::step() {
  while (!heap_.empty()) {
    const Key key = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
    Slot& slot = slots_[key.slot];
    if (slot.generation != key.generation) {
      free_slots_.push_back(key.slot);
      continue;
    }
    env::Task task = std::move(slot.task);
    slot.task = nullptr;
    ++slot.generation;
    now_ = {key.time};
    ++events_run_;
    trace_.add(static_cast<uint64_t>(key.time), slot.entity);
    free_slots_.push_back(key.slot);
    task();
    return true;
  }
  return false;
}

void Simulation::run_until(SimTime end) {
  while (!heap_.empty() && heap_.front().time <= end.ns) step();
  if (end > now_) now_ = end;
}

Node& Simulation::add_node(const NodeOptions& options) {
  nodes_.push_back(std::make_unique<Node>(*this, options));
  return *nodes_.back();
}

void Simulation::count(std::string_view probe, uint64_t n) {
  const auto it = counts_.find(probe);
  if (it != counts_.end()) {
    it->second += n;
  } else {
    counts_.emplace(std::string(probe), n);
  }
}

void Simulation::tell(std::string_view who, std::string_view text) const {
  if (!narrating_) return;
  std::printf("%12.6f ms  %-10.*s %.*s\n", static_cast<double>(now_.ns) / 1e6,
              static_cast<int>(who.size()), who.data(), static_cast<int>(text.size()), text.data());
}

}  // namespace bascule::sim

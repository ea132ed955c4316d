#include "sim/world/life.h"

#include <algorithm>

namespace bascule::sim {

Life::Life(Simulation& sim, Node& node, uint64_t number)
    : sim_(sim),
      node_(node),
      number_(number),
      turn_now_(node.monotonic()),
      turn_wall_(node.wall()),
      loop_(*this),
      disk_(node.device(), *this),
      network_(sim.network(), *this),
      random_(draw(sim.seed(), {Domain::node_random, node.id().value, number})),
      tracer_(node, sim),
      world_{loop_, disk_, network_, random_, tracer_} {}

Life::~Life() = default;

void Life::arrive(env::Task task) {
  if (dead_) return bury(std::move(task));
  ready_.push_back(std::move(task));
  if (!node_.in_turn_ && !node_.paused_ && !burst_scheduled_ && sim_.now() >= node_.busy_until_) {
    burst();
  } else {
    wake();
  }
}

void Life::wake() {
  if (burst_scheduled_ || node_.paused_ || node_.in_turn_ || dead_) return;
  burst_scheduled_ = true;
  burst_event_ = sim_.at(std::max(node_.busy_until_, sim_.now()), node_.source_, [this] {
    burst_scheduled_ = false;
    if (!node_.paused_) burst();
  });
}

void Life::burst() {
  if (dead_) return;
  node_.in_turn_ = true;
  turn_now_ = std::max(turn_now_, node_.monotonic());
  turn_wall_ = node_.wall();
  for (size_t count = ready_.size(); count > 0 && !dead_; --count) {
    env::Task task = std::move(ready_.front());
    ready_.pop_front();
    task();
    if (dead_) bury(std::move(task));
  }
  if (!dead_ && !turn_end_.empty()) {
    std::vector<env::Task> tasks = std::move(turn_end_);
    turn_end_.clear();
    for (env::Task& task : tasks) {
      if (!dead_) task();
      if (dead_) bury(std::move(task));
    }
  }
  if (!dead_ && node_.after_turns_) node_.after_turns_();
  node_.busy_until_ = sim_.now() + node_.options_.turn_cost * node_.cpu_factor_;
  node_.in_turn_ = false;
  if (dead_) return node_.reap();
  if (!ready_.empty() || !turn_end_.empty()) wake();
}

void Life::arm(uint32_t slot) {
  Timer& timer = timers_[slot];
  timer.event = sim_.at(node_.when(timer.at), node_.source_, [this, slot] { fire(slot); });
}

void Life::fire(uint32_t slot) {
  if (dead_) return;
  // The clock may have been slowed since the timer was armed.
  if (node_.monotonic() < timers_[slot].at) return arm(slot);
  const uint32_t generation = timers_[slot].generation;
  arrive([this, slot, generation] {
    Timer& timer = timers_[slot];
    // Cancelled by another turn of this burst.
    if (!timer.active || timer.generation != generation) return;
    env::Task task = std::move(timer.task);
    timer.task = nullptr;
    timer.active = false;
    ++timer.generation;
    free_timers_.push_back(slot);
    task();
    if (dead_) bury(std::move(task));
  });
}

void Life::rearm_all() {
  for (uint32_t slot = 0; slot < timers_.size(); ++slot) {
    if (!timers_[slot].active) continue;
    sim_.cancel(timers_[slot].event);
    arm(slot);
  }
}

MonotonicTime SimLoop::now() const { return life_.turn_now_; }
WallTime SimLoop::wall() const { return life_.turn_wall_; }

void SimLoop::post(env::Task task) {
  if (life_.dead_) return life_.bury(std::move(task));
  life_.ready_.push_back(std::move(task));
  life_.wake();
}

env::TimerId SimLoop::schedule(MonotonicTime at, env::Task task) {
  if (life_.dead_) {
    life_.bury(std::move(task));
    return {};
  }
  uint32_t slot;
  if (life_.free_timers_.empty()) {
    slot = static_cast<uint32_t>(life_.timers_.size());
    life_.timers_.emplace_back();
  } else {
    slot = life_.free_timers_.back();
    life_.free_timers_.pop_back();
  }
  Life::Timer& timer = life_.timers_[slot];
  timer.task = std::move(task);
  timer.at = at;
  timer.active = true;
  life_.arm(slot);
  return env::TimerId((static_cast<uint64_t>(slot) << 32) | timer.generation);
}

void SimLoop::cancel(env::TimerId id) {
  const auto slot = static_cast<uint32_t>(id.value >> 32);
  if (!id || life_.dead_ || slot >= life_.timers_.size()) return;
  Life::Timer& timer = life_.timers_[slot];
  if (!timer.active || timer.generation != static_cast<uint32_t>(id.value)) return;
  life_.sim_.cancel(timer.event);
  env::Task dropped = std::move(timer.task);
  timer.task = nullptr;
  timer.active = false;
  ++timer.generation;
  life_.free_timers_.push_back(slot);
}

void SimLoop::at_turn_end(env::Task task) {
  if (life_.dead_) return life_.bury(std::move(task));
  life_.turn_end_.push_back(std::move(task));
  life_.wake();
}

void SimLoop::fail_stop(const Error& why) {
  if (life_.dead_) return;
  life_.node_.end_life({DeathCause::fail_stop, why});
}

void SimTracer::probe(std::string_view name) { sim_.count(name); }

void SimTracer::message(TraceLevel, std::string_view area, std::string_view text) {
  if (!sim_.narrating()) return;
  sim_.tell(node_.host(), std::string(area) + ": " + std::string(text));
}

}  // namespace bascule::sim

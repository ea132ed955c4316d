#include "sim/world/node.h"

#include <algorithm>

#include "sim/world/life.h"

namespace bascule::sim {
namespace {

constexpr int64_t k_million = 1'000'000;

// t * ppm / 1e6 without overflow for any plausible t.
int64_t scaled(int64_t t, int64_t ppm) {
  return t / k_million * ppm + t % k_million * ppm / k_million;
}

std::string_view death_name(DeathCause cause) {
  switch (cause) {
    case DeathCause::process_crash: return "process crash";
    case DeathCause::machine_crash: return "machine crash";
    case DeathCause::fail_stop: return "fail_stop";
    case DeathCause::exit: return "exit";
  }
  return "?";
}

}  // namespace

Node::Node(Simulation& sim, const NodeOptions& options)
    : sim_(sim),
      options_(options),
      id_(static_cast<uint32_t>(sim.node_count() + 1)),
      source_{id_.value, 0},
      device_(sim, id_, options.disk),
      drift_ppm_(options.drift_ppm),
      wall_offset_{options.wall_start.ns} {
  // A monotonic clock begins anywhere.
  anchor_local_ = static_cast<int64_t>(
      draw_below(sim.seed(), {Domain::clock, id_.value, 0}, 1'000'000'000'000));
  wall_offset_ = wall_offset_ - Duration{anchor_local_};
}

Node::~Node() = default;

void Node::start(Boot boot) {
  REQUIRE(!life_ && !in_turn_);
  sim_.trace().add(0x5a, id_.value);
  sim_.tell(host(), "process starts");
  paused_ = false;
  powered_ = true;
  life_ = std::make_unique<Life>(sim_, *this, ++lives_);
  Life& life = *life_;
  in_turn_ = true;
  life.program_ = boot(life.world_);
  in_turn_ = false;
  if (life.dead_) return reap();
  if (!life.ready_.empty() || !life.turn_end_.empty()) life.wake();
}

env::World& Node::world() {
  REQUIRE(life_ != nullptr);
  return life_->world();
}

Life& Node::life() {
  REQUIRE(life_ != nullptr);
  return *life_;
}

bool Node::alive() const { return life_ && !life_->dead(); }
Program* Node::program() { return alive() ? life_->program_.get() : nullptr; }

void Node::crash_machine() {
  if (alive()) {
    end_life({DeathCause::machine_crash, {}});
  } else {
    // Also while a dead life is still to be cleared away: power goes whenever it likes.
    powered_ = false;
    device_.power_loss();
  }
}

void Node::end_life(Death death) {
  if (!alive()) return;
  sim_.trace().add(0xdead, static_cast<uint64_t>(death.cause));
  if (sim_.narrating())
    sim_.tell(host(),
              std::string("dies: ") + std::string(death_name(death.cause)) +
                  (death.cause == DeathCause::fail_stop ? " " + death.why.to_string() : ""));
  life_->dead_ = true;
  const bool power = death.cause == DeathCause::machine_crash;
  death_ = std::move(death);
  // In this order: a machine's crash decides about what the process had in flight.
  device_.process_died(*life_);
  if (power) {
    powered_ = false;
    device_.power_loss();
  }
  sim_.network().process_died(*life_, power);
  if (!in_turn_) reap();
}

void Node::reap() {
  if (!life_ || !life_->dead_ || reaping_) return;
  reaping_ = true;
  in_turn_ = true;  // destructors may post: nothing runs meanwhile
  Life& life = *life_;
  sim_.cancel(life.burst_event_);
  for (Life::Timer& timer : life.timers_) sim_.cancel(timer.event);
  // Tasks first: what they own may refer to the program. What destructors still start is buried, and
  // goes last.
  for (;;) {
    auto ready = std::move(life.ready_);
    auto ends = std::move(life.turn_end_);
    auto timers = std::move(life.timers_);
    life.ready_.clear();
    life.turn_end_.clear();
    life.timers_.clear();
    if (ready.empty() && ends.empty() && timers.empty()) break;
  }
  life.program_.reset();
  while (!life.graveyard_.empty()) {
    auto buried = std::move(life.graveyard_);
    life.graveyard_.clear();
  }
  life_.reset();
  in_turn_ = false;
  reaping_ = false;
  const Death death = *death_;
  death_.reset();
  if (on_death_) on_death_(death);
}

void Node::shut_down() {
  on_death_ = nullptr;
  after_turns_ = nullptr;
  if (alive()) end_life({DeathCause::exit, {}});
}

void Node::pause() {
  if (!alive()) return;
  sim_.tell(host(), "paused");
  paused_ = true;
}

void Node::resume() {
  if (!paused_) return;
  sim_.tell(host(), "resumed");
  paused_ = false;
  if (alive() && (!life_->ready_.empty() || !life_->turn_end_.empty())) life_->wake();
}

int64_t Node::drifted(SimTime t) const {
  const int64_t passed = (t - anchor_).ns;
  return anchor_local_ + passed + scaled(passed, drift_ppm_);
}

MonotonicTime Node::monotonic() const { return {drifted(sim_.now())}; }
WallTime Node::wall() const { return {drifted(sim_.now()) + wall_offset_.ns}; }

SimTime Node::when(MonotonicTime at) const {
  constexpr int64_t k_far = 1'000'000'000'000'000'000;
  if (at.ns - anchor_local_ > k_far) return {k_far * 2};
  const int64_t ahead = at.ns - anchor_local_;
  // 1 / (1 + x) >= 1 - x: each step stops short of the goal, and the last ones are of 1 ns.
  SimTime t = anchor_ + Duration{ahead - scaled(ahead, drift_ppm_)};
  while (drifted(t) < at.ns) {
    const int64_t left = at.ns - drifted(t);
    t = t + Duration{std::max<int64_t>(1, left - scaled(left, drift_ppm_))};
  }
  return t;
}

void Node::set_drift(int64_t ppm) {
  anchor_local_ = drifted(sim_.now());
  anchor_ = sim_.now();
  drift_ppm_ = ppm;
  if (alive()) life_->rearm_all();
}

void Node::jump_monotonic(Duration by) {
  REQUIRE(by.ns >= 0, by.ns);
  anchor_local_ = drifted(sim_.now()) + by.ns;
  anchor_ = sim_.now();
  if (alive()) life_->rearm_all();
}

}  // namespace bascule::sim

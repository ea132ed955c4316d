#include "src/broker/housekeeping.h"

#include <string>

namespace bascule::broker {

Housekeeping::Housekeeping(env::World& world, Replicas& replicas, Duration interval)
    : world_(world),
      replicas_(replicas),
      interval_(interval),
      watch_(world.loop.now(), world.loop.wall()) {}

Housekeeping::~Housekeeping() { world_.loop.cancel(timer_); }

void Housekeeping::start() {
  timer_ = world_.loop.after(interval_, scope_.wrap([this] { begin_round(); }));
}

void Housekeeping::stop() {
  stopped_ = true;
  world_.loop.cancel(timer_);
}

void Housekeeping::begin_round() {
  look_at_clocks();
  last_.reset();
  step();
}

void Housekeeping::look_at_clocks() {
  const bool alarm =
      watch_.look(world_.loop.now(), world_.loop.wall()) == partition::ClockTrust::disagree;
  if (alarm && !clock_alarm_) {
    world_.trace.probe("broker.clock_alarm");
    world_.trace.message(
        TraceLevel::error, "broker",
        "wall clock and monotonic clock disagree by over a minute: retention by age "
        "is off until they agree again or the broker is restarted");
  }
  clock_alarm_ = alarm;
}

void Housekeeping::step() {
  if (stopped_) return;
  partition::Partition* partition = replicas_.next_open(last_);
  if (partition == nullptr) return start();
  last_ = partition->id();
  const auto trust = clock_alarm_ ? partition::ClockTrust::disagree : partition::ClockTrust::agree;
  partition->run_retention(trust, scope_.wrap([this, id = *last_](Result<Offset> moved) {
    if (!moved) {
      world_.trace.message(TraceLevel::warning, "broker",
                           "retention of " + id.to_string() + ": " + moved.error().to_string());
    }
    if (stopped_) return;
    // It may have been closed meanwhile: then the next one is looked for.
    partition::Partition* open = replicas_.find_open(id);
    if (open == nullptr) return step();
    open->compact(scope_.wrap([this](const Status&) { step(); }));
  }));
}

}  // namespace bascule::broker

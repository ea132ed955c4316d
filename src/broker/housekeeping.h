// What a broker does now and then for each of its partitions, one after the other: retention, and the
// rewriting of thin segments. Watches the clocks on the way.
#pragma once

#include <optional>

#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/broker/replicas.h"
#include "src/env/world.h"
#include "src/partition/retention.h"

namespace bascule::broker {

class Housekeeping {
 public:
  // Both outlive this. A round begins `interval` after the one before has ended.
  Housekeeping(env::World& world, Replicas& replicas, Duration interval);
  ~Housekeeping();

  void start();
  // No round begins, and no step of a round, after it.
  void stop();
  // Retention by age is off now, because wall and monotonic clock disagree.
  bool clock_alarm() const { return clock_alarm_; }

 private:
  void begin_round();
  void step();
  void look_at_clocks();

  env::World& world_;
  Replicas& replicas_;
  Duration interval_;
  partition::ClockWatch watch_;
  bool clock_alarm_ = false;
  std::optional<PartitionId> last_;  // that this round has done
  env::TimerId timer_;
  bool stopped_ = false;
  env::Scope scope_;
};

}  // namespace bascule::broker

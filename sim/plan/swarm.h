// Helpers to expand a seed into a plan: per seed each fault class is on or off, and if it is on, how often
// it comes (swarm testing, Groce et al. 2012: a history with few kinds of faults goes deeper into each).
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "sim/plan/plan.h"

namespace bascule::sim {

class Swarm {
 public:
  Swarm(Plan& plan, uint64_t seed) : plan_(plan), random_(draw(seed, {Domain::plan, 0, 0})) {}

  Prng& random() { return random_; }

  // One of the values, each as likely.
  int64_t pick(std::initializer_list<int64_t> values) {
    return values.begin()[static_cast<size_t>(random_.below(values.size()))];
  }
  void set(std::string name, int64_t value) {
    plan_.settings.insert_or_assign(std::move(name), value);
  }

  // Up to `count_max` faults of this class at random times in [from, until), or none at all.
  template <class F>
  void faults(std::string verb, uint64_t count_max, SimTime from, SimTime until, F arguments) {
    if (!random_.chance(1, 2)) return;
    const uint64_t count = random_.between(1, count_max);
    for (uint64_t i = 0; i < count; ++i) {
      PlanItem item{next_id_++, random_.between(from, until), verb, {}};
      arguments(item, random_);
      plan_.faults.push_back(std::move(item));
    }
  }
  void operation(SimTime at, std::string verb,
                 std::vector<std::pair<std::string, int64_t>> arguments = {}) {
    plan_.operations.push_back({next_id_++, at, std::move(verb), std::move(arguments)});
  }
  void finish() {
    std::ranges::stable_sort(plan_.faults, {}, &PlanItem::at);
    std::ranges::stable_sort(plan_.operations, {}, &PlanItem::at);
  }

 private:
  Plan& plan_;
  Prng random_;
  uint64_t next_id_ = 1;
};

}  // namespace bascule::sim

// Makes a failing plan small: takes out faults and operations as long as the same oracle fires (ddmin,
// Zeller and Hildebrandt 2002).
#pragma once

#include <functional>
#include <string>

#include "sim/plan/plan.h"

namespace bascule::sim {

struct ShrinkResult {
  Plan plan;
  uint64_t runs = 0;
  bool reproduced = false;  // false: the plan given did not fail, and is returned as it was
};

// `fails` runs a plan and says whether the same oracle fires. Stops after `runs_max` runs. What is left
// fails; without any single one of its faults or operations it does not (where runs_max sufficed).
ShrinkResult shrink(const Plan& plan, const std::function<bool(const Plan&)>& fails,
                    uint64_t runs_max);

}  // namespace bascule::sim

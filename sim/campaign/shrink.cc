#include "sim/campaign/shrink.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace bascule::sim {
namespace {

class Shrinker {
 public:
  Shrinker(Plan plan, const std::function<bool(const Plan&)>& fails, uint64_t runs_max)
      : best_(std::move(plan)), fails_(fails), runs_max_(runs_max) {}

  ShrinkResult run() {
    if (!try_plan(best_)) return {best_, runs_, false};
    size_t before = 0;
    do {
      before = size();
      drop_classes();
      ddmin(&Plan::faults);
      ddmin(&Plan::operations);
    } while (size() < before && runs_ < runs_max_);
    drop_settings_of_time();
    return {best_, runs_, true};
  }

 private:
  size_t size() const { return best_.faults.size() + best_.operations.size(); }

  bool try_plan(const Plan& plan) {
    if (runs_ >= runs_max_) return false;
    ++runs_;
    return fails_(plan);
  }

  bool keep(Plan candidate) {
    if (!try_plan(candidate)) return false;
    best_ = std::move(candidate);
    return true;
  }

  // All faults of one verb at a time.
  void drop_classes() {
    std::set<std::string> verbs;
    for (const PlanItem& item : best_.faults) verbs.insert(item.verb);
    for (const std::string& verb : verbs) {
      Plan candidate = best_;
      std::erase_if(candidate.faults, [&](const PlanItem& item) { return item.verb == verb; });
      keep(std::move(candidate));
    }
  }

  void ddmin(std::vector<PlanItem> Plan::* list) {
    size_t chunk = (best_.*list).size();
    while (chunk > 0 && runs_ < runs_max_) {
      bool dropped = false;
      // From the end: what comes last matters least often.
      for (size_t end = (best_.*list).size(); end > 0;) {
        const size_t begin = end > chunk ? end - chunk : 0;
        Plan candidate = best_;
        auto& items = candidate.*list;
        items.erase(items.begin() + static_cast<std::ptrdiff_t>(begin),
                    items.begin() + static_cast<std::ptrdiff_t>(end));
        if (keep(std::move(candidate))) dropped = true;
        end = begin;
      }
      if (chunk > 1) {
        chunk /= 2;
      } else if (!dropped) {
        break;
      }
    }
  }

  // The shortest end, by halves, at which it still fails.
  void drop_settings_of_time() {
    SimTime last;
    for (const auto* list : {&best_.faults, &best_.operations}) {
      for (const PlanItem& item : *list) last = std::max(last, item.at);
    }
    for (int i = 0; i < 6; ++i) {
      Plan candidate = best_;
      candidate.end = last + (best_.end - last) / 2;
      if (candidate.end >= best_.end || !keep(std::move(candidate))) break;
    }
  }

  Plan best_;
  const std::function<bool(const Plan&)>& fails_;
  uint64_t runs_max_;
  uint64_t runs_ = 0;
};

}  // namespace

ShrinkResult shrink(const Plan& plan, const std::function<bool(const Plan&)>& fails,
                    uint64_t runs_max) {
  return Shrinker(plan, fails, runs_max).run();
}

}  // namespace bascule::sim

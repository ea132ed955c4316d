#include "sim/world/chooser.h"

#include <utility>

namespace bascule::sim {

uint32_t SystematicChooser::choose(Address, uint32_t options) {
  REQUIRE(options > 0);
  if (options == 1) return 0;
  if (at_ == taken_.size()) taken_.push_back(0);
  if (at_ == options_.size()) options_.push_back(options);
  // The program under search must be deterministic: the same path asks the same questions.
  ASSERT(options_[at_] == options, options_[at_], options, at_);
  ASSERT(taken_[at_] < options, taken_[at_], options);
  return taken_[at_++];
}

bool SystematicChooser::advance() {
  taken_.resize(at_);
  options_.resize(at_);
  at_ = 0;
  while (taken_.size() > fixed_) {
    if (++taken_.back() < options_.back()) return true;
    taken_.pop_back();
    options_.pop_back();
  }
  return false;
}

void SystematicChooser::start_with(std::vector<uint32_t> prefix) {
  taken_ = std::move(prefix);
  options_.clear();
  fixed_ = taken_.size();
  at_ = 0;
}

}  // namespace bascule::sim

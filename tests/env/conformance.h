// The suites that every world passes. Tests are in conformance_<part>_test.cc; a world instantiates the
// suites with its kinds in a file of its own, as real_world.cc does.
#pragma once

#include <gtest/gtest.h>

#include "tests/env/world_harness.h"

namespace bascule::env {

class Conformance : public testing::TestWithParam<WorldKind> {
 protected:
  void SetUp() override {
    std::string why_not;
    harness_ = GetParam().make(why_not);
    if (!harness_) GTEST_SKIP() << why_not;
  }

  World world() { return harness_->world(); }
  Loop& loop() { return world().loop; }
  Disk& disk() { return world().disk; }
  Network& network() { return world().network; }
  bool run_until(const std::function<bool()>& predicate) {
    return harness_->run_until(predicate, k_patience);
  }
  // Runs turns for this long.
  void run_for(Duration time) {
    harness_->run_until([] { return false; }, time);
  }

  std::unique_ptr<WorldHarness> harness_;
};

class LoopConformance : public Conformance {};
class DiskConformance : public Conformance {};
class NetworkConformance : public Conformance {};

}  // namespace bascule::env

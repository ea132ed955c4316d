// Every history of a small scope, and many random ones of a larger scope.
//
// The bounded searches run with all tests. The full one:
//   build/release/bin/log_test --gtest_also_run_disabled_tests --gtest_filter='*every_history*'
#include <gtest/gtest.h>

#include <iostream>

#include "tests/log/small_scope.h"

namespace bascule::log::testing {
namespace {

// Walks all paths, or the first `paths_max` of them.
ScopeCounts search(const ScopeOptions& options, uint64_t paths_max) {
  ScopeCounts counts;
  sim::SystematicChooser chooser;
  MetStates met;
  uint64_t paths = 0;
  bool whole = false;
  do {
    {
      SmallScope scope(chooser, options, 1, counts, &met);
      if (auto failure = scope.run()) {
        std::string path;
        for (const uint32_t c : chooser.path()) path += std::to_string(c) + " ";
        ADD_FAILURE() << *failure << "\nafter " << paths << " histories\n" << scope.story() << path;
        return counts;
      }
    }
    ++paths;
    whole = !chooser.advance();
  } while (!whole && paths < paths_max);
  std::cout << (whole ? "all " : "the first ") << counts.histories << " histories: " << counts.lives
            << " lives, " << counts.crashes << " crashes, " << counts.recoveries
            << " recoveries, damaged " << counts.damaged << ", cut " << counts.suspect_cuts << "; "
            << counts.states << " states between lives, " << counts.met
            << " histories met one again\n";
  return counts;
}

ScopeCounts sample(ScopeOptions options, uint64_t first, uint64_t seeds) {
  ScopeCounts counts;
  options.crash_odds = 25;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    sim::SeededChooser chooser(seed);
    ScopeOptions o = options;
    o.roomy = seed % 2 == 0;
    SmallScope scope(chooser, o, seed, counts);
    if (auto failure = scope.run()) {
      ADD_FAILURE() << *failure << "\nseed " << seed << "\n" << scope.story();
      return counts;
    }
  }
  std::cout << counts.histories << " histories: " << counts.lives << " lives, " << counts.crashes
            << " crashes, " << counts.recoveries << " recoveries, damaged " << counts.damaged
            << ", cut " << counts.suspect_cuts << "\n";
  return counts;
}

TEST(random_histories, nothing_durable_is_lost) {
  sample({.records = 12, .crashes = 4, .operations = 16}, 1, 1000);
}

TEST(random_histories, nothing_durable_is_lost_in_memory_mode) {
  sample({.records = 12, .crashes = 4, .operations = 16, .memory = true}, 1, 1000);
}

TEST(random_histories, rot_is_told_and_never_served) {
  const auto counts = sample({.records = 12, .crashes = 3, .operations = 16, .rot = true}, 1, 1000);
  EXPECT_GT(counts.damaged, 0u);
}

TEST(random_histories, failed_writes_and_syncs_lose_nothing) {
  sample({.records = 12, .crashes = 3, .operations = 16, .failed_write = true}, 1, 1000);
  sample({.records = 12, .crashes = 3, .operations = 16, .failed_write = true, .memory = true}, 1,
         1000);
}

TEST(exhaustive, one_crash_two_operations) {
  search({.records = 2, .crashes = 1, .operations = 2}, 200'000);
}

TEST(exhaustive, one_crash_two_operations_in_a_roomy_segment) {
  search({.records = 2, .crashes = 1, .operations = 2, .roomy = true}, 200'000);
}

TEST(exhaustive, one_crash_with_rot) {
  search({.records = 2, .crashes = 1, .operations = 2, .rot = true}, 6'000);
}

TEST(exhaustive, one_crash_and_a_failed_write) {
  search({.records = 2, .crashes = 1, .operations = 2, .failed_write = true}, 6'000);
}

TEST(exhaustive, two_crashes_one_append) {
  search({.records = 1, .crashes = 2, .operations = 1, .clean_stop = false}, 6'000);
}

constexpr uint64_t k_no_limit = UINT64_MAX;

TEST(exhaustive, DISABLED_every_history_one_crash_three_operations) {
  search({.records = 3, .crashes = 1, .operations = 3}, k_no_limit);
}

TEST(exhaustive, DISABLED_every_history_one_crash_three_operations_roomy) {
  search({.records = 3, .crashes = 1, .operations = 3, .roomy = true}, k_no_limit);
}

TEST(exhaustive, DISABLED_every_history_two_crashes_two_operations) {
  search({.records = 2, .crashes = 2, .operations = 2}, k_no_limit);
}

TEST(exhaustive, DISABLED_every_history_two_crashes_two_operations_roomy) {
  search({.records = 2, .crashes = 2, .operations = 2, .roomy = true}, k_no_limit);
}

TEST(exhaustive, DISABLED_every_history_two_crashes_in_memory_mode) {
  search({.records = 2, .crashes = 2, .operations = 2, .memory = true, .roomy = true}, k_no_limit);
}

TEST(exhaustive, DISABLED_every_history_with_rot) {
  search({.records = 2, .crashes = 1, .operations = 2, .rot = true}, k_no_limit);
}

TEST(exhaustive, DISABLED_every_history_with_rot_roomy) {
  search({.records = 3,
          .crashes = 1,
          .operations = 3,
          .truncation = false,
          .retention = false,
          .rot = true,
          .roomy = true},
         k_no_limit);
}

TEST(exhaustive, DISABLED_every_history_with_a_failed_write) {
  search({.records = 3, .crashes = 1, .operations = 3, .failed_write = true, .roomy = true},
         k_no_limit);
}

TEST(exhaustive, DISABLED_every_history_three_crashes_four_records) {
  search({.records = 4, .crashes = 3, .operations = 4, .roomy = true}, k_no_limit);
}

}  // namespace
}  // namespace bascule::log::testing

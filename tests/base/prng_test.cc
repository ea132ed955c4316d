#include "src/base/prng.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <vector>

namespace bascule {
namespace {

TEST(prng, the_same_seed_gives_the_same_draws_on_every_machine) {
  Prng prng(1);
  EXPECT_EQ(prng.next(), Prng(1).next());
  Prng a(42);
  Prng b(42);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(Prng(1).next(), Prng(2).next());
}

RC_GTEST_PROP(prng, draws_stay_in_their_bounds, (uint64_t seed, uint64_t x, uint64_t y)) {
  Prng prng(seed);
  const uint64_t low = std::min(x, y);
  const uint64_t high = std::max(x, y);
  const uint64_t draw = prng.between(low, high);
  RC_ASSERT(low <= draw && draw <= high);
  if (high > 0) RC_ASSERT(prng.below(high) < high);
}

TEST(prng, small_bounds_are_drawn_evenly) {
  Prng prng(7);
  std::array<int, 3> counts{};
  for (int i = 0; i < 30'000; ++i) ++counts[prng.below(3)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

TEST(prng, a_shuffle_keeps_all_items) {
  std::vector<int> items{1, 2, 3, 4, 5};
  Prng prng(3);
  prng.shuffle(items);
  std::sort(items.begin(), items.end());
  EXPECT_EQ(items, (std::vector<int>{1, 2, 3, 4, 5}));
}

}  // namespace
}  // namespace bascule

#include "src/broker/position.h"

#include <gtest/gtest.h>

namespace bascule::broker {
namespace {

class PositionTest : public ::testing::Test {
 protected:
  ResolvedStart resolve(const StartPosition& from) const {
    return resolve_start(from, {.log_start = Offset(10),
                                .hw = Offset(50),
                                .wall = WallTime{seconds(1000).ns},
                                .epochs = epochs_});
  }
  // Epoch 2 holds [10, 20), epoch 5 [20, 40), epoch 6 the rest.
  std::vector<log::EpochStart> epochs_{
      {Epoch(2), Offset(10)}, {Epoch(5), Offset(20)}, {Epoch(6), Offset(40)}};
};

TEST_F(PositionTest, earliest_latest_new_and_last_are_within_what_is_committed) {
  EXPECT_EQ(resolve(FromEarliest{}).first, Offset(10));
  EXPECT_EQ(resolve(FromLatest{}).first, Offset(49));
  EXPECT_EQ(resolve(FromNew{}).first, Offset(50));
  EXPECT_EQ(resolve(FromLast{3}).first, Offset(47));
  EXPECT_EQ(resolve(FromLast{0}).first, Offset(50));
  EXPECT_EQ(resolve(FromLast{40}).first, Offset(10));
  EXPECT_EQ(resolve(FromLast{UINT64_MAX}).first, Offset(10));
}

TEST_F(PositionTest, latest_of_an_empty_log_is_its_end) {
  const std::vector<log::EpochStart> none;
  const VisibleLog empty{.log_start = Offset(7), .hw = Offset(7), .wall = {}, .epochs = none};
  EXPECT_EQ(resolve_start(FromLatest{}, empty).first, Offset(7));
}

TEST_F(PositionTest, an_ago_is_a_time_by_the_leaders_clock) {
  EXPECT_EQ(resolve(FromAgo{seconds(100)}).time, WallTime{seconds(900).ns});
  EXPECT_EQ(resolve(FromTime{WallTime{5}}).time, WallTime{5});
}

TEST_F(PositionTest, an_offset_below_the_start_begins_at_the_start) {
  EXPECT_EQ(resolve(FromOffset{Offset(3), Epoch(1)}).first, Offset(10));
  EXPECT_FALSE(resolve(FromOffset{Offset(3), Epoch(1)}).diverged_at);
  EXPECT_EQ(resolve(FromOffset{Offset(50), {}}).first, Offset(50));
}

TEST_F(PositionTest, an_offset_above_the_committed_end_has_a_valid_end) {
  EXPECT_EQ(resolve(FromOffset{Offset(51), {}}).diverged_at, Offset(50));
  EXPECT_EQ(resolve(FromOffset{Offset(51), Epoch(5)}).diverged_at, Offset(40));
}

TEST_F(PositionTest, a_record_before_of_another_epoch_tells_where_the_common_history_ends) {
  EXPECT_FALSE(resolve(FromOffset{Offset(40), Epoch(5)}).diverged_at);
  EXPECT_FALSE(resolve(FromOffset{Offset(41), Epoch(6)}).diverged_at);
  // The reader saw records of epoch 3 up to 34; here epoch 5 began at 20.
  EXPECT_EQ(resolve(FromOffset{Offset(35), Epoch(3)}).diverged_at, Offset(20));
  // The reader saw an epoch that this log does not know of.
  EXPECT_EQ(resolve(FromOffset{Offset(35), Epoch(9)}).diverged_at, Offset(34));
  // The record before the log's start cannot be compared.
  EXPECT_FALSE(resolve(FromOffset{Offset(10), Epoch(1)}).diverged_at);
}

}  // namespace
}  // namespace bascule::broker

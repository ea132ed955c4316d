#include "src/partition/retention.h"

#include <gtest/gtest.h>

#include <vector>

namespace bascule::partition {
namespace {

// Three segments of 10 offsets and 100 bytes, last written at 10, 20 and 30 seconds.
std::vector<log::SegmentInfo> three_segments() {
  std::vector<log::SegmentInfo> out;
  for (uint64_t i = 0; i < 3; ++i) {
    out.push_back({Offset(i * 10), Offset(i * 10 + 10), 100,
                   WallTime{seconds(static_cast<int64_t>(i + 1) * 10).ns}});
  }
  return out;
}

std::optional<Offset> start(const RetentionLimits& limits, Offset hw = Offset(30),
                            WallTime wall = {}, ClockTrust clock = ClockTrust::agree) {
  return retention_start(three_segments(), Offset(0), hw, wall, clock, limits);
}

TEST(Retention, no_limits_keep_everything) {
  EXPECT_EQ(start({}, Offset(30), WallTime{seconds(9999).ns}), std::nullopt);
}

TEST(Retention, at_least_the_bytes_and_messages_asked_for_are_kept) {
  EXPECT_EQ(start({.age = {}, .bytes = 301}), std::nullopt);
  EXPECT_EQ(start({.age = {}, .bytes = 201}), std::nullopt);
  EXPECT_EQ(start({.age = {}, .bytes = 200}), Offset(10));
  EXPECT_EQ(start({.age = {}, .bytes = 1}), Offset(20)) << "the last segment stays";
  EXPECT_EQ(start({.age = {}, .messages = 20}), Offset(10));
  EXPECT_EQ(start({.age = {}, .messages = 21}), std::nullopt);
}

TEST(Retention, age_is_judged_by_the_last_append_of_a_segment_and_takes_the_last_one_too) {
  const RetentionLimits limits{.age = seconds(15)};
  EXPECT_EQ(start(limits, Offset(30), WallTime{seconds(24).ns}), std::nullopt);
  EXPECT_EQ(start(limits, Offset(30), WallTime{seconds(25).ns}), Offset(10));
  EXPECT_EQ(start(limits, Offset(30), WallTime{seconds(45).ns}), Offset(30));
}

TEST(Retention, nothing_at_or_above_hw_goes) {
  EXPECT_EQ(start({.age = seconds(1)}, Offset(19), WallTime{seconds(999).ns}), Offset(10));
  EXPECT_EQ(start({.age = seconds(1)}, Offset(9), WallTime{seconds(999).ns}), std::nullopt);
}

TEST(Retention, while_the_clocks_disagree_age_deletes_nothing_and_bytes_still_do) {
  const WallTime far{seconds(9999).ns};
  EXPECT_EQ(start({.age = seconds(1)}, Offset(30), far, ClockTrust::disagree), std::nullopt);
  EXPECT_EQ(start({.age = seconds(1), .bytes = 200}, Offset(30), far, ClockTrust::disagree),
            Offset(10));
}

TEST(ClockWatch, a_jump_of_over_a_minute_either_way_is_a_disagreement_until_it_is_undone) {
  const MonotonicTime now{1000};
  const WallTime wall{seconds(1'000'000).ns};
  const ClockWatch watch(now, wall);
  const Duration later = seconds(3600);
  EXPECT_EQ(watch.look(now + later, wall + later), ClockTrust::agree);
  EXPECT_EQ(watch.look(now + later, wall + later + seconds(60)), ClockTrust::agree);
  EXPECT_EQ(watch.look(now + later, wall + later + seconds(61)), ClockTrust::disagree);
  EXPECT_EQ(watch.look(now + later, wall + later - seconds(61)), ClockTrust::disagree);
  EXPECT_EQ(watch.look(now + later * 2, wall + later * 2), ClockTrust::agree);
}

}  // namespace
}  // namespace bascule::partition

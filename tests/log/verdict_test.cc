#include "src/log/verdict.h"

#include <gtest/gtest.h>

namespace bascule::log {
namespace {

ScannedGroup group(uint64_t first, uint64_t next, bool framed = true, bool whole = true) {
  ScannedGroup g{first * 4096, 4096, framed, whole, {}};
  for (uint64_t o = first; o < next; ++o)
    g.batches.push_back({Offset(o), Offset(o + 1), Epoch(1), WallTime{1}, g.position + 512, 96});
  return g;
}

VerdictInput one_segment(std::vector<ScannedGroup> groups, uint64_t mark, uint64_t bound = 0) {
  VerdictInput in;
  in.bound = Offset(bound);
  in.segments.resize(1);
  in.scans.resize(1);
  in.scans[0].groups = std::move(groups);
  in.scans[0].mark = Offset(mark);
  return in;
}

TEST(verdict, a_whole_tail_above_the_bound_is_kept_and_copied) {
  const auto v = judge(one_segment({group(0, 2), group(2, 4)}, 2));
  EXPECT_EQ(v.bound, Offset(2));
  EXPECT_EQ(v.leo, Offset(4));
  EXPECT_EQ(v.copy_from, Offset(2));
  EXPECT_TRUE(v.damaged.empty());
  EXPECT_FALSE(v.cut);
}

TEST(verdict, a_gap_above_the_bound_ends_the_log) {
  const auto v = judge(one_segment({group(0, 2), group(3, 4)}, 2));
  EXPECT_EQ(v.leo, Offset(2));
  EXPECT_TRUE(v.damaged.empty());
  EXPECT_TRUE(v.cut);
}

TEST(verdict, a_gap_below_a_later_mark_is_damage_and_cuts_nothing) {
  const auto v = judge(one_segment({group(0, 2), group(3, 4)}, 3));
  EXPECT_EQ(v.leo, Offset(4));
  EXPECT_EQ(v.damaged, (std::vector<OffsetRange>{{Offset(2), Offset(3)}}));
  EXPECT_FALSE(v.cut);
}

TEST(verdict, a_group_above_the_bound_counts_whole_or_not_at_all) {
  const auto v = judge(one_segment({group(0, 2), group(2, 3, true, false)}, 2));
  EXPECT_EQ(v.leo, Offset(2));
  EXPECT_TRUE(v.cut);
}

TEST(verdict, batches_under_a_bad_frame_count_below_the_bound_alone) {
  const auto below = judge(one_segment({group(0, 2), group(2, 4, false, false)}, 0, 4));
  EXPECT_EQ(below.leo, Offset(4));
  EXPECT_TRUE(below.damaged.empty());
  EXPECT_EQ(below.copy_from, Offset(2)) << "to be given a frame again";
  const auto above = judge(one_segment({group(0, 2), group(2, 4, false, false)}, 2));
  EXPECT_EQ(above.leo, Offset(2));
  EXPECT_TRUE(above.cut);
}

TEST(verdict, what_must_be_there_and_is_not_is_damage_up_to_the_bound) {
  const auto v = judge(one_segment({group(0, 2)}, 0, 5));
  EXPECT_EQ(v.leo, Offset(5));
  EXPECT_EQ(v.damaged, (std::vector<OffsetRange>{{Offset(2), Offset(5)}}));
}

TEST(verdict, nothing_beyond_a_known_end_counts) {
  auto in = one_segment({group(0, 2), group(2, 4)}, 4, 2);
  in.end = Offset(2);
  const auto v = judge(std::move(in));
  EXPECT_EQ(v.leo, Offset(2));
  EXPECT_EQ(v.copy_from, Offset(2));
  EXPECT_FALSE(v.cut);
}

TEST(verdict, a_mark_counts_at_most_as_the_end_of_its_segment) {
  auto in = one_segment({group(0, 2)}, 9);
  in.segments[0].sealed = true;
  in.segments[0].end = Offset(2);
  const auto v = judge(std::move(in));
  EXPECT_EQ(v.bound, Offset(2));
  EXPECT_TRUE(v.damaged.empty());
}

TEST(verdict, an_older_epoch_does_not_continue_the_log) {
  auto in = one_segment({group(0, 2), group(2, 4)}, 2);
  in.scans[0].groups[0].batches[1].epoch = Epoch(5);
  const auto v = judge(std::move(in));
  EXPECT_EQ(v.leo, Offset(2));
}

}  // namespace
}  // namespace bascule::log

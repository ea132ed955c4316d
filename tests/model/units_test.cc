#include "src/model/units.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace bascule::model {
namespace {

TEST(units, durations_are_read_as_people_write_them) {
  EXPECT_EQ(parse_duration("250ms")->ns, 250'000'000);
  EXPECT_EQ(parse_duration("1h30m")->ns, 5'400'000'000'000);
  EXPECT_EQ(parse_duration("1.5h")->ns, 5'400'000'000'000);
  EXPECT_EQ(parse_duration("7d")->ns, 7 * 86'400'000'000'000);
  EXPECT_EQ(parse_duration("0")->ns, 0);
  for (const char* bad : {"", "5", "-1h", "h", "1x", "1h 30m", "1.h", ".", "99999999999w"})
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
}

TEST(units, sizes_are_read_as_people_write_them) {
  EXPECT_EQ(*parse_size("512"), 512U);
  EXPECT_EQ(*parse_size("64KiB"), 65'536U);
  EXPECT_EQ(*parse_size("1.5GiB"), 1'610'612'736U);
  EXPECT_EQ(*parse_size("10MB"), 10'000'000U);
  for (const char* bad : {"", "KiB", "-1", "1kib", "1GiB2", "99999999999TiB"})
    EXPECT_FALSE(parse_size(bad).has_value()) << bad;
}

RC_GTEST_PROP(units, durations_and_sizes_come_back, (int64_t ns, uint32_t size)) {
  if (ns >= 0) RC_ASSERT(parse_duration(format_duration({ns}))->ns == ns);
  RC_ASSERT(*parse_size(format_size(size)) == size);
}

RC_GTEST_PROP(units, times_come_back, (int64_t ns)) {
  RC_ASSERT(parse_time(format_time(WallTime{ns}))->ns == ns);
}

TEST(units, times_are_rfc_3339) {
  EXPECT_EQ(parse_time("1970-01-01T00:00:00Z")->ns, 0);
  EXPECT_EQ(parse_time("2026-11-23T21:00:00Z")->ns, 1'795'467'600'000'000'000);
  EXPECT_EQ(parse_time("2026-11-23T23:00:00+02:00")->ns, parse_time("2026-11-23T21:00:00Z")->ns);
  EXPECT_EQ(parse_time("2026-11-23 21:00:00.25Z")->ns, 1'795'467'600'250'000'000);
  EXPECT_EQ(parse_time("2026-11-23")->ns, parse_time("2026-11-23T00:00:00Z")->ns);
  EXPECT_EQ(parse_time("2024-02-29T00:00:00Z").has_value(), true);
  for (const char* bad : {"", "2026", "2026-13-01", "2025-02-29", "2026-11-23T25:00:00Z",
                          "2026-11-23T21:00:00", "2026-11-23T21:00:00Zx", "1000-01-01"})
    EXPECT_FALSE(parse_time(bad).has_value()) << bad;
  EXPECT_EQ(format_time(WallTime{1'795'467'600'000'000'001}), "2026-11-23T21:00:00.000000001Z");
}

}  // namespace
}  // namespace bascule::model

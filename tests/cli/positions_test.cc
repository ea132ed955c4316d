#include "io/cli/positions.h"

#include <gtest/gtest.h>

namespace bascule::cli {
namespace {

using namespace broker;

TEST(positions, every_form_of_a_beginning_is_read) {
  EXPECT_TRUE(std::holds_alternative<FromEarliest>(*parse_from("earliest")));
  EXPECT_TRUE(std::holds_alternative<FromLatest>(*parse_from("latest")));
  EXPECT_TRUE(std::holds_alternative<FromNew>(*parse_from("new")));
  EXPECT_EQ(std::get<FromOffset>(*parse_from("@12")).offset, Offset(12));
  EXPECT_EQ(std::get<FromLast>(*parse_from("last:5")).count, 5U);
  EXPECT_EQ(std::get<FromAgo>(*parse_from("-1h")).ago, seconds(3600));
  EXPECT_EQ(std::get<FromTime>(*parse_from("1970-01-01T00:00:02Z")).time.ns, 2'000'000'000);
}

TEST(positions, every_form_of_an_end_is_read) {
  EXPECT_TRUE(std::holds_alternative<UntilNever>(*parse_until("never")));
  EXPECT_TRUE(std::holds_alternative<UntilLatest>(*parse_until("latest")));
  EXPECT_EQ(std::get<UntilOffset>(*parse_until("@0")).offset, Offset(0));
  EXPECT_EQ(std::get<UntilTime>(*parse_until("1970-01-01")).time.ns, 0);
}

TEST(positions, anything_else_is_refused_with_the_forms) {
  for (const char* bad : {"", "@", "@x", "@-1", "last:", "last:x", "-", "-1", "yesterday"})
    EXPECT_EQ(parse_from(bad).error().code, Errc::invalid) << bad;
  for (const char* bad : {"", "earliest", "new", "@x", "last:5", "-1h"})
    EXPECT_EQ(parse_until(bad).error().code, Errc::invalid) << bad;
}

}  // namespace
}  // namespace bascule::cli

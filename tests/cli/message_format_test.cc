#include "io/cli/message_format.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bascule::cli {
namespace {

model::Record sample() {
  return {WallTime{1'500'000'000}, "a.b", "", "key", {{"h", "1"}, {"h", "2"}}, "value"};
}

std::string line(const model::Record& record) {
  const model::RecordView view = model::view_of(record);
  return json_line({"orders", PartitionIndex(2), Offset(7), Epoch(3), WallTime{0}, view});
}

TEST(message_format, json_has_all_that_the_record_has) {
  EXPECT_EQ(
      line(sample()),
      R"({"stream":"orders","partition":2,"offset":7,"epoch":3,)"
      R"("time":"1970-01-01T00:00:01.500000000Z","append_time":"1970-01-01T00:00:00.000000000Z",)"
      R"("subject":"a.b","key":"key","value":"value","headers":[["h","1"],["h","2"]]})");
}

TEST(message_format, bytes_that_are_not_utf8_come_in_base64) {
  model::Record record = sample();
  record.value = std::string("\xff\x00z", 3);
  const auto json = nlohmann::json::parse(line(record));
  EXPECT_EQ(json["value_base64"], "/wB6");
  EXPECT_FALSE(json.contains("value"));
}

TEST(message_format, absent_and_empty_values_differ) {
  model::Record record = sample();
  record.value = "";
  EXPECT_EQ(nlohmann::json::parse(line(record))["value"], "");
  record.value.reset();
  EXPECT_FALSE(nlohmann::json::parse(line(record)).contains("value"));
}

TEST(message_format, utf8_is_told_from_what_only_looks_like_it) {
  EXPECT_TRUE(valid_utf8("héllo ✓ 🌉"));
  EXPECT_TRUE(valid_utf8(""));
  for (const char* bad : {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                          "\xc3", "\xff", "\xf8\x88\x80\x80\x80"})
    EXPECT_FALSE(valid_utf8(bad));
}

TEST(message_format, base64_is_rfc_4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(message_format, formats_follow_kcat) {
  const auto format = MessageFormat::parse("%t[%p]@%o %T %k=%s(%S) %h %u%%\\t\\n");
  ASSERT_TRUE(format.has_value());
  const model::Record record = sample();
  const model::RecordView view = model::view_of(record);
  EXPECT_EQ(format->render({"orders", PartitionIndex(2), Offset(7), Epoch(3), WallTime{0}, view}),
            "orders[2]@7 1500 key=value(5) h=1,h=2 a.b%\t\n");
  EXPECT_FALSE(MessageFormat::parse("%x").has_value());
  EXPECT_FALSE(MessageFormat::parse("%").has_value());
  EXPECT_FALSE(MessageFormat::parse("\\q").has_value());
}

}  // namespace
}  // namespace bascule::cli

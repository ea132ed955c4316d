#include "src/model/stream_config.h"

#include <gtest/gtest.h>

namespace bascule::model {
namespace {

StreamConfig good() {
  StreamConfig config;
  config.name = "orders";
  config.subjects = {"orders.>"};
  return config;
}

TEST(stream_config, a_plain_one_is_fine) { EXPECT_TRUE(check_stream_config(good()).has_value()); }

TEST(stream_config, an_error_names_the_field) {
  const auto context = [](auto change) {
    StreamConfig config = good();
    change(config);
    const Status s = check_stream_config(config);
    return s ? std::string() : s.error().context.substr(0, s.error().context.find(':'));
  };
  EXPECT_EQ(context([](StreamConfig& c) { c.name = ""; }), "name");
  EXPECT_EQ(context([](StreamConfig& c) { c.name = "../etc"; }), "name");
  EXPECT_EQ(context([](StreamConfig& c) { c.name = std::string(129, 'a'); }), "name");
  EXPECT_EQ(context([](StreamConfig& c) { c.subjects.clear(); }), "subjects");
  EXPECT_EQ(context([](StreamConfig& c) { c.subjects = {"a..b"}; }), "subjects");
  EXPECT_EQ(context([](StreamConfig& c) { c.partitions = 0; }), "partitions");
  EXPECT_EQ(context([](StreamConfig& c) { c.replicas = 0; }), "replicas");
  EXPECT_EQ(context([](StreamConfig& c) { c.min_isr = 2; }), "min_isr");
  EXPECT_EQ(context([](StreamConfig& c) { c.retain_age = seconds(-1); }), "retain_age");
  EXPECT_EQ(context([](StreamConfig& c) { c.segment_bytes = 1; }), "segment_bytes");
  EXPECT_EQ(context([](StreamConfig& c) { c.segment_bytes = UINT64_MAX; }), "segment_bytes");
  EXPECT_EQ(context([](StreamConfig& c) { c.segment_bytes = 4096; }), "");
}

TEST(stream_config, answers_are_on_by_default_only_where_the_first_token_is_literal) {
  StreamConfig config = good();
  EXPECT_TRUE(answers_publishers(config));
  config.subjects.push_back("*.x");
  EXPECT_FALSE(answers_publishers(config));
  config.subjects = {">"};
  EXPECT_FALSE(answers_publishers(config));
  config.answers = AnswerMode::on;
  EXPECT_TRUE(answers_publishers(config));
  config.subjects = {"a"};
  config.answers = AnswerMode::off;
  EXPECT_FALSE(answers_publishers(config));
}

// Values of the xxHash specification's reference implementation: clients in other languages rely on it.
TEST(stream_config, a_keys_partition_is_its_xxh64) {
  EXPECT_EQ(partition_of_key("", 1), 0U);
  EXPECT_EQ(partition_of_key("", 1000), 0xef46db3751d8e999ULL % 1000);
  EXPECT_EQ(partition_of_key("a", 4096), 0xd24ec4f1a98c6e5bULL % 4096);
}

TEST(stream_config, half_of_the_replicas_and_one_are_in_sync_by_default) {
  EXPECT_EQ(default_min_isr(1), 1U);
  EXPECT_EQ(default_min_isr(2), 2U);
  EXPECT_EQ(default_min_isr(3), 2U);
  EXPECT_EQ(default_min_isr(5), 3U);
}

}  // namespace
}  // namespace bascule::model

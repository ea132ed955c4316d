#include "src/model/subject.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace bascule::model {
namespace {

TEST(subject, literal_subjects_have_tokens_without_wildcards) {
  EXPECT_TRUE(valid_subject("a"));
  EXPECT_TRUE(valid_subject("a.b.c"));
  EXPECT_TRUE(valid_subject("a.b*c"));
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "a b", "a.\t", "*", "a.*", ">", "a.>"})
    EXPECT_FALSE(valid_subject(bad)) << bad;
}

TEST(subject, filters_may_have_wildcards_as_whole_tokens) {
  for (const char* good : {"a", "*", ">", "a.*", "*.b", "a.>", "*.*.>"})
    EXPECT_TRUE(valid_subject_filter(good)) << good;
  for (const char* bad : {"", ">.a", "a.>.b", "a.", "a..>"})
    EXPECT_FALSE(valid_subject_filter(bad)) << bad;
}

TEST(subject, a_star_is_one_token_and_a_greater_sign_one_or_more) {
  EXPECT_TRUE(subject_matches("a.*", "a.b"));
  EXPECT_FALSE(subject_matches("a.*", "a"));
  EXPECT_FALSE(subject_matches("a.*", "a.b.c"));
  EXPECT_TRUE(subject_matches("a.>", "a.b.c"));
  EXPECT_FALSE(subject_matches("a.>", "a"));
  EXPECT_TRUE(subject_matches(">", "a"));
  EXPECT_TRUE(subject_matches("*.b.*", "a.b.c"));
  EXPECT_FALSE(subject_matches("a", "b"));
}

TEST(subject, filters_overlap_where_one_subject_is_in_both) {
  EXPECT_TRUE(filters_overlap("a.*", "*.b"));
  EXPECT_TRUE(filters_overlap("a.>", "a.b.c"));
  EXPECT_TRUE(filters_overlap(">", "x"));
  EXPECT_FALSE(filters_overlap("a.*", "b.*"));
  EXPECT_FALSE(filters_overlap("a", "a.>"));
  EXPECT_FALSE(filters_overlap("a.*", "a.b.c"));
}

TEST(subject, reserved_subjects_are_recorded_by_name_alone) {
  EXPECT_FALSE(records_subject(">", "_INBOX.x.1"));
  EXPECT_FALSE(records_subject("*.>", "$SYS.a"));
  EXPECT_TRUE(records_subject("_INBOX.>", "_INBOX.x.1"));
  EXPECT_TRUE(records_subject("$SYS.>", "$SYS.a"));
  EXPECT_TRUE(records_subject(">", "orders.new"));
}

rc::Gen<std::string> tokens(std::vector<std::string> alphabet) {
  return rc::gen::map(rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(
                          rc::gen::elementOf(std::move(alphabet)))),
                      [](const std::vector<std::string>& parts) {
                        std::string out;
                        for (const std::string& part : parts)
                          out += (out.empty() ? "" : ".") + part;
                        return out;
                      });
}

RC_GTEST_PROP(subject, two_filters_that_match_one_subject_overlap, ()) {
  const std::string a = *tokens({"a", "b", "*"});
  const std::string b = *tokens({"a", "b", "*"});
  const std::string s = *tokens({"a", "b"});
  if (subject_matches(a, s) && subject_matches(b, s)) RC_ASSERT(filters_overlap(a, b));
  RC_ASSERT(filters_overlap(a, b) == filters_overlap(b, a));
  RC_ASSERT(subject_matches(s, s));
}

}  // namespace
}  // namespace bascule::model

// The tree of subject filters against the definition of a match.
#include "src/nats/subject_index.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "src/base/prng.h"
#include "src/model/subject.h"

namespace bascule::nats {
namespace {

using Index = SubjectIndex<int>;

std::vector<int> matches(const Index& index, std::string_view subject) {
  std::vector<int> out;
  index.match(subject, [&](int value) { out.push_back(value); });
  return out;
}

TEST(subject_index, literal_before_star_before_tail_in_order_of_insertion) {
  Index index;
  index.insert(">", 1);
  index.insert("a.*", 2);
  index.insert("a.b", 3);
  index.insert("a.>", 4);
  index.insert("a.b", 5);
  index.insert("*.b", 6);
  EXPECT_EQ(matches(index, "a.b"), (std::vector<int>{3, 5, 2, 4, 6, 1}));
  EXPECT_EQ(matches(index, "a"), (std::vector<int>{1}));
  EXPECT_EQ(matches(index, "a.b.c"), (std::vector<int>{4, 1}));
}

TEST(subject_index, removal_takes_one_value_of_one_filter) {
  Index index;
  index.insert("a.*", 1);
  index.insert("a.*", 1);
  index.insert("a.>", 1);
  EXPECT_TRUE(index.remove("a.*", 1));
  EXPECT_EQ(matches(index, "a.b"), (std::vector<int>{1, 1}));
  EXPECT_FALSE(index.remove("a.b", 1));
  EXPECT_FALSE(index.remove("a.*", 2));
  EXPECT_TRUE(index.remove("a.*", 1));
  EXPECT_TRUE(index.remove("a.>", 1));
  EXPECT_FALSE(index.remove("a.>", 1));
  EXPECT_TRUE(index.empty());
}

TEST(subject_index, the_longest_subject_is_matched_and_removed) {
  std::string filter = "*";
  std::string subject = "x";
  while (filter.size() + 2 <= 1024) {
    filter += ".*";
    subject += ".x";
  }
  Index index;
  index.insert(filter, 1);
  EXPECT_EQ(matches(index, subject).size(), 1u);
  EXPECT_TRUE(index.remove(filter, 1));
}

std::string some_filter() {
  const auto tokens = *rc::gen::nonEmpty(
      rc::gen::resize(4, rc::gen::container<std::vector<std::string>>(
                             rc::gen::element<std::string>("a", "b", "cc", "*", ">"))));
  std::string out;
  for (const std::string& token : tokens) {
    out += (out.empty() ? "" : ".") + token;
    if (token == ">") break;
  }
  return out;
}

RC_GTEST_PROP(subject_index, matches_what_the_definition_matches_through_inserts_and_removals, ()) {
  Index index;
  std::vector<std::pair<std::string, int>> model;
  const int steps = *rc::gen::inRange(0, 60);
  for (int i = 0; i < steps; ++i) {
    if (!model.empty() && *rc::gen::inRange(0, 3) == 0) {
      const size_t victim = *rc::gen::inRange<size_t>(0, model.size());
      RC_ASSERT(index.remove(model[victim].first, model[victim].second));
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(victim));
    } else {
      model.emplace_back(some_filter(), i);
      index.insert(model.back().first, i);
    }
    RC_ASSERT(index.size() == model.size());
    std::string subject = some_filter();
    for (char& c : subject) {
      if (c == '*' || c == '>') c = 'a';
    }
    std::vector<int> expected;
    for (const auto& [filter, value] : model) {
      if (model::subject_matches(filter, subject)) expected.push_back(value);
    }
    std::vector<int> got = matches(index, subject);
    std::ranges::sort(got);
    RC_ASSERT(got == expected);
  }
}

TEST(subject_index, ten_thousand_subscriptions_keep_their_matches) {
  Index index;
  std::vector<std::string> filters;
  Prng random(7);
  for (int i = 0; i < 10'000; ++i) {
    std::string filter = "svc." + std::to_string(random.below(500)) + ".";
    filter += random.chance(1, 10) ? "*" : std::to_string(random.below(20));
    if (random.chance(1, 20)) filter += ".>";
    filters.push_back(filter);
    index.insert(filter, i);
  }
  for (int round = 0; round < 200; ++round) {
    const std::string subject =
        "svc." + std::to_string(random.below(500)) + "." + std::to_string(random.below(20));
    std::vector<int> expected;
    for (int i = 0; i < 10'000; ++i) {
      if (model::subject_matches(filters[static_cast<size_t>(i)], subject)) expected.push_back(i);
    }
    std::vector<int> got = matches(index, subject);
    std::ranges::sort(got);
    ASSERT_EQ(got, expected);
  }
}

}  // namespace
}  // namespace bascule::nats

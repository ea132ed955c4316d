#include "sim/plan/plan.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "sim/campaign/isolate.h"
#include "sim/campaign/mutants.h"
#include "sim/campaign/shrink.h"
#include "sim/worlds/world.h"

namespace bascule::sim {
namespace {

TEST(Plan, is_the_same_after_print_and_parse) {
  for (const auto& world : make_worlds()) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
      const Plan plan = world->expand(seed);
      const Result<Plan> parsed = parse_plan(plan.to_text());
      ASSERT_TRUE(parsed.has_value()) << parsed.error().to_string();
      EXPECT_EQ(*parsed, plan);
    }
  }
}

TEST(Plan, a_line_that_makes_no_sense_is_named) {
  for (const char* line : {"nonsense", "op x @1us append", "op 1 @1 append", "set a=b", "op 1 @1us",
                           "fault 1 @1.5us crash", "seed 1 2"}) {
    const Result<Plan> parsed = parse_plan("plan 1\nworld files\n" + std::string(line) + "\n");
    ASSERT_FALSE(parsed.has_value()) << line;
    EXPECT_NE(parsed.error().context.find("line 3"), std::string::npos) << line;
  }
  EXPECT_FALSE(parse_plan("plan 2\nworld files\n").has_value());
  EXPECT_FALSE(parse_plan("").has_value());
}

TEST(Plan, comments_and_hand_written_times_are_read) {
  const Result<Plan> plan =
      parse_plan("# a story\nplan 1\nworld files\nend 10us\nop 1 @2us put key=1 # why\n");
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->operations.at(0).get("key"), 1);
  EXPECT_EQ(plan->operations.at(0).at, microseconds(2));
  EXPECT_EQ(plan->operations.at(0).get("absent", 7), 7);
}

// The worlds of this folder's own; others have tests of their own.
std::vector<std::unique_ptr<WorldType>> own_worlds() {
  auto worlds = make_worlds();
  std::erase_if(worlds, [](const auto& world) {
    return world->name() != "files" && world->name() != "storage";
  });
  return worlds;
}

TEST(Worlds, the_same_plan_gives_the_same_trace_and_another_seed_another) {
  for (const auto& world : own_worlds()) {
    std::set<Uuid> traces;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const Plan plan = world->expand(seed);
      const Outcome first = world->run(plan, {});
      EXPECT_EQ(first.trace, world->run(plan, {}).trace) << world->name() << " " << seed;
      traces.insert(first.trace);
    }
    EXPECT_EQ(traces.size(), 20u);
  }
}

TEST(Worlds, a_run_in_its_own_process_has_the_same_outcome) {
  for (const auto& world : own_worlds()) {
    const Plan plan = world->expand(3);
    const Outcome here = world->run(plan, {});
    const Outcome there = run_isolated(*world, plan, false);
    EXPECT_EQ(here.trace, there.trace);
    EXPECT_EQ(here.events, there.events);
    EXPECT_EQ(here.counts, there.counts);
  }
}

class DyingWorld final : public WorldType {
 public:
  std::string_view name() const override { return "dying"; }
  Plan expand(uint64_t) const override { return {}; }
  Outcome run(const Plan&, const RunOptions&) const override {
    ASSERT(false);
    return {};
  }
};

TEST(Worlds, a_failed_assertion_is_an_outcome) {
  const Outcome outcome = run_isolated(DyingWorld(), Plan{}, true);
  ASSERT_TRUE(outcome.failure.has_value());
  EXPECT_EQ(outcome.failure->oracle, "assertion");
}

// Fails exactly where operations 7 and 23 and a fault of verb "c" are all there.
bool toy_fails(const Plan& plan) {
  std::set<uint64_t> ids;
  for (const PlanItem& item : plan.operations) ids.insert(item.id);
  bool fault = false;
  for (const PlanItem& item : plan.faults) fault = fault || item.verb == "c";
  return fault && ids.contains(7) && ids.contains(23);
}

TEST(Shrink, finds_the_minimum_of_a_toy) {
  Plan plan;
  for (uint64_t i = 0; i < 100; ++i)
    plan.operations.push_back({i, microseconds(static_cast<int64_t>(i)), "op", {}});
  for (uint64_t i = 0; i < 30; ++i) {
    plan.faults.push_back({200 + i,
                           microseconds(static_cast<int64_t>(i)),
                           std::string(1, static_cast<char>('a' + i % 5)),
                           {}});
  }
  const ShrinkResult result = shrink(plan, toy_fails, 1000);
  EXPECT_TRUE(result.reproduced);
  EXPECT_TRUE(toy_fails(result.plan));
  EXPECT_EQ(result.plan.operations.size(), 2u);
  EXPECT_EQ(result.plan.faults.size(), 1u);
  EXPECT_LT(result.runs, 200u);
}

TEST(Shrink, leaves_a_clean_plan_alone) {
  const ShrinkResult result = shrink(Plan{}, toy_fails, 1000);
  EXPECT_FALSE(result.reproduced);
  EXPECT_EQ(result.runs, 1u);
}

TEST(Mutants, are_applied_where_their_text_occurs_once) {
  const Result<Mutant> mutant = parse_mutant(
      "m",
      "file = \"f\"\nold = '''a < b'''\nnew = '''a <= b'''\nworld = \"files\"\noracle = \"O1\"\n");
  ASSERT_TRUE(mutant.has_value());
  EXPECT_EQ(*apply_mutant(*mutant, "if (a < b) x;"), "if (a <= b) x;");
  EXPECT_FALSE(apply_mutant(*mutant, "if (a > b) x;").has_value());
  EXPECT_FALSE(apply_mutant(*mutant, "a < b a < b").has_value());
  EXPECT_FALSE(parse_mutant("m", "file = \"f\"\n").has_value());
  EXPECT_FALSE(parse_mutant("m", "file = ").has_value());
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Mutants, each_one_still_applies_to_the_sources) {
  const Result<std::vector<Mutant>> all = load_mutants(source_directory() + "/sim/mutants");
  ASSERT_TRUE(all.has_value()) << all.error().to_string();
  EXPECT_FALSE(all->empty());
  for (const Mutant& mutant : *all) {
    const std::string text = text_of(source_directory() + "/" + mutant.file);
    const Result<std::string> applied = apply_mutant(mutant, text);
    ASSERT_TRUE(applied.has_value()) << mutant.id << ": " << applied.error().to_string();
    EXPECT_NE(*applied, text) << mutant.id;
  }
}

TEST(Plans, what_failed_once_is_clean) {
  const auto worlds = make_worlds();
  size_t replayed = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_directory() + "/sim/plans")) {
    if (entry.path().extension() != ".plan") continue;
    const Result<Plan> plan = parse_plan(text_of(entry.path()));
    ASSERT_TRUE(plan.has_value()) << entry.path() << plan.error().to_string();
    for (const auto& world : worlds) {
      if (world->name() != plan->world) continue;
      const Outcome outcome = run_isolated(*world, *plan, false);
      EXPECT_FALSE(outcome.failure.has_value())
          << entry.path() << ": " << outcome.failure->oracle << " " << outcome.failure->text;
      ++replayed;
    }
  }
  EXPECT_GE(replayed, 3u);
}

}  // namespace
}  // namespace bascule::sim

// What every world's clock and loop keep.
#include <vector>

#include "tests/env/conformance.h"

namespace bascule::env {
namespace {

using Numbers = std::vector<int>;

TEST_P(LoopConformance, posted_tasks_run_in_order_and_not_inside_post) {
  Numbers seen;
  for (int i = 0; i < 100; ++i) loop().post([&seen, i] { seen.push_back(i); });
  EXPECT_TRUE(seen.empty());
  ASSERT_TRUE(run_until([&] { return seen.size() == 100; }));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST_P(LoopConformance, a_task_posted_by_a_task_runs_after_it_and_after_those_posted_before) {
  Numbers seen;
  loop().post([&] {
    loop().post([&] { seen.push_back(3); });
    seen.push_back(1);
  });
  loop().post([&] { seen.push_back(2); });
  ASSERT_TRUE(run_until([&] { return seen.size() == 3; }));
  EXPECT_EQ(seen, (Numbers{1, 2, 3}));
}

TEST_P(LoopConformance, no_turn_runs_inside_another) {
  int depth = 0;
  int deepest = 0;
  int turns = 0;
  const auto turn = [&] {
    deepest = std::max(deepest, ++depth);
    if (++turns < 50) {
      loop().post([&] { deepest = std::max(deepest, depth + 1); });
      loop().schedule(loop().now(), [&] { deepest = std::max(deepest, depth + 1); });
      loop().at_turn_end([&] { deepest = std::max(deepest, depth + 1); });
    }
    --depth;
  };
  for (int i = 0; i < 50; ++i) loop().post(turn);
  ASSERT_TRUE(run_until([&] { return turns == 50; }));
  run_for(milliseconds(5));
  EXPECT_EQ(deepest, 1);
}

TEST_P(LoopConformance, timers_run_in_the_order_of_their_times_and_not_before_them) {
  Numbers seen;
  const MonotonicTime start = loop().now();
  for (const int delay : {30, 10, 20, 0}) {
    const MonotonicTime at = start + milliseconds(delay);
    loop().schedule(at, [&, delay, at] {
      EXPECT_GE(loop().now(), at);
      seen.push_back(delay);
    });
  }
  EXPECT_TRUE(seen.empty());
  ASSERT_TRUE(run_until([&] { return seen.size() == 4; }));
  EXPECT_EQ(seen, (Numbers{0, 10, 20, 30}));
  EXPECT_GE(loop().now() - start, milliseconds(30));
}

TEST_P(LoopConformance, a_timer_set_later_for_an_earlier_time_runs_first) {
  Numbers seen;
  loop().after(milliseconds(40), [&] { seen.push_back(2); });
  run_for(milliseconds(1));
  loop().after(milliseconds(5), [&] { seen.push_back(1); });
  ASSERT_TRUE(run_until([&] { return seen.size() == 2; }));
  EXPECT_EQ(seen, (Numbers{1, 2}));
}

TEST_P(LoopConformance, a_time_in_the_past_runs_soon_and_not_inside_schedule) {
  bool ran = false;
  run_for(milliseconds(1));
  loop().schedule(MonotonicTime{}, [&] { ran = true; });
  EXPECT_FALSE(ran);
  EXPECT_TRUE(run_until([&] { return ran; }));
}

TEST_P(LoopConformance, a_cancelled_timer_does_not_run) {
  bool cancelled_ran = false;
  bool later_ran = false;
  const TimerId timer = loop().after(milliseconds(5), [&] { cancelled_ran = true; });
  loop().after(milliseconds(20), [&] { later_ran = true; });
  loop().cancel(timer);
  ASSERT_TRUE(run_until([&] { return later_ran; }));
  EXPECT_FALSE(cancelled_ran);
}

TEST_P(LoopConformance, a_timer_can_be_cancelled_in_the_turn_of_its_time) {
  bool ran = false;
  bool end = false;
  const MonotonicTime at = loop().now() + milliseconds(5);
  TimerId second;
  const TimerId first = loop().schedule(at, [&] {
    ran = true;
    loop().cancel(second);
  });
  second = loop().schedule(at, [&] {
    EXPECT_FALSE(ran) << "it had been cancelled";
    ran = true;
    loop().cancel(first);
  });
  loop().after(milliseconds(30), [&] { end = true; });
  ASSERT_TRUE(run_until([&] { return end; }));
  EXPECT_TRUE(ran);
}

TEST_P(LoopConformance, cancelling_a_timer_that_has_run_or_none_changes_nothing) {
  bool first = false;
  bool second = false;
  const TimerId timer = loop().after(milliseconds(1), [&] { first = true; });
  ASSERT_TRUE(run_until([&] { return first; }));
  loop().after(milliseconds(1), [&] { second = true; });
  loop().cancel(timer);
  loop().cancel(TimerId());
  EXPECT_TRUE(run_until([&] { return second; }));
}

TEST_P(LoopConformance, now_does_not_move_within_a_turn_and_never_goes_back) {
  MonotonicTime last = loop().now();
  int turns = 0;
  const auto turn = [&] {
    const MonotonicTime now = loop().now();
    const WallTime wall = loop().wall();
    volatile uint64_t work = 0;
    for (int i = 0; i < 100'000; ++i) work = work + 1;
    EXPECT_EQ(loop().now(), now);
    EXPECT_EQ(loop().wall(), wall);
    EXPECT_GE(now, last);
    last = now;
    ++turns;
  };
  for (int i = 0; i < 5; ++i) {
    loop().post(turn);
    loop().after(milliseconds(i), turn);
  }
  EXPECT_TRUE(run_until([&] { return turns == 10; }));
}

TEST_P(LoopConformance, the_turns_end_comes_after_the_tasks_that_were_ready) {
  Numbers seen;
  loop().post([&] {
    loop().at_turn_end([&] { seen.push_back(3); });
    seen.push_back(1);
  });
  loop().post([&] { seen.push_back(2); });
  ASSERT_TRUE(run_until([&] { return seen.size() == 3; }));
  EXPECT_EQ(seen, (Numbers{1, 2, 3}));
}

TEST_P(LoopConformance, the_turns_end_runs_each_task_once_in_order_and_lets_them_ask_for_more) {
  Numbers seen;
  loop().post([&] {
    loop().at_turn_end([&] {
      seen.push_back(1);
      loop().at_turn_end([&] { seen.push_back(4); });
      loop().post([&] { seen.push_back(3); });
    });
    loop().at_turn_end([&] { seen.push_back(2); });
  });
  ASSERT_TRUE(run_until([&] { return seen.size() == 4; }));
  run_for(milliseconds(2));
  EXPECT_EQ(seen, (Numbers{1, 2, 3, 4}));
}

TEST_P(LoopConformance, work_that_never_ceases_does_not_hold_up_the_turns_end) {
  bool ended = false;
  std::function<void()> again = [&] {
    if (!ended) loop().post([&] { again(); });
  };
  loop().post([&] {
    loop().at_turn_end([&] { ended = true; });
    again();
  });
  EXPECT_TRUE(run_until([&] { return ended; }));
}

TEST_P(LoopConformance, what_a_scope_has_wrapped_does_nothing_once_it_is_gone) {
  bool ran = false;
  bool end = false;
  {
    const Scope scope;
    loop().post(scope.wrap([&] { ran = true; }));
  }
  loop().post([&] { end = true; });
  ASSERT_TRUE(run_until([&] { return end; }));
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace bascule::env

#include "io/asio_loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "src/base/result.h"

namespace bascule::io {
namespace {

TEST(asio_loop, runs_until_it_is_stopped_and_can_be_run_again) {
  AsioLoop loop;
  int runs = 0;
  for (int i = 0; i < 2; ++i) {
    loop.after(milliseconds(1), [&] {
      ++runs;
      loop.stop();
    });
    loop.run();
  }
  EXPECT_EQ(runs, 2);
}

TEST(asio_loop, a_predicate_that_never_holds_ends_with_its_limit) {
  AsioLoop loop;
  EXPECT_FALSE(loop.run_until([] { return false; }, milliseconds(20)));
  EXPECT_TRUE(loop.run_until([] { return true; }, milliseconds(20)));
}

TEST(asio_loop, tasks_of_other_threads_run_on_the_loops_thread_in_each_threads_order) {
  AsioLoop loop;
  constexpr int k_threads = 4;
  constexpr int k_tasks = 2'000;
  int last[k_threads] = {};
  int ran = 0;
  bool right = true;
  const std::thread::id self = std::this_thread::get_id();
  std::vector<std::thread> threads;
  for (int t = 0; t < k_threads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 1; i <= k_tasks; ++i) {
        loop.post_from_any_thread([&, t, i] {
          right = right && std::this_thread::get_id() == self && last[t] == i - 1;
          last[t] = i;
          ++ran;
        });
      }
    });
  }
  EXPECT_TRUE(loop.run_until([&] { return ran == k_threads * k_tasks; }, seconds(20)));
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(right);
}

TEST(asio_loop, a_task_of_another_thread_wakes_a_loop_that_waits) {
  AsioLoop loop;
  bool ran = false;
  std::thread thread;
  // Started in a turn, so that the loop is on its way into its wait.
  loop.post([&] { thread = std::thread([&] { loop.post_from_any_thread([&] { ran = true; }); }); });
  EXPECT_TRUE(loop.run_until([&] { return ran; }, seconds(20)));
  thread.join();
}

TEST(asio_loop, what_has_not_run_is_destroyed_with_the_loop_and_may_still_use_it) {
  struct PostsAtItsEnd {
    explicit PostsAtItsEnd(env::Loop& l, int& c) : loop(l), count(c) {}
    ~PostsAtItsEnd() {
      ++count;
      loop.post([] {});
      loop.cancel(loop.after(seconds(1), [] {}));
    }
    env::Loop& loop;
    int& count;
  };
  int destroyed = 0;
  {
    AsioLoop loop;
    loop.post([o = std::make_unique<PostsAtItsEnd>(loop, destroyed)] {});
    loop.after(seconds(100), [o = std::make_unique<PostsAtItsEnd>(loop, destroyed)] {});
    loop.at_turn_end([o = std::make_unique<PostsAtItsEnd>(loop, destroyed)] {});
    loop.post_from_any_thread([o = std::make_unique<PostsAtItsEnd>(loop, destroyed)] {});
  }
  EXPECT_EQ(destroyed, 4);
}

TEST(asio_loop_death, fail_stop_says_why_and_ends_the_process_with_a_status_of_its_own) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        AsioLoop loop;
        loop.post([&] { loop.fail_stop({Errc::io_error, "sync: medium error"}); });
        loop.run();
      },
      testing::ExitedWithCode(k_fail_stop_status), "io_error.*sync: medium error");
}

}  // namespace
}  // namespace bascule::io

#include "io/worker_pool.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace bascule::io {
namespace {

TEST(worker_pool, one_thread_runs_jobs_in_their_order_and_the_loop_gets_the_results) {
  AsioLoop loop;
  WorkerPool pool(loop, 1);
  const std::thread::id self = std::this_thread::get_id();
  int last = 0;  // the worker's
  std::vector<int> results;
  for (int i = 1; i <= 100; ++i) {
    pool.call<int>(
        [&last, i, self]() -> Result<int> {
          if (std::this_thread::get_id() == self || last != i - 1) return fail(Errc::internal);
          last = i;
          return i;
        },
        [&, self](Result<int> r) {
          EXPECT_EQ(std::this_thread::get_id(), self);
          results.push_back(r ? *r : -1);
        });
  }
  EXPECT_TRUE(results.empty());
  ASSERT_TRUE(loop.run_until([&] { return results.size() == 100; }, seconds(20)));
  for (int i = 1; i <= 100; ++i) EXPECT_EQ(results[static_cast<size_t>(i - 1)], i);
}

TEST(worker_pool, several_threads_work_at_once) {
  AsioLoop loop;
  WorkerPool pool(loop, 2);
  std::mutex mutex;
  std::condition_variable met;
  int there = 0;
  int done = 0;
  for (int i = 0; i < 2; ++i) {
    // Each waits for the other: with one thread neither would end.
    pool.call<void>(
        [&]() -> Status {
          std::unique_lock lock(mutex);
          ++there;
          met.notify_all();
          met.wait(lock, [&] { return there == 2; });
          return {};
        },
        [&](Status) { ++done; });
  }
  EXPECT_TRUE(loop.run_until([&] { return done == 2; }, seconds(20)));
}

TEST(worker_pool, a_destroyed_pool_has_finished_what_was_at_work_and_calls_nobody) {
  AsioLoop loop;
  std::mutex mutex;
  std::condition_variable started;
  bool at_work = false;
  bool worked = false;
  bool called = false;
  auto held = std::make_shared<int>(0);
  {
    WorkerPool pool(loop, 1);
    pool.call<void>(
        [&]() -> Status {
          {
            const std::lock_guard lock(mutex);
            at_work = true;
          }
          started.notify_all();
          worked = true;
          return {};
        },
        [&called, held](Status) { called = true; });
    pool.call<void>([]() -> Status { return {}; }, [&called, held](Status) { called = true; });
    std::unique_lock lock(mutex);
    started.wait(lock, [&] { return at_work; });
  }
  EXPECT_TRUE(worked);
  loop.run_until([] { return false; }, milliseconds(10));
  EXPECT_FALSE(called);
  EXPECT_EQ(held.use_count(), 1) << "the completions are gone";
}

}  // namespace
}  // namespace bascule::io

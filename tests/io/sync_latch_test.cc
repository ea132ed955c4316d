#include "io/sync_latch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace bascule::io {
namespace {

TEST(sync_latch, a_sync_after_a_failed_one_is_not_tried_and_fails_like_it) {
  SyncLatch latch;
  int tried = 0;
  const auto works = [&]() -> Status {
    ++tried;
    return {};
  };
  EXPECT_TRUE(latch.run(works));
  EXPECT_TRUE(latch.run(works));
  const Status failed = latch.run([]() -> Status { return fail(Errc::io_error, "the medium"); });
  ASSERT_FALSE(failed);
  for (int i = 0; i < 3; ++i) {
    const Status later = latch.run(works);
    ASSERT_FALSE(later) << "the system would have said yes: it has told its error already";
    EXPECT_EQ(later.error().code, Errc::io_error);
    EXPECT_EQ(later.error().context, "the medium");
  }
  EXPECT_EQ(tried, 2);
}

TEST(sync_latch, of_many_threads_none_succeeds_after_one_has_failed) {
  for (int round = 0; round < 50; ++round) {
    SyncLatch latch;
    std::atomic<int> inside{0};
    std::atomic<int> tried{0};
    std::atomic<int> succeeded{0};
    std::atomic<bool> overlapped{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 5; ++i) {
          const Status status = latch.run([&]() -> Status {
            if (++inside > 1) overlapped = true;
            const bool bad = ++tried == 8;
            std::this_thread::yield();
            --inside;
            if (bad) return fail(Errc::io_error);
            return {};
          });
          if (status) ++succeeded;
        }
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_FALSE(overlapped);
    EXPECT_EQ(tried, 8);
    EXPECT_EQ(succeeded, 7);
  }
}

}  // namespace
}  // namespace bascule::io

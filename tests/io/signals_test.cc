#include "io/signals.h"

#include <gtest/gtest.h>

#include <csignal>
#include <vector>

namespace bascule::io {
namespace {

TEST(signals, arrive_as_turns_of_the_loop) {
  AsioLoop loop;
  std::vector<Signal> seen;
  Signals signals(loop, [&](Signal s) { seen.push_back(s); });
  for (const int number : {SIGHUP, SIGTERM, SIGINT, SIGHUP}) {
    const size_t before = seen.size();
    ASSERT_EQ(std::raise(number), 0);
    EXPECT_EQ(seen.size(), before) << "inside the signal handler";
    ASSERT_TRUE(loop.run_until([&] { return seen.size() > before; }, seconds(20)));
  }
  EXPECT_EQ(seen,
            (std::vector{Signal::hangup, Signal::terminate, Signal::interrupt, Signal::hangup}));
}

TEST(signals, a_handler_may_end_its_own_object) {
  AsioLoop loop;
  std::unique_ptr<Signals> signals;
  int count = 0;
  signals = std::make_unique<Signals>(loop, [&](Signal) {
    ++count;
    signals.reset();
  });
  ASSERT_EQ(std::raise(SIGHUP), 0);
  ASSERT_TRUE(loop.run_until([&] { return count > 0; }, seconds(20)));
  EXPECT_FALSE(signals);
}

}  // namespace
}  // namespace bascule::io

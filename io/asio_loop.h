// env::Loop of production, on one asio::io_context. All but `post_from_any_thread` belongs to the thread
// that runs the loop.
//
// A burst, the unit of waiting: completions and timers that are ready, the tasks that these post, then the
// tasks of at_turn_end, then the loop waits. A task that always posts another cannot hold up the burst's
// end: after a bound it comes anyway, and the rest runs in the next burst.
//
// asio stays out of this header (it costs seconds to parse): other .cc files of io/ reach the io_context
// by io/asio_access.h.
#pragma once

#include <functional>
#include <memory>

#include "src/env/loop.h"

namespace bascule::io {

// Exit status of a process that fail_stop has ended: a supervisor can tell it from a crash.
inline constexpr int k_fail_stop_status = 70;

class AsioLoop final : public env::Loop {
 public:
  AsioLoop();
  // Drops what has not run. Whatever acts through the loop (disk, network) goes before it.
  ~AsioLoop() override;

  MonotonicTime now() const override;
  WallTime wall() const override;
  void post(env::Task task) override;
  env::TimerId schedule(MonotonicTime at, env::Task task) override;
  void cancel(env::TimerId timer) override;
  void at_turn_end(env::Task task) override;
  [[noreturn]] void fail_stop(const Error& why) override;

  // Runs turns until `stop`, which is called in a turn. May be run again afterwards.
  void run();
  void stop();
  // Runs turns until `predicate` holds, which is asked between bursts, or until `limit` has passed:
  // false then. For tests, and for programs that make one request and end.
  bool run_until(const std::function<bool()>& predicate, Duration limit);

  // The one way in from another thread: `task` is destroyed on the loop's thread. Many tasks of one
  // moment cost one wake. The caller sees to it that the loop outlives the call.
  void post_from_any_thread(env::Task task);

 private:
  friend struct AsioAccess;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bascule::io

// The clock and the event loop of one process, as the broker sees them.
//
// One thread runs everything. A *turn* is the run of one task (a posted function, a timer, an I/O
// completion); `now()` does not move within a turn. Completions and tasks are never called from inside
// the call that started them, so a caller's invariants hold when they run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"

namespace bascule::env {

using Task = std::move_only_function<void()>;
// Completion of an asynchronous operation: called exactly once, in a later turn.
template <class T>
using Done = std::move_only_function<void(Result<T>)>;

using TimerId = StrongId<struct TimerIdTag>;  // 0: none

class Loop {
 public:
  virtual ~Loop() = default;

  // Never goes back; constant within a turn.
  virtual MonotonicTime now() const = 0;
  // Wall clock; may jump either way between turns. Never used for safety or ordering by itself.
  virtual WallTime wall() const = 0;

  // Runs `task` in a later turn; posted tasks run in the order of their posting.
  virtual void post(Task task) = 0;
  // Runs `task` in the first turn at or after `at`. One-shot. Timers of equal time run in any order.
  virtual TimerId schedule(MonotonicTime at, Task task) = 0;
  TimerId after(Duration delay, Task task) { return schedule(now() + delay, std::move(task)); }
  // The task will not run. A timer that has run, or 0, is ignored.
  virtual void cancel(TimerId timer) = 0;
  // Runs `task` once, at the end of this turn's burst: after the tasks and completions that are ready
  // now, before the loop waits. This is where writes gathered in a turn are submitted as one.
  virtual void at_turn_end(Task task) = 0;

  // Ends the process because it can no longer keep its promises (a failed sync, EIO on a log write).
  // In production this does not return. In the simulator it returns, the process is dead from this
  // moment (nothing it does has an effect any more), and no further turn of it runs: a caller
  // returns at once.
  virtual void fail_stop(const Error& why) = 0;
};

// Cuts the ties between an object and the tasks that capture it: a function wrapped by a Scope does
// nothing once the Scope is gone. Make it the last member, so that it goes first.
class Scope {
 public:
  Scope() : alive_(std::make_shared<bool>(true)) {}
  ~Scope() { *alive_ = false; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  template <class F>
  auto wrap(F f) const {
    return [alive = alive_, f = std::move(f)](auto&&... args) mutable {
      if (*alive) f(std::forward<decltype(args)>(args)...);
    };
  }

 private:
  std::shared_ptr<bool> alive_;
};

}  // namespace bascule::env

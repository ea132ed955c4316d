// A completion that is answered in time, whatever becomes of the operation that owes it.
#pragma once

#include <memory>
#include <utility>

#include "src/env/loop.h"

namespace bascule::broker {

// Gives what to complete in the place of `done`: that gets the first of the operation's result and, at the
// deadline, `late`. The scope ends the timer; it lives as long as `loop` is used by whoever completes.
template <class T>
env::Done<T> answered_by(env::Loop& loop, const env::Scope& scope, MonotonicTime deadline,
                         Error late, env::Done<T> done) {
  if (deadline == MonotonicTime::never()) return done;
  struct Once {
    env::Done<T> done;
    env::TimerId timer;
  };
  auto once = std::make_shared<Once>(std::move(done), env::TimerId{});
  once->timer = loop.schedule(deadline, scope.wrap([once, late = std::move(late)]() mutable {
    if (auto waits = std::exchange(once->done, nullptr)) waits(fail(std::move(late)));
  }));
  return [&loop, once](Result<T> result) {
    if (!once->done) return;
    loop.cancel(once->timer);
    std::exchange(once->done, nullptr)(std::move(result));
  };
}

}  // namespace bascule::broker

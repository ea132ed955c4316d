// The pause before something is tried again: doubles from the first to the last, with jitter so that
// clients that failed together do not come back together.
#pragma once

#include <algorithm>

#include "src/base/prng.h"
#include "src/base/time.h"

namespace bascule::client {

class Backoff {
 public:
  Backoff(Prng& random, Duration first, Duration last)
      : random_(random), first_(first), last_(last), pause_(first) {}

  // In [pause / 2, pause].
  Duration next() {
    const Duration pause = pause_;
    pause_ = std::min(last_, pause * 2);
    return random_.between(pause / 2, pause);
  }
  void reset() { pause_ = first_; }

 private:
  Prng& random_;
  Duration first_;
  Duration last_;
  Duration pause_;
};

}  // namespace bascule::client

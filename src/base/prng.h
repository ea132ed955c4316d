// A seeded pseudo-random generator (xoshiro256**, Blackman and Vigna 2018) and the mixing functions
// around it. Integers only: the same seed gives the same draws on every compiler and machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "src/base/assert.h"
#include "src/base/ids.h"
#include "src/base/time.h"

namespace bascule {

// SplitMix64's finalizer: a bijection whose every output bit depends on every input bit.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

class Prng {
 public:
  explicit Prng(uint64_t seed);

  uint64_t next();
  // Uniform in [0, bound), without bias. Requires bound > 0.
  uint64_t below(uint64_t bound);
  // Uniform in [low, high]. Requires low <= high.
  uint64_t between(uint64_t low, uint64_t high);
  // True `numerator` times in `denominator`.
  bool chance(uint64_t numerator, uint64_t denominator) { return below(denominator) < numerator; }
  Duration between(Duration low, Duration high) {
    REQUIRE(low <= high, low.ns, high.ns);
    return {low.ns + static_cast<int64_t>(between(0, static_cast<uint64_t>(high.ns - low.ns)))};
  }
  Uuid uuid() {
    const uint64_t first = next();
    return Uuid{{first, next()}};
  }
  // Fisher–Yates.
  template <class Container>
  void shuffle(Container& items) {
    for (size_t i = items.size(); i > 1; --i) {
      using std::swap;
      swap(items[i - 1], items[static_cast<size_t>(below(i))]);
    }
  }

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace bascule

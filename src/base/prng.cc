#include "src/base/prng.h"

#include <bit>

namespace bascule {

Prng::Prng(uint64_t seed) {
  for (uint64_t& word : state_) word = seed = mix64(seed);
}

uint64_t Prng::next() {
  const uint64_t out = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return out;
}

uint64_t Prng::below(uint64_t bound) {
  REQUIRE(bound > 0);
  // Lemire 2019: multiply, and reject the few draws that would make low values likelier.
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(next()) * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = (0 - bound) % bound;
    while (static_cast<uint64_t>(product) < threshold) product = static_cast<Wide>(next()) * bound;
  }
  return static_cast<uint64_t>(product >> 64);
}

uint64_t Prng::between(uint64_t low, uint64_t high) {
  REQUIRE(low <= high, low, high);
  const uint64_t span = high - low;
  return span == UINT64_MAX ? next() : low + below(span + 1);
}

}  // namespace bascule

// A rolling 128-bit hash over everything that happens in a simulation: two runs that differ anywhere
// differ here. Also keeps a short history of its values, by which a mismatch is bisected.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>

#include "src/base/bytes.h"
#include "src/base/crc32c.h"
#include "src/base/ids.h"
#include "src/base/prng.h"

namespace bascule::sim {

class TraceHash {
 public:
  void add(uint64_t value) {
    low_ = (std::rotl(low_, 27) ^ value) * 0x9fb21c651e98df25;
    high_ = std::rotl(high_ + (value ^ 0xc2b2ae3d27d4eb4f), 31) * 0x9e3779b97f4a7c15;
  }
  void add(uint64_t a, uint64_t b) {
    add(a);
    add(b);
  }
  void add_bytes(ByteView bytes) { add(bytes.size(), crc32c(bytes)); }

  Uuid value() const { return Uuid{{mix64(low_), mix64(high_ ^ low_)}}; }

 private:
  uint64_t low_ = 0x243f6a8885a308d3;
  uint64_t high_ = 0x13198a2e03707344;
};

}  // namespace bascule::sim

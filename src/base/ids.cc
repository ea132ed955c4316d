#include "src/base/ids.h"

namespace bascule {

std::string Uuid::to_string() const {
  static constexpr char k_digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(32);
  for (uint64_t word : words) {
    for (int shift = 60; shift >= 0; shift -= 4) out += k_digits[(word >> shift) & 15];
  }
  return out;
}

}  // namespace bascule

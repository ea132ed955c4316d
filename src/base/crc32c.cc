#include "src/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <climits>

namespace bascule {

uint32_t crc32c(ByteView bytes, uint32_t crc) {
  uint32_t state = ~crc;
  // ISA-L takes an int length and a pointer that it does not write through.
  while (!bytes.empty()) {
    const size_t step = std::min<size_t>(bytes.size(), INT_MAX);
    state = crc32_iscsi(const_cast<unsigned char*>(bytes.data()), static_cast<int>(step), state);
    bytes = bytes.subspan(step);
  }
  return ~state;
}

}  // namespace bascule

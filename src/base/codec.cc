#include "src/base/codec.h"

#include <bit>

namespace bascule {

static_assert(std::endian::native == std::endian::little,
              "formats are little-endian and are read without swapping");

void Writer::varint(uint64_t n) {
  uint8_t buffer[k_varint_bytes_max];
  size_t size = 0;
  while (n >= 0x80) {
    buffer[size++] = static_cast<uint8_t>(n) | 0x80;
    n >>= 7;
  }
  buffer[size++] = static_cast<uint8_t>(n);
  raw({buffer, size});
}

uint64_t Reader::varint() {
  uint64_t value = 0;
  for (size_t i = 0; i < k_varint_bytes_max; ++i) {
    if (i >= in_.size()) break;
    const uint8_t byte = in_[i];
    // The tenth byte holds bit 63 alone.
    if (i == k_varint_bytes_max - 1 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) == 0) {
      in_ = in_.subspan(i + 1);
      return value;
    }
  }
  set_failed();
  return 0;
}

ByteView Reader::raw(size_t size) {
  if (in_.size() < size) return set_failed(), ByteView{};
  ByteView out = in_.first(size);
  in_ = in_.subspan(size);
  return out;
}

ByteView Reader::raw_checked(uint64_t size) {
  if (size > in_.size()) return set_failed(), ByteView{};
  return raw(static_cast<size_t>(size));
}

Status Reader::finish(std::string_view what) const {
  if (failed_) return fail(Errc::invalid, std::string(what) + ": ends early or is malformed");
  if (!in_.empty()) return fail(Errc::invalid, std::string(what) + ": trailing bytes");
  return {};
}

}  // namespace bascule

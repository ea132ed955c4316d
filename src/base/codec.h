// Checked little-endian reading and writing of bytes, with varints (LEB128, zigzag for signed).
//
// `Reader` never reads past its end: the first short or malformed read makes it `failed()`, and from
// then on it gives zeros and empty views, so a decoder checks once, at its end. Foreign bytes are
// never asserted. `Writer` appends to a byte vector that it does not own.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "src/base/bytes.h"
#include "src/base/result.h"

namespace bascule {

inline constexpr size_t k_varint_bytes_max = 10;

// Fixed-width little-endian access at a place that the caller has bounded.
template <class T>
T load_le(const uint8_t* at) {
  static_assert(std::is_integral_v<T>);
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;  // the supported machines are little-endian; checked in codec.cc
}
template <class T>
void store_le(uint8_t* at, T value) {
  static_assert(std::is_integral_v<T>);
  std::memcpy(at, &value, sizeof(T));
}

constexpr uint64_t zigzag(int64_t n) {
  return (static_cast<uint64_t>(n) << 1) ^ static_cast<uint64_t>(n >> 63);
}
constexpr int64_t unzigzag(uint64_t n) {
  return static_cast<int64_t>(n >> 1) ^ -static_cast<int64_t>(n & 1);
}
// Number of bytes that `n` takes as a varint: 1 to 10.
constexpr size_t varint_size(uint64_t n) {
  size_t size = 1;
  while (n >= 0x80) {
    n >>= 7;
    ++size;
  }
  return size;
}

class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  template <class T>
  void fixed(T value) {
    static_assert(std::is_integral_v<T>);
    const size_t at = out_.size();
    out_.resize(at + sizeof(T));
    store_le(out_.data() + at, value);
  }
  void varint(uint64_t n);
  void signed_varint(int64_t n) { varint(zigzag(n)); }
  void raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  // Length as a varint, then the bytes.
  void sized(ByteView bytes) {
    varint(bytes.size());
    raw(bytes);
  }
  void sized(std::string_view text) { sized(as_bytes(text)); }
  size_t size() const { return out_.size(); }

 private:
  Bytes& out_;
};

class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}

  template <class T>
  T fixed() {
    static_assert(std::is_integral_v<T>);
    if (in_.size() < sizeof(T)) return set_failed(), T{};
    T value = load_le<T>(in_.data());
    in_ = in_.subspan(sizeof(T));
    return value;
  }
  uint64_t varint();
  int64_t signed_varint() { return unzigzag(varint()); }
  ByteView raw(size_t size);
  ByteView sized() { return raw_checked(varint()); }
  std::string_view sized_text() { return as_text(sized()); }

  bool failed() const { return failed_; }
  size_t remaining() const { return in_.size(); }
  // Everything was read and nothing failed; else an `invalid` error that names `what`.
  Status finish(std::string_view what) const;

 private:
  ByteView raw_checked(uint64_t size);
  void set_failed() {
    failed_ = true;
    in_ = {};
  }

  ByteView in_;
  bool failed_ = false;
};

}  // namespace bascule

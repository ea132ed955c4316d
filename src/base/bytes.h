// Bytes: views, and reference-counted immutable buffers that are shared without copies.
//
// A Buffer is filled by one owner (`MutableBuffer`), then frozen into `BufferRef`s and `Slice`s that
// any number of holders keep alive. Counts are not atomic: a buffer belongs to one loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/assert.h"

namespace bascule {

using ByteView = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;
using Bytes = std::vector<uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::string to_string(ByteView bytes) { return std::string(as_text(bytes)); }
inline Bytes to_bytes(ByteView bytes) { return Bytes(bytes.begin(), bytes.end()); }
bool equal(ByteView a, ByteView b);

// Shares one allocation of `size()` bytes, aligned as asked. Copying shares; bytes are written through
// `mutable_bytes()` only while the caller holds the only reference.
class BufferRef {
 public:
  BufferRef() = default;
  // `alignment`: a power of two; 4096 makes the buffer fit for direct I/O. Contents are not set.
  static BufferRef allocate(size_t size, size_t alignment = 16);
  static BufferRef copy_of(ByteView bytes);

  BufferRef(const BufferRef& other) : block_(other.block_) { retain(); }
  BufferRef(BufferRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BufferRef& operator=(BufferRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BufferRef() { release(); }

  explicit operator bool() const { return block_ != nullptr; }
  size_t size() const { return block_ ? block_->size : 0; }
  const uint8_t* data() const { return block_ ? block_->data() : nullptr; }
  ByteView view() const { return {data(), size()}; }
  // Requires that nobody else holds the buffer.
  MutableBytes mutable_bytes();
  bool unique() const { return block_ && block_->references == 1; }

 private:
  struct Block {
    size_t references;
    size_t size;
    size_t alignment;
    size_t data_offset;
    const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(this) + data_offset; }
    uint8_t* data() { return reinterpret_cast<uint8_t*>(this) + data_offset; }
  };

  void retain() const {
    if (block_) ++block_->references;
  }
  void release() noexcept {
    if (block_ && --block_->references == 0) free_block(block_);
    block_ = nullptr;
  }
  static void free_block(Block* block) noexcept;

  Block* block_ = nullptr;
};

// A range of a shared buffer. Cheap to copy; keeps the whole buffer alive.
class Slice {
 public:
  Slice() = default;
  Slice(BufferRef buffer) : buffer_(std::move(buffer)), size_(buffer_.size()) {}  // NOLINT: whole
  Slice(BufferRef buffer, size_t offset, size_t size)
      : buffer_(std::move(buffer)), offset_(offset), size_(size) {
    REQUIRE(offset <= buffer_.size() && size <= buffer_.size() - offset, offset, size,
            buffer_.size());
  }
  static Slice copy_of(ByteView bytes) { return Slice(BufferRef::copy_of(bytes)); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const uint8_t* data() const { return buffer_ ? buffer_.data() + offset_ : nullptr; }
  ByteView view() const { return {data(), size_}; }
  operator ByteView() const { return view(); }  // NOLINT: a slice is a view that owns
  Slice sub(size_t offset, size_t size) const {
    REQUIRE(offset <= size_ && size <= size_ - offset, offset, size, size_);
    return Slice(buffer_, offset_ + offset, size);
  }

 private:
  BufferRef buffer_;
  size_t offset_ = 0;
  size_t size_ = 0;
};

}  // namespace bascule

// The pieces of a vectored write, and what is left of them after a short one.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <vector>

#include "src/base/bytes.h"

namespace bascule::io {

// Points into the pieces, which live longer. Made on the loop's thread; may be used on another.
class Iovecs {
 public:
  static constexpr size_t k_count_max = 1024;  // IOV_MAX of Linux

  explicit Iovecs(const std::vector<Slice>& pieces) {
    vectors_.reserve(pieces.size());
    for (const Slice& piece : pieces) {
      if (piece.empty()) continue;
      vectors_.push_back({const_cast<uint8_t*>(piece.data()), piece.size()});
      left_ += piece.size();
    }
  }

  // What one system call takes: at most k_count_max pieces.
  const iovec* data() const { return vectors_.data() + first_; }
  unsigned count() const {
    return static_cast<unsigned>(std::min(vectors_.size() - first_, k_count_max));
  }
  size_t bytes_left() const { return left_; }
  bool empty() const { return left_ == 0; }

  // Requires bytes <= bytes_left().
  void advance(size_t bytes) {
    REQUIRE(bytes <= left_, bytes, left_);
    left_ -= bytes;
    while (bytes > 0) {
      iovec& front = vectors_[first_];
      const size_t step = std::min(bytes, front.iov_len);
      front.iov_base = static_cast<uint8_t*>(front.iov_base) + step;
      front.iov_len -= step;
      bytes -= step;
      if (front.iov_len == 0) ++first_;
    }
  }

 private:
  std::vector<iovec> vectors_;
  size_t first_ = 0;
  size_t left_ = 0;
};

}  // namespace bascule::io

// Bytes on their way to one client, gathered during a turn and handed to its stream as few pieces: small
// ones copied next to each other, large payloads by reference.
#pragma once

#include <string_view>
#include <vector>

#include "src/base/bytes.h"

namespace bascule::nats {

class Output {
 public:
  void append(ByteView bytes);
  void append(std::string_view text) { append(as_bytes(text)); }
  // Room for at most `size` bytes in one piece, which commit() then appends.
  static constexpr size_t k_claim_bytes_max = 2048;
  char* claim(size_t size);
  void commit(size_t size);
  // `bytes` lie in `buffer`, which is not written to any more.
  void append_shared(const BufferRef& buffer, ByteView bytes);

  size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  // Everything appended so far, in order; the output is empty afterwards.
  std::vector<Slice> take();

 private:
  void begin_chunk();
  void end_chunk();
  void seal();

  std::vector<Slice> pieces_;
  BufferRef chunk_;  // being filled; only we hold it
  size_t chunk_used_ = 0;
  size_t chunk_bytes_ = 2048;  // size of the next chunk: follows what a turn needs
  size_t bytes_ = 0;
};

}  // namespace bascule::nats

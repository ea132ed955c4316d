// Raft's messages as bytes on a simulated stream: a frame is length, CRC-32C of the length (else a
// flipped bit there makes a reader wait for ever), CRC-32C of the message, and the message, little-endian.
// A format of this world alone; it exists so that splits, resets and flipped bits meet real bytes.
#pragma once

#include <optional>

#include "src/base/result.h"
#include "src/raft/message.h"

namespace bascule::sim {

inline constexpr size_t k_raft_frame_head_bytes = 12;
inline constexpr size_t k_raft_frame_bytes_max = 32 << 20;

// The whole frame.
Slice encode_raft_frame(const raft::Message& message);
// `body` is what follows a frame's head. `invalid`: it is no message.
Result<raft::Message> decode_raft_message(ByteView body);

// For people: "append 7+3 commit 6".
std::string describe(const raft::Message& message);

// Gathers bytes of one stream and gives its frames.
class RaftFrameReader {
 public:
  void add(ByteView bytes) { buffer_.insert(buffer_.end(), bytes.begin(), bytes.end()); }
  // The next whole message; none: more bytes are needed. `corrupt`, `too_large`, `invalid`: the stream is of
  // no use any more.
  Result<std::optional<raft::Message>> next();

 private:
  Bytes buffer_;
  size_t at_ = 0;  // of the next frame
};

}  // namespace bascule::sim

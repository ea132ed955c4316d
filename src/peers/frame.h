// A frame, the unit of what brokers send each other: a small body (Cap'n Proto, by kind) and raw
// attachments (batches, log entries, chunks of a snapshot). FORMAT.md has the bytes.
//
// Out: attachments leave by reference; only small ones are copied together. In: header first, judged
// before memory is taken, then body and attachments straight into one buffer, of which they are slices.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/peers/options.h"

namespace bascule::peers {

// Numbers travel and are never reused.
enum class FrameKind : uint8_t {
  handshake = 1,  // Hello, Challenge, Proof, Welcome, Refusal
  ping = 2,       // nothing: something was to be heard
  call = 3,       // Request, Response, Notice
  raft = 4,
};

struct Frame {
  FrameKind kind = FrameKind::ping;
  Slice body;
  std::vector<Slice> attachments;
};

inline constexpr size_t k_frame_header_bytes = 32;
inline constexpr uint32_t k_frame_magic = 0x46504342;  // "BCPF"
inline constexpr uint8_t k_frame_version = 1;

struct FrameHeader {
  uint8_t version = k_frame_version;
  FrameKind kind = FrameKind::ping;
  uint32_t body_bytes = 0;
  uint32_t attachments = 0;
  uint32_t payload_bytes = 0;  // body, lengths and attachments
  uint32_t payload_crc = 0;

  bool operator==(const FrameHeader&) const = default;
};

// `bytes` has k_frame_header_bytes. Errors: `corrupt`; `unsupported`: another version, or a kind or flag of
// a later one. `payload_max`: what the other side may send by now.
Result<FrameHeader> decode_frame_header(ByteView bytes, size_t payload_max);

// The frame as pieces of bytes to write in order. `too_large`: beyond k_payload_bytes_max or
// k_attachments_max.
Result<std::vector<Slice>> encode_frame(const Frame& frame);
size_t total_bytes(const std::vector<Slice>& pieces);

// Turns bytes as they come into frames. `into` says where the next bytes go; after an error it is of no
// more use.
class FrameReader {
 public:
  explicit FrameReader(size_t payload_max) : payload_max_(payload_max) {}

  // Later frames may be this large.
  void allow(size_t payload_max) { payload_max_ = payload_max; }
  // Never empty.
  MutableBytes into();
  // `n` bytes were put there.
  void filled(size_t n);
  // The next complete frame, if there is one. Errors: as decode_frame_header; `corrupt`.
  Result<std::optional<Frame>> next();
  // The end of the stream would cut a frame.
  bool in_frame() const { return begin_ != end_ || header_; }

 private:
  Result<std::optional<Frame>> finish();
  void take_from_buffer();

  size_t payload_max_;
  BufferRef buffer_;  // small frames come many to a read; bytes to look at are [begin_, end_)
  size_t begin_ = 0;
  size_t end_ = 0;
  std::optional<FrameHeader> header_;  // of the frame whose payload is being read
  BufferRef payload_;
  size_t payload_filled_ = 0;
};

}  // namespace bascule::peers

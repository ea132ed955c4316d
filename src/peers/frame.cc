#include "src/peers/frame.h"

#include <algorithm>
#include <string>

#include "src/base/codec.h"
#include "src/base/crc32c.h"
#include "src/env/tls.h"

namespace bascule::peers {
namespace {

constexpr size_t k_read_buffer_bytes = 64 << 10;
// A shorter attachment is copied: a piece of its own would cost more than its bytes.
constexpr size_t k_copied_bytes_max = 512;

std::unexpected<Error> corrupt(std::string why) {
  return fail(Errc::corrupt, "frame: " + std::move(why));
}

// Told at the first byte: who speaks something else may never send as much as a header.
std::unexpected<Error> no_broker(uint8_t first) {
  return corrupt(first == env::k_tls_alert_byte || first == env::k_tls_handshake_byte
                     ? "the other side speaks TLS, and this broker does not"
                     : "this is no broker: bad magic");
}

bool known(uint8_t kind) {
  switch (static_cast<FrameKind>(kind)) {
    case FrameKind::handshake:
    case FrameKind::ping:
    case FrameKind::call:
    case FrameKind::raft: return true;
  }
  return false;
}

void encode_header(const FrameHeader& header, uint8_t* out) {
  store_le<uint32_t>(out, k_frame_magic);
  store_le<uint8_t>(out + 4, header.version);
  store_le<uint8_t>(out + 5, static_cast<uint8_t>(header.kind));
  store_le<uint16_t>(out + 6, 0);  // flags
  store_le<uint32_t>(out + 8, header.body_bytes);
  store_le<uint32_t>(out + 12, header.attachments);
  store_le<uint32_t>(out + 16, header.payload_bytes);
  store_le<uint32_t>(out + 20, header.payload_crc);
  store_le<uint32_t>(out + 24, 0);  // reserved
  store_le<uint32_t>(out + 28, crc32c({out, 28}));
}

}  // namespace

Result<FrameHeader> decode_frame_header(ByteView bytes, size_t payload_max) {
  REQUIRE(bytes.size() >= k_frame_header_bytes, bytes.size());
  const uint8_t* in = bytes.data();
  if (load_le<uint32_t>(in) != k_frame_magic) return no_broker(in[0]);
  FrameHeader header;
  header.version = load_le<uint8_t>(in + 4);
  // Before the checksum: a later version may compute it otherwise. Magic and version stay where they are.
  if (header.version != k_frame_version) {
    return fail(Errc::unsupported, "frame: version " + std::to_string(header.version) +
                                       "; this program speaks " + std::to_string(k_frame_version));
  }
  if (load_le<uint32_t>(in + 28) != crc32c(bytes.first(28)))
    return corrupt("bad checksum of the header");
  const auto kind = load_le<uint8_t>(in + 5);
  if (!known(kind) || load_le<uint16_t>(in + 6) != 0 || load_le<uint32_t>(in + 24) != 0)
    return fail(Errc::unsupported, "frame: a kind or flag of a later program");
  header.kind = static_cast<FrameKind>(kind);
  header.body_bytes = load_le<uint32_t>(in + 8);
  header.attachments = load_le<uint32_t>(in + 12);
  header.payload_bytes = load_le<uint32_t>(in + 16);
  header.payload_crc = load_le<uint32_t>(in + 20);
  if (header.payload_bytes > payload_max)
    return corrupt(std::to_string(header.payload_bytes) + " bytes where at most " +
                   std::to_string(payload_max) + " are allowed");
  if (header.attachments > k_attachments_max) return corrupt("too many attachments");
  if (uint64_t{header.body_bytes} + uint64_t{header.attachments} * 4 > header.payload_bytes)
    return corrupt("its parts are larger than itself");
  return header;
}

size_t total_bytes(const std::vector<Slice>& pieces) {
  size_t total = 0;
  for (const Slice& piece : pieces) total += piece.size();
  return total;
}

Result<std::vector<Slice>> encode_frame(const Frame& frame) {
  if (frame.attachments.size() > k_attachments_max)
    return fail(Errc::too_large,
                "frame: " + std::to_string(frame.attachments.size()) + " attachments");
  // All that is not sent by reference lies in one buffer, in the order of the stream.
  const size_t front = k_frame_header_bytes + frame.body.size() + 4 * frame.attachments.size();
  size_t copied = front;
  size_t payload = front - k_frame_header_bytes;
  for (const Slice& attachment : frame.attachments) {
    payload += attachment.size();
    if (attachment.size() <= k_copied_bytes_max) copied += attachment.size();
  }
  if (payload > k_payload_bytes_max)
    return fail(Errc::too_large, "frame: " + std::to_string(payload) + " bytes");

  BufferRef buffer = BufferRef::allocate(copied);
  uint8_t* const start = buffer.mutable_bytes().data();
  uint8_t* to = start + k_frame_header_bytes;
  if (!frame.body.empty()) std::memcpy(to, frame.body.data(), frame.body.size());
  to += frame.body.size();
  for (const Slice& attachment : frame.attachments) {
    store_le<uint32_t>(to, static_cast<uint32_t>(attachment.size()));
    to += 4;
  }
  uint32_t crc = crc32c({start + k_frame_header_bytes, front - k_frame_header_bytes});
  for (const Slice& attachment : frame.attachments) {
    crc = crc32c(attachment, crc);
    if (attachment.empty() || attachment.size() > k_copied_bytes_max) continue;
    std::memcpy(to, attachment.data(), attachment.size());
    to += attachment.size();
  }
  FrameHeader header;
  header.kind = frame.kind;
  header.body_bytes = static_cast<uint32_t>(frame.body.size());
  header.attachments = static_cast<uint32_t>(frame.attachments.size());
  header.payload_bytes = static_cast<uint32_t>(payload);
  header.payload_crc = crc;
  encode_header(header, start);

  std::vector<Slice> pieces;
  size_t piece_begin = 0;
  size_t piece_end = front;
  for (const Slice& attachment : frame.attachments) {
    if (attachment.size() <= k_copied_bytes_max) {
      piece_end += attachment.size();
      continue;
    }
    if (piece_end > piece_begin) pieces.emplace_back(buffer, piece_begin, piece_end - piece_begin);
    piece_begin = piece_end;
    pieces.push_back(attachment);
  }
  if (piece_end > piece_begin) pieces.emplace_back(buffer, piece_begin, piece_end - piece_begin);
  return pieces;
}

MutableBytes FrameReader::into() {
  if (header_) return payload_.mutable_bytes().subspan(payload_filled_);
  if (!buffer_) buffer_ = BufferRef::allocate(k_read_buffer_bytes);
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (buffer_.size() - begin_ < k_frame_header_bytes) {
    // What is left of a header moves to the front, so that the rest of it has room.
    MutableBytes bytes = buffer_.mutable_bytes();
    std::memmove(bytes.data(), bytes.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return buffer_.mutable_bytes().subspan(end_);
}

void FrameReader::filled(size_t n) {
  if (header_) {
    payload_filled_ += n;
    ASSERT(payload_filled_ <= payload_.size(), payload_filled_, payload_.size());
  } else {
    end_ += n;
    ASSERT(end_ <= buffer_.size(), end_, buffer_.size());
  }
}

void FrameReader::take_from_buffer() {
  const size_t step = std::min(end_ - begin_, payload_.size() - payload_filled_);
  if (step == 0) return;
  std::memcpy(payload_.mutable_bytes().data() + payload_filled_, buffer_.data() + begin_, step);
  begin_ += step;
  payload_filled_ += step;
}

Result<std::optional<Frame>> FrameReader::next() {
  if (!header_) {
    if (begin_ < end_ && buffer_.data()[begin_] != (k_frame_magic & 0xff))
      return no_broker(buffer_.data()[begin_]);
    if (end_ - begin_ < k_frame_header_bytes) return std::optional<Frame>();
    BASCULE_TRY_ASSIGN(header_, decode_frame_header({buffer_.data() + begin_, k_frame_header_bytes},
                                                    payload_max_));
    begin_ += k_frame_header_bytes;
    // A buffer of its own: what is kept of one frame keeps no other.
    payload_ =
        header_->payload_bytes > 0 ? BufferRef::allocate(header_->payload_bytes) : BufferRef();
    payload_filled_ = 0;
  }
  take_from_buffer();
  if (payload_filled_ < header_->payload_bytes) return std::optional<Frame>();
  return finish();
}

Result<std::optional<Frame>> FrameReader::finish() {
  const FrameHeader header = *header_;
  header_.reset();
  const BufferRef payload = std::exchange(payload_, BufferRef());
  if (crc32c(payload.view()) != header.payload_crc) return corrupt("bad checksum of the payload");
  Frame frame;
  frame.kind = header.kind;
  if (header.body_bytes > 0) frame.body = Slice(payload, 0, header.body_bytes);
  size_t at = header.body_bytes + size_t{4} * header.attachments;
  frame.attachments.reserve(header.attachments);
  for (uint32_t i = 0; i < header.attachments; ++i) {
    const size_t size = load_le<uint32_t>(payload.data() + header.body_bytes + size_t{4} * i);
    if (size > payload.size() - at) return corrupt("attachments beyond its end");
    frame.attachments.push_back(size > 0 ? Slice(payload, at, size) : Slice());
    at += size;
  }
  if (at != payload.size()) return corrupt("bytes after its last attachment");
  return std::optional<Frame>(std::move(frame));
}

}  // namespace bascule::peers

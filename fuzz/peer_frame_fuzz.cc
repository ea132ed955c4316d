// Any bytes as what comes over a stream between brokers, in pieces of any size: an error, or frames that are
// the same when they are written again; their bodies as handshakes and calls likewise. The first byte says
// how large the pieces are.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "capnp/peer_codec.h"
#include "src/peers/frame.h"

using namespace bascule;

namespace {

void expect(bool condition) {
  if (!condition) std::abort();
}

Bytes bytes_of(const peers::Frame& frame) {
  const auto pieces = peers::encode_frame(frame);
  expect(pieces.has_value());
  Bytes all;
  for (const Slice& piece : *pieces)
    all.insert(all.end(), piece.data(), piece.data() + piece.size());
  return all;
}

void look_at(const peers::Frame& frame) {
  const capnp_codec::PeerCodec codec;
  if (const auto words = codec.decode_handshake(frame.body)) {
    const auto again = codec.decode_handshake(codec.encode_handshake(*words));
    expect(again.has_value() && *again == *words);
  }
  if (const auto head = codec.decode_call(frame.body)) {
    const auto again = codec.decode_call(codec.encode_call(*head));
    expect(again.has_value() && *again == *head);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t step = size_t{data[0]} + 1;
  const ByteView all(data + 1, size - 1);
  // Small, so that a size alone is never worth much memory here.
  peers::FrameReader reader(64 << 10);
  Bytes written;
  size_t read = 0;
  bool failed = false;
  while (read < all.size() && !failed) {
    MutableBytes into = reader.into();
    expect(!into.empty());
    const size_t n = std::min({step, into.size(), all.size() - read});
    std::memcpy(into.data(), all.data() + read, n);
    reader.filled(n);
    read += n;
    while (true) {
      const auto next = reader.next();
      failed = !next.has_value();
      if (failed || !*next) break;
      look_at(**next);
      const Bytes again = bytes_of(**next);
      written.insert(written.end(), again.begin(), again.end());
    }
  }
  // There is one way to write a frame: what was accepted is a prefix of what came.
  expect(written.size() <= all.size() && equal(written, all.first(written.size())));
  // A body without a frame around it.
  look_at({peers::FrameKind::handshake, Slice::copy_of(all), {}});
  return 0;
}

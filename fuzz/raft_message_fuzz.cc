// Any bytes as the body of a Raft message, with some attachments: an error, or a message that is the same
// when it is written and read again. The first byte says how many attachments there are.
#include <cstdint>
#include <cstdlib>

#include "capnp/peer_codec.h"

using namespace bascule;

namespace {

void expect(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const capnp_codec::PeerCodec codec;
  peers::Frame frame;
  frame.kind = peers::FrameKind::raft;
  frame.body = Slice::copy_of({data + 1, size - 1});
  for (int i = data[0] % 8; i > 0; --i) frame.attachments.push_back(frame.body);
  const auto message = codec.decode_raft(frame);
  if (!message) return 0;
  const auto first = codec.encode_raft(*message);
  // More runs of entries than fit do not come from bytes that were read.
  expect(first.has_value() && first->attachments.size() == frame.attachments.size());
  const auto back = codec.decode_raft(*first);
  expect(back.has_value());
  const auto second = codec.encode_raft(*back);
  expect(second.has_value() && equal(first->body, second->body));
  return 0;
}

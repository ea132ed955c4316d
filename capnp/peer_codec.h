// What brokers say to each other in Cap'n Proto (capnp/peers.capnp), one unpacked message as the body of a
// frame. Decoding takes any bytes: what is cut, points outside, loops or claims more than it holds is
// `corrupt`; what a later program made is `unsupported`.
#pragma once

#include "src/peers/peer_codec.h"

namespace bascule::capnp_codec {

class PeerCodec final : public peers::PeerCodec {
 public:
  Bytes encode_handshake(const peers::Handshaking& message) const override;
  Result<peers::Handshaking> decode_handshake(ByteView bytes) const override;
  Bytes encode_call(const peers::CallHead& head) const override;
  Result<peers::CallHead> decode_call(ByteView bytes) const override;
  Result<peers::Frame> encode_raft(const raft::Message& message) const override;
  Result<raft::Message> decode_raft(const peers::Frame& frame) const override;
};

}  // namespace bascule::capnp_codec

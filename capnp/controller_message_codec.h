// What brokers ask of each other's controllers, in Cap'n Proto (capnp/controller.capnp). Decoding takes any
// bytes: what is cut, points outside, loops or claims more than it holds is `corrupt`; what a later program
// made is `unsupported`.
#pragma once

#include "src/controller/peer_messages.h"

namespace bascule::capnp_codec {

class ControllerMessageCodec final : public controller::PeerMessageCodec {
 public:
  Bytes encode(const controller::PeerMessage& message) const override;
  Result<controller::PeerMessage> decode(ByteView bytes) const override;
};

}  // namespace bascule::capnp_codec

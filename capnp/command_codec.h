// The metadata's commands and snapshots in Cap'n Proto (capnp/metadata.capnp), one message each; snapshots are packed.
// Decoding takes any bytes: what is cut, points outside, loops or claims more than it holds is `corrupt`;
// what a later program made is `unsupported`.
#pragma once

#include "src/controller/command_codec.h"

namespace bascule::capnp_codec {

class MetadataCodec final : public controller::CommandCodec {
 public:
  Result<Bytes> encode_command(const controller::Command& command) const override;
  Result<controller::Command> decode_command(ByteView bytes) const override;
  Result<Bytes> encode_snapshot(const controller::MetadataState& state) const override;
  Result<controller::MetadataState> decode_snapshot(ByteView bytes) const override;
};

}  // namespace bascule::capnp_codec

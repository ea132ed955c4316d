// Commands and snapshots as bytes: the seam between the metadata's values and their encoding. The core
// knows structs only; capnp/command_codec.h implements this, the composition root hands it in.
#pragma once

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/controller/command.h"
#include "src/controller/metadata_state.h"

namespace bascule::controller {

class CommandCodec {
 public:
  virtual ~CommandCodec() = default;

  // `too_large` beyond k_command_bytes_max.
  virtual Result<Bytes> encode_command(const Command& command) const = 0;
  // Any bytes may come. `corrupt`: they are no command; `unsupported`: a kind that a later program made.
  virtual Result<Command> decode_command(ByteView bytes) const = 0;

  virtual Result<Bytes> encode_snapshot(const MetadataState& state) const = 0;
  // As decode_command. The values are as they were encoded; MetadataTable::restore judges them.
  virtual Result<MetadataState> decode_snapshot(ByteView bytes) const = 0;
};

}  // namespace bascule::controller

// Peer messages as bytes: the seam between their values and their encoding. The core knows structs only;
// capnp/peer_codec.h implements this, the composition root hands it in.
#pragma once

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/peers/frame.h"
#include "src/peers/message.h"
#include "src/raft/message.h"

namespace bascule::peers {

// Any bytes may come to the decoders. `corrupt`: they are no message; `unsupported`: of a later program.
class PeerCodec {
 public:
  virtual ~PeerCodec() = default;

  // Texts and hosts are cut to their bounds.
  virtual Bytes encode_handshake(const Handshaking& message) const = 0;
  virtual Result<Handshaking> decode_handshake(ByteView bytes) const = 0;

  virtual Bytes encode_call(const CallHead& head) const = 0;
  virtual Result<CallHead> decode_call(ByteView bytes) const = 0;

  // Entries' data and chunks of snapshots become attachments, by reference. `too_large`: more entries than
  // a frame has attachments, or more members than a cluster.
  virtual Result<Frame> encode_raft(const raft::Message& message) const = 0;
  // Attachments stay slices of the frame's. What the values mean is judged by who gets them.
  virtual Result<raft::Message> decode_raft(const Frame& frame) const = 0;
};

}  // namespace bascule::peers

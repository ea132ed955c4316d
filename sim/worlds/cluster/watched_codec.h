// The codec of the connections between brokers, which shows the simulator each Raft message that leaves.
#pragma once

#include "capnp/peer_codec.h"

namespace bascule::sim {

class MessageWatcher {
 public:
  virtual ~MessageWatcher() = default;
  virtual void leaves(const raft::Message& message) = 0;
};

class WatchedCodec final : public peers::PeerCodec {
 public:
  explicit WatchedCodec(MessageWatcher& watcher) : watcher_(watcher) {}

  Bytes encode_handshake(const peers::Handshaking& message) const override {
    return codec_.encode_handshake(message);
  }
  Result<peers::Handshaking> decode_handshake(ByteView bytes) const override {
    return codec_.decode_handshake(bytes);
  }
  Bytes encode_call(const peers::CallHead& head) const override { return codec_.encode_call(head); }
  Result<peers::CallHead> decode_call(ByteView bytes) const override {
    return codec_.decode_call(bytes);
  }
  Result<peers::Frame> encode_raft(const raft::Message& message) const override {
    watcher_.leaves(message);
    return codec_.encode_raft(message);
  }
  Result<raft::Message> decode_raft(const peers::Frame& frame) const override {
    return codec_.decode_raft(frame);
  }

 private:
  MessageWatcher& watcher_;
  capnp_codec::PeerCodec codec_;
};

}  // namespace bascule::sim

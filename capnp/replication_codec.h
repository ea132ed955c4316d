// What replicas say to each other, in Cap'n Proto (capnp/replication.capnp). Decoding takes any bytes: what
// is cut, points outside, loops or claims more than it holds is `corrupt`; what a later program made is
// `unsupported`.
#pragma once

#include "src/partition/replication_codec.h"

namespace bascule::capnp_codec {

class ReplicationCodec final : public partition::ReplicationCodec {
 public:
  Bytes encode(const partition::FetchMessage& message) const override;
  Bytes encode(const partition::AnswerMessage& message) const override;
  Result<partition::FetchMessage> decode_fetch(ByteView bytes) const override;
  Result<partition::AnswerMessage> decode_answer(ByteView bytes,
                                                 const std::vector<Slice>& batches) const override;
};

}  // namespace bascule::capnp_codec

// What replicas say to each other as bytes: the seam between the values and their encoding. The core knows
// structs only; capnp/replication_codec.h implements this, the composition root hands it in.
#pragma once

#include <vector>

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/partition/replication.h"

namespace bascule::partition {

class ReplicationCodec {
 public:
  virtual ~ReplicationCodec() = default;
  virtual Bytes encode(const FetchMessage& message) const = 0;
  // Batches are no part of it: they travel beside it, in order.
  virtual Bytes encode(const AnswerMessage& message) const = 0;
  // Any bytes may come: `corrupt`.
  virtual Result<FetchMessage> decode_fetch(ByteView bytes) const = 0;
  virtual Result<AnswerMessage> decode_answer(ByteView bytes,
                                              const std::vector<Slice>& batches) const = 0;
};

}  // namespace bascule::partition

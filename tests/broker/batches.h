// Batches as a log keeps them, for tests of what is made of them.
#pragma once

#include <string>
#include <vector>

#include "src/base/assert.h"
#include "src/base/bytes.h"
#include "src/model/batch.h"
#include "src/model/record.h"

namespace bascule::broker {

struct LogBatch {
  Offset base{};
  Epoch epoch{};
  WallTime append_time{};
  std::vector<std::string> subjects{};  // one record each
  model::Compression compression = model::Compression::none;
};

inline Slice make_batch(const LogBatch& b, uint32_t seed) {
  model::BatchBuilder builder(b.compression);
  uint64_t offset = b.base.value;
  for (const std::string& subject : b.subjects) {
    model::Record record;
    record.timestamp = WallTime{static_cast<int64_t>(offset) * 10};
    record.subject = subject;
    record.key = "k" + std::to_string(offset);
    record.headers = {{"h", std::to_string(offset)}};
    record.value = "value of " + std::to_string(offset) + std::string(200, 'x');
    const Status added = builder.add(model::view_of(record));
    ASSERT(added.has_value());
    ++offset;
  }
  BufferRef bytes = builder.finish();
  model::BatchHeader header = *model::decode_batch_header(bytes.view(), 0);
  header.base_offset = b.base;
  header.epoch = b.epoch;
  header.append_time = b.append_time;
  model::encode_batch_header(header, seed, bytes.mutable_bytes());
  return Slice(std::move(bytes));
}

// Several batches end to end, as one read gives them.
inline Slice join(const std::vector<Slice>& batches) {
  Bytes all;
  for (const Slice& batch : batches)
    all.insert(all.end(), batch.view().begin(), batch.view().end());
  return Slice::copy_of(all);
}

}  // namespace bascule::broker

#include "sim/oracles/history.h"

#include <charconv>

#include "src/base/assert.h"
#include "src/base/prng.h"

namespace bascule::sim {

size_t History::send(uint64_t producer, uint32_t count, uint32_t value_bytes, PartitionId partition,
                     model::Acks acks, model::Compression compression) {
  uint64_t& next = next_sequence_[producer];
  batches_.push_back({.producer = producer,
                      .first_sequence = next,
                      .count = count,
                      .value_bytes = value_bytes,
                      .partition = partition,
                      .acks = acks,
                      .compression = compression,
                      .base = {}});
  by_first_[{producer, next}] = batches_.size() - 1;
  next += count;
  return batches_.size() - 1;
}

std::string History::subject(uint64_t producer, uint64_t sequence) {
  return "t." + std::to_string(sequence % 3) + ".p" + std::to_string(producer);
}

model::Record History::record(RecordId id, uint32_t value_bytes) const {
  model::Record out;
  const uint64_t draw = mix64(mix64(seed_ ^ (id.producer << 40)) + id.sequence);
  out.timestamp = WallTime{static_cast<int64_t>(1'000'000'000 + id.sequence * 1000)};
  out.subject = subject(id.producer, id.sequence);
  out.key = std::to_string(id.producer) + "/" + std::to_string(id.sequence);
  if (draw % 4 == 0) out.reply = "reply." + std::to_string(draw % 100);
  if (draw % 3 == 0) out.headers = {{"n", std::to_string(id.sequence)}, {"", ""}};
  if (draw % 17 == 0) return out;  // a tombstone
  std::string value(value_bytes, '\0');
  for (size_t i = 0; i < value.size(); i += 8) {
    const uint64_t word = mix64(draw + i);
    for (size_t b = 0; b < 8 && i + b < value.size(); ++b)
      value[i + b] = static_cast<char>(word >> (b * 8));
  }
  out.value = std::move(value);
  return out;
}

BufferRef History::encode(size_t index) const {
  const SentBatch& sent = batches_[index];
  model::BatchBuilder builder(sent.compression);
  for (uint32_t i = 0; i < sent.count; ++i) {
    const model::Record r = record({sent.producer, sent.first_sequence + i}, sent.value_bytes);
    const Status added = builder.add(model::view_of(r));
    ASSERT(added.has_value());
  }
  return builder.finish();
}

std::optional<RecordId> History::id_of(const model::RecordView& record) {
  if (!record.key) return std::nullopt;
  const std::string_view key = *record.key;
  const size_t slash = key.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  RecordId id;
  const char* const middle = key.data() + slash;
  const char* const end = key.data() + key.size();
  if (std::from_chars(key.data(), middle, id.producer).ptr != middle) return std::nullopt;
  if (std::from_chars(middle + 1, end, id.sequence).ptr != end) return std::nullopt;
  return id;
}

const SentBatch* History::find(RecordId id) const {
  auto it = by_first_.upper_bound({id.producer, id.sequence});
  if (it == by_first_.begin()) return nullptr;
  --it;
  const SentBatch& batch = batches_[it->second];
  if (batch.producer != id.producer || id.sequence - batch.first_sequence >= batch.count)
    return nullptr;
  return &batch;
}

}  // namespace bascule::sim

// What clients sent and what they were told, kept beside the world: the memory of the oracles.
//
// Records are functions of (seed, producer, sequence), so that a few bytes per batch are enough to know
// every byte that was ever sent. Nothing here is told by the broker but answers and deliveries.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/model/batch.h"
#include "src/model/record.h"
#include "src/model/stream_config.h"

namespace bascule::sim {

enum class Answer : uint8_t {
  open,  // not answered: the process died first, or it is on its way
  acked,
  unknown,  // outcome_unknown
  refused,  // a definite error
};

struct SentBatch {
  uint64_t producer = 0;
  uint64_t first_sequence = 0;
  uint32_t count = 0;
  uint32_t value_bytes = 0;
  PartitionId partition;
  model::Acks acks = model::Acks::all;
  model::Compression compression = model::Compression::none;
  Answer answer = Answer::open;
  Errc error = Errc::internal;  // of a refusal
  Offset base;                  // where an ack put it; unset for acks none

  // "p3#7+2 to 4/0"
  std::string to_string() const {
    return "p" + std::to_string(producer) + "#" + std::to_string(first_sequence) + "+" +
           std::to_string(count) + " to " + partition.to_string();
  }
};

struct RecordId {
  uint64_t producer = 0;
  uint64_t sequence = 0;

  auto operator<=>(const RecordId&) const = default;
  std::string to_string() const {
    return "p" + std::to_string(producer) + "#" + std::to_string(sequence);
  }
};

class History {
 public:
  explicit History(uint64_t seed) : seed_(seed) {}

  // A new batch of `count` records; its index stays its name.
  size_t send(uint64_t producer, uint32_t count, uint32_t value_bytes, PartitionId partition,
              model::Acks acks, model::Compression compression);
  SentBatch& batch(size_t index) { return batches_[index]; }
  const std::vector<SentBatch>& batches() const { return batches_; }
  // The bytes that a client sends for it.
  BufferRef encode(size_t index) const;

  model::Record record(RecordId id, uint32_t value_bytes) const;
  // Which record this claims to be, by its key; none: no client of ours made such a key.
  static std::optional<RecordId> id_of(const model::RecordView& record);
  // The batch that holds the record; null: it was never sent.
  const SentBatch* find(RecordId id) const;

  static std::string subject(uint64_t producer, uint64_t sequence);

 private:
  uint64_t seed_;
  std::vector<SentBatch> batches_;
  std::map<uint64_t, uint64_t> next_sequence_;                // by producer
  std::map<std::pair<uint64_t, uint64_t>, size_t> by_first_;  // (producer, first sequence) → index
};

}  // namespace bascule::sim

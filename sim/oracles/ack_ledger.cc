#include "sim/oracles/ack_ledger.h"

#include <string>

namespace bascule::sim {

void AckLedger::acked(size_t index) {
  const SentBatch& batch = history_.batches()[index];
  if (batch.acks != model::Acks::none) acked_[batch.partition].push_back(index);
}

void AckLedger::check(PartitionId partition, const WholeRead& read, size_t count) {
  const std::vector<size_t>& acked = acked_[partition];
  for (size_t n = forgiven_[partition]; n < count; ++n) {
    const SentBatch& batch = history_.batches()[acked[n]];
    for (uint32_t i = 0; i < batch.count; ++i) {
      const Offset offset = batch.base + i;
      if (offset < read.log_start) continue;
      const RecordId id{batch.producer, batch.first_sequence + i};
      const auto it = read.records.find(offset);
      if (it != read.records.end() && it->second == id) continue;
      const std::string what =
          it == read.records.end() ? "is gone" : "holds " + it->second.to_string();
      verdict_.fire("O1", id.to_string() + " was acknowledged at " + partition.to_string() + "@" +
                              offset.to_string() + ", which " + what + " (read [" +
                              read.log_start.to_string() + ", " + read.end.to_string() + "))");
      return;
    }
  }
}

}  // namespace bascule::sim

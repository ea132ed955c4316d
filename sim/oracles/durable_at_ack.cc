#include "sim/oracles/durable_at_ack.h"

#include <string>
#include <string_view>

#include "src/model/limits.h"

namespace bascule::sim {

bool storage_holds(const Storage& storage, PartitionId partition, ByteView bytes) {
  // Directories of a partition are named "<stream>-<partition>-<assignment>".
  const std::string prefix =
      "logs/" + partition.stream.to_string() + "-" + partition.index.to_string() + "-";
  const std::string_view wanted = as_text(bytes);
  for (const std::string& path : storage.files()) {
    if (!path.starts_with(prefix) || !path.ends_with(".log")) continue;
    const auto inode = storage.find(path);
    if (!inode) continue;
    const Slice all = storage.read(*inode, 0, static_cast<size_t>(storage.size(*inode)));
    if (as_text(all).find(wanted) != std::string_view::npos) return true;
  }
  return false;
}

void DurableAtAck::acked(size_t index, model::DurabilityMode mode,
                         const std::vector<const Storage*>& disks, size_t needed) {
  const SentBatch& batch = history_.batches()[index];
  if (batch.acks == model::Acks::none) return;
  const BufferRef bytes = history_.encode(index);
  const ByteView body = bytes.view().subspan(limits::k_batch_header_bytes);
  size_t held = 0;
  for (const Storage* disk : disks) {
    if (held == needed) break;
    held += mode == model::DurabilityMode::fsync
                ? storage_holds(disk->worst_image(), batch.partition, body)
                : storage_holds(*disk, batch.partition, body);
  }
  if (held >= needed) return;
  verdict_.fire("O2", RecordId{batch.producer, batch.first_sequence}.to_string() +
                          " is acknowledged at " + batch.partition.to_string() + "@" +
                          batch.base.to_string() + " and in the worst crash image of " +
                          std::to_string(held) + " disks alone, not " + std::to_string(needed));
}

}  // namespace bascule::sim

#include "sim/worlds/storage/batches.h"

#include "sim/world/random.h"

namespace bascule::sim {

BufferRef make_batch(uint64_t seed, uint64_t id, uint32_t records, uint32_t bytes,
                     model::Compression compression) {
  model::BatchBuilder builder(compression);
  std::string value(bytes, '\0');
  for (uint32_t i = 0; i < records; ++i) {
    uint64_t word = draw(seed, {Domain::workload, id, i});
    for (size_t at = 0; at < value.size(); at += 8) {
      std::memcpy(value.data() + at, &word, std::min<size_t>(8, value.size() - at));
      word += 0x9e3779b97f4a7c15;
    }
    model::RecordView record;
    record.offset_delta = i;
    record.timestamp = WallTime{static_cast<int64_t>(id * 1000 + i)};
    record.subject = "s";
    record.value = value;
    const Status added = builder.add(record);
    ASSERT(added.has_value());
  }
  return builder.finish();
}

}  // namespace bascule::sim

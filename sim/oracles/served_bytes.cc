#include "sim/oracles/served_bytes.h"

#include <string>

#include "src/model/batch.h"

namespace bascule::sim {
namespace {

constexpr std::string_view k_name = "O14";

// The batch at `at` of `slice`, verified; none: fired.
std::optional<model::BatchHeader> verified(const Slice& slice, size_t at, uint32_t seed,
                                           Verdict& verdict) {
  const auto header = model::decode_batch_header(slice.view().subspan(at), seed);
  if (!header) {
    verdict.fire(k_name, "a served batch: " + header.error().to_string());
    return std::nullopt;
  }
  if (header->total_bytes > slice.size() - at) {
    verdict.fire(k_name, "a served batch ends early");
    return std::nullopt;
  }
  if (!model::batch_body_matches(*header, slice.view().subspan(at, header->total_bytes))) {
    verdict.fire(k_name,
                 "a served body at " + header->base_offset.to_string() + " does not verify");
    return std::nullopt;
  }
  return *header;
}

}  // namespace

std::vector<ReadRecord> read_delivery(const broker::Delivery& delivery, uint32_t header_seed,
                                      Verdict& verdict) {
  std::vector<ReadRecord> out;
  Bytes scratch;
  for (const Slice& slice : delivery.batches) {
    for (size_t at = 0; at < slice.size();) {
      const auto header = verified(slice, at, header_seed, verdict);
      if (!header) return out;
      const ByteView batch = slice.view().subspan(at, header->total_bytes);
      at += header->total_bytes;
      if (header->epoch != delivery.epoch || header->base_offset < delivery.base_offset ||
          header->next_offset() > delivery.next_offset) {
        verdict.fire(k_name, "a batch at " + header->base_offset.to_string() +
                                 " lies outside of what its delivery covers");
        return out;
      }
      scratch.clear();
      const auto body = model::batch_body(*header, batch, scratch);
      if (!body) {
        verdict.fire(k_name, "a served body: " + body.error().to_string());
        return out;
      }
      model::RecordReader reader(*body, header->base_timestamp);
      model::RecordView record;
      while (reader.next(record)) {
        out.push_back({header->base_offset + record.offset_delta, header->epoch,
                       header->append_time, record.to_record()});
      }
      if (!reader.status()) {
        verdict.fire(k_name, "served records: " + reader.status().error().to_string());
        return out;
      }
    }
  }
  return out;
}

}  // namespace bascule::sim

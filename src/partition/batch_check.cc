#include "src/partition/batch_check.h"

#include <string>

#include "src/model/limits.h"
#include "src/model/record.h"

namespace bascule::partition {
namespace {

Status check_client_fields(const model::BatchHeader& h) {
  const auto bad = [](const char* what) {
    return fail(Errc::invalid, std::string("batch: ") + what);
  };
  if ((h.attributes & ~model::attribute::k_compression_mask) != 0)
    return bad("a client may set no attribute but the compression");
  if (h.base_offset != Offset{} || h.epoch || h.append_time != WallTime{})
    return bad("base offset, epoch and append time are the leader's to give");
  if (h.record_count == 0) return bad("holds no record");
  if (!h.producer && (h.producer_epoch != 0 || h.base_sequence != 0))
    return bad("a sequence without a producer id");
  return {};
}

Status check_value_sizes(const model::BatchHeader& h, ByteView batch, uint32_t message_bytes_max) {
  // A value is shorter than the body that holds it.
  if (message_bytes_max == 0 || h.body_bytes_uncompressed <= message_bytes_max) return {};
  Bytes scratch;
  BASCULE_TRY_ASSIGN(const ByteView body, model::batch_body(h, batch, scratch));
  model::RecordReader reader(body, h.base_timestamp);
  model::RecordView record;
  while (reader.next(record)) {
    if (record.value && record.value->size() > message_bytes_max)
      return fail(Errc::too_large, "a message is over the stream's limit of " +
                                       std::to_string(message_bytes_max) + " bytes");
  }
  return reader.status();
}

}  // namespace

Result<model::BatchHeader> check_client_batch(ByteView batch, uint32_t message_bytes_max) {
  if (batch.size() > limits::k_batch_bytes_max) return fail(Errc::too_large, "batch");
  BASCULE_TRY_ASSIGN(const model::BatchHeader header, model::verify_batch(batch, 0));
  BASCULE_TRY(check_client_fields(header));
  BASCULE_TRY(model::validate_records(header, batch));
  BASCULE_TRY(check_value_sizes(header, batch, message_bytes_max));
  return header;
}

}  // namespace bascule::partition

// Any bytes as a batch: as they are, and once more sealed as a client would seal them, so that what lies
// behind the checksums is reached. An error, or a batch whose header encodes to the same bytes and whose
// records can be walked, compared and thinned out.
#include <cstdint>
#include <cstdlib>

#include "src/base/codec.h"
#include "src/base/crc32c.h"
#include "src/broker/thinning.h"
#include "src/model/batch.h"
#include "src/model/record.h"

using namespace bascule;

namespace {

void expect(bool condition) {
  if (!condition) std::abort();
}

void thin_out(const model::BatchHeader& header, ByteView batch) {
  if (header.control()) return;
  const std::vector<Slice> log{Slice::copy_of(batch)};
  for (const char* filter : {"", "a.>", "nobody"}) {
    broker::Wanted wanted;
    wanted.from = header.base_offset;
    wanted.until = header.next_offset();
    wanted.filter = filter;
    if (wanted.filter.empty() && header.offset_count() > 1) wanted.from = header.base_offset + 1;
    if (wanted.until <= wanted.from) continue;
    const auto thinned = broker::thin(log, wanted);
    if (thinned) expect(thinned->next <= wanted.until);
  }
}

void as_batch(ByteView bytes) {
  const auto header = model::decode_batch_header(bytes, 0);
  if (!header) return;
  uint8_t again[limits::k_batch_header_bytes];
  model::encode_batch_header(*header, 0, again);
  expect(std::equal(std::begin(again), std::end(again), bytes.begin()));
  expect(header->total_bytes >= limits::k_batch_header_bytes);
  if (bytes.size() < header->total_bytes) return;
  const ByteView batch = bytes.first(header->total_bytes);
  if (!model::verify_batch(batch, 0)) return;
  const bool valid = model::validate_records(*header, batch).has_value();
  Bytes scratch;
  const auto body = model::batch_body(*header, batch, scratch);
  if (!body) return expect(!valid);
  model::RecordReader reader(*body, header->base_timestamp);
  model::RecordView record;
  uint32_t count = 0;
  while (reader.next(record)) ++count;
  if (valid) expect(reader.status().has_value() && count == header->record_count);
  // A log holds only what its leader has found valid.
  if (valid) thin_out(*header, batch);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  as_batch({data, size});
  if (size < limits::k_batch_header_bytes) return 0;
  Bytes sealed(data, data + size);
  store_le<uint32_t>(sealed.data(), model::k_batch_magic);
  store_le<uint16_t>(sealed.data() + 4, model::k_batch_version);
  store_le<uint32_t>(sealed.data() + 8, static_cast<uint32_t>(size));
  const ByteView view(sealed);
  store_le<uint32_t>(sealed.data() + 16, crc32c(view.subspan(limits::k_batch_header_bytes)));
  store_le<uint32_t>(sealed.data() + 12, crc32c(view.subspan(16, 80), crc32c(view.first(12))));
  as_batch(sealed);
  return 0;
}

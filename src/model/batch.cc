#include "src/model/batch.h"

#include "src/base/codec.h"
#include "src/base/crc32c.h"

namespace bascule::model {
namespace {

constexpr size_t k_crc_at = 12;
constexpr size_t k_crc_end = 16;

uint32_t header_crc(ByteView header, uint32_t seed) {
  return crc32c(header.subspan(k_crc_end, limits::k_batch_header_bytes - k_crc_end),
                crc32c(header.first(k_crc_at), seed));
}

Status check_fields(const BatchHeader& h, uint64_t reserved) {
  const auto bad = [](const char* what) {
    return fail(Errc::invalid, std::string("batch header: ") + what);
  };
  if (h.total_bytes < limits::k_batch_header_bytes || h.total_bytes > limits::k_batch_bytes_max)
    return bad("total length is out of bounds");
  if (h.body_bytes_uncompressed > limits::k_batch_body_bytes_max)
    return bad("the body is too long when decompressed");
  if (h.compression() == Compression::none && h.body_bytes_uncompressed != h.body_bytes())
    return bad("two lengths of an uncompressed body differ");
  if (h.last_offset_delta < -1 || h.offset_count() > limits::k_batch_records_max)
    return bad("last offset delta is out of bounds");
  if (h.record_count > h.offset_count()) return bad("more records than offsets");
  if (h.control() != (h.last_offset_delta == -1))
    return bad("a control batch, and only one, takes no offset");
  if (h.base_offset.value > UINT64_MAX - limits::k_batch_records_max)
    return bad("base offset is out of bounds");
  if (reserved != 0) return bad("reserved bytes are not zero");
  return {};
}

}  // namespace

uint32_t batch_crc_seed(const Uuid& log_id) {
  if (!log_id) return 0;
  uint8_t bytes[16];
  store_le(bytes, log_id.words[0]);
  store_le(bytes + 8, log_id.words[1]);
  return crc32c(bytes);
}

void encode_batch_header(const BatchHeader& h, uint32_t crc_seed, MutableBytes out) {
  REQUIRE(out.size() >= limits::k_batch_header_bytes, out.size());
  uint8_t* at = out.data();
  store_le<uint32_t>(at, k_batch_magic);
  store_le<uint16_t>(at + 4, k_batch_version);
  store_le<uint16_t>(at + 6, h.attributes);
  store_le<uint32_t>(at + 8, h.total_bytes);
  store_le<uint32_t>(at + 16, h.body_crc);
  store_le<int32_t>(at + 20, h.last_offset_delta);
  store_le<uint64_t>(at + 24, h.base_offset.value);
  store_le<uint64_t>(at + 32, h.epoch.value);
  store_le<int64_t>(at + 40, h.base_timestamp.ns);
  store_le<int64_t>(at + 48, h.max_timestamp.ns);
  store_le<int64_t>(at + 56, h.append_time.ns);
  store_le<uint64_t>(at + 64, h.producer.value);
  store_le<uint32_t>(at + 72, h.producer_epoch);
  store_le<uint32_t>(at + 76, h.base_sequence);
  store_le<uint32_t>(at + 80, h.record_count);
  store_le<uint32_t>(at + 84, h.body_bytes_uncompressed);
  store_le<uint64_t>(at + 88, 0);
  store_le<uint32_t>(at + k_crc_at, header_crc(out, crc_seed));
}

Result<BatchHeader> decode_batch_header(ByteView in, uint32_t crc_seed) {
  if (in.size() < limits::k_batch_header_bytes)
    return fail(Errc::corrupt, "batch header: ends early");
  const uint8_t* at = in.data();
  if (load_le<uint32_t>(at) != k_batch_magic) return fail(Errc::corrupt, "batch header: bad magic");
  if (load_le<uint32_t>(at + k_crc_at) != header_crc(in, crc_seed))
    return fail(Errc::corrupt, "batch header: bad checksum");
  if (const auto version = load_le<uint16_t>(at + 4); version != k_batch_version)
    return fail(Errc::unsupported, "batch format version " + std::to_string(version));
  BatchHeader h;
  h.attributes = load_le<uint16_t>(at + 6);
  if (const unsigned unknown = h.attributes & ~unsigned{attribute::k_known}; unknown != 0)
    return fail(Errc::unsupported, "batch attribute bits " + std::to_string(unknown));
  if ((h.attributes & attribute::k_compression_mask) > static_cast<int>(Compression::zstd))
    return fail(Errc::unsupported, "batch compression " + std::to_string(h.attributes & 7));
  h.total_bytes = load_le<uint32_t>(at + 8);
  h.body_crc = load_le<uint32_t>(at + 16);
  h.last_offset_delta = load_le<int32_t>(at + 20);
  h.base_offset = Offset(load_le<uint64_t>(at + 24));
  h.epoch = Epoch(load_le<uint64_t>(at + 32));
  h.base_timestamp.ns = load_le<int64_t>(at + 40);
  h.max_timestamp.ns = load_le<int64_t>(at + 48);
  h.append_time.ns = load_le<int64_t>(at + 56);
  h.producer = ProducerId(load_le<uint64_t>(at + 64));
  h.producer_epoch = load_le<uint32_t>(at + 72);
  h.base_sequence = load_le<uint32_t>(at + 76);
  h.record_count = load_le<uint32_t>(at + 80);
  h.body_bytes_uncompressed = load_le<uint32_t>(at + 84);
  BASCULE_TRY(check_fields(h, load_le<uint64_t>(at + 88)));
  return h;
}

bool batch_body_matches(const BatchHeader& header, ByteView batch) {
  REQUIRE(batch.size() == header.total_bytes, batch.size(), header.total_bytes);
  return crc32c(batch.subspan(limits::k_batch_header_bytes)) == header.body_crc;
}

Result<BatchHeader> verify_batch(ByteView batch, uint32_t crc_seed) {
  BASCULE_TRY_ASSIGN(const BatchHeader header, decode_batch_header(batch, crc_seed));
  if (batch.size() != header.total_bytes)
    return fail(Errc::corrupt, "batch: its length is not what its header says");
  if (!batch_body_matches(header, batch)) return fail(Errc::corrupt, "batch body: bad checksum");
  return header;
}

}  // namespace bascule::model

// The batch: the unit of everything. The same bytes go from the client to the leader, to its disk, to
// the followers and to the subscribers.
//
// Format version 1, little-endian, a fixed header of 96 bytes, then the body (see record.h):
//
//   at  size
//    0    4  magic "BscB"
//    4    2  version, 1
//    6    2  attributes: bits 0-2 compression, 3 control, 4 compacted, 5 derived; others unknown
//    8    4  total bytes, header and body
//   12    4  header CRC-32C: over bytes [0, 12) and [16, 96), seeded with the log's id
//   16    4  body CRC-32C: over the body as it lies here (compressed, where it is)
//   20    4  last offset delta, signed; -1: takes no offset (control batch)
//   24    8  base offset
//   32    8  leader epoch
//   40    8  base timestamp (producer's, ns since 1970 UTC)
//   48    8  max timestamp
//   56    8  append time (leader's wall clock, never less than that of the batch before; ns)
//   64    8  producer id; 0: not idempotent
//   72    4  producer epoch
//   76    4  base sequence
//   80    4  record count (compaction may leave it below last offset delta + 1, even 0)
//   84    4  body bytes after decompression
//   88    8  reserved, 0
//
// The producer's client computes the body CRC and everything else verifies it; the leader stamps base
// offset, epoch and append time and seals the header with the CRC seeded by the log's id, so that
// bytes that land in another place or another partition are rejected. On its way to the leader a batch
// is sealed with the null id.
#pragma once

#include <cstdint>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/model/limits.h"

namespace bascule::model {

inline constexpr uint32_t k_batch_magic = 0x42637342;  // "BscB"
inline constexpr uint16_t k_batch_version = 1;

enum class Compression : uint8_t { none = 0, lz4 = 1, zstd = 2 };

namespace attribute {
inline constexpr uint16_t k_compression_mask = 0x7;
inline constexpr uint16_t k_control = 1 << 3;
inline constexpr uint16_t k_compacted = 1 << 4;
inline constexpr uint16_t k_derived = 1 << 5;  // re-encoded for a delivery; never in a log
inline constexpr uint16_t k_known = k_compression_mask | k_control | k_compacted | k_derived;
}  // namespace attribute

struct BatchHeader {
  uint16_t attributes = 0;
  uint32_t total_bytes = limits::k_batch_header_bytes;
  uint32_t body_crc = 0;
  int32_t last_offset_delta = -1;
  Offset base_offset;
  Epoch epoch;
  WallTime base_timestamp;
  WallTime max_timestamp;
  WallTime append_time;
  ProducerId producer;
  uint32_t producer_epoch = 0;
  uint32_t base_sequence = 0;
  uint32_t record_count = 0;
  uint32_t body_bytes_uncompressed = 0;

  bool operator==(const BatchHeader&) const = default;

  Compression compression() const {
    return static_cast<Compression>(attributes & attribute::k_compression_mask);
  }
  bool control() const { return (attributes & attribute::k_control) != 0; }
  // Number of offsets that the batch takes; 0 for a control batch.
  uint32_t offset_count() const { return static_cast<uint32_t>(last_offset_delta + 1); }
  // First offset after the batch.
  Offset next_offset() const { return base_offset + offset_count(); }
  uint32_t body_bytes() const { return total_bytes - limits::k_batch_header_bytes; }
};

// The CRC seed of a log id; the null id gives 0.
uint32_t batch_crc_seed(const Uuid& log_id);

// Writes the header with its CRC. Requires out.size() >= k_batch_header_bytes.
void encode_batch_header(const BatchHeader& header, uint32_t crc_seed, MutableBytes out);

// Checks magic, CRC, version, attributes and the bounds of every field, in this order, without looking
// at the body. `in` begins with a header and may be longer. Errors: `corrupt` (short, magic, CRC:
// these are not the bytes that were written), `unsupported` (version or attribute unknown, named),
// `invalid` (sealed rightly, but fields that no writer may give).
Result<BatchHeader> decode_batch_header(ByteView in, uint32_t crc_seed);

// True when `batch` (exactly one, header.total_bytes long) has the body that its header's CRC says.
bool batch_body_matches(const BatchHeader& header, ByteView batch);

// Header and body verified: the batch as its writer made it. Errors as above; `corrupt` for the body.
Result<BatchHeader> verify_batch(ByteView batch, uint32_t crc_seed);

}  // namespace bascule::model

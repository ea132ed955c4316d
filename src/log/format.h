// The byte formats that are the log's own: the local frame before each group, the manifest of a
// partition, the node-wide file `logs`. FORMAT.md has them in full, with what each crash can leave.
// (Batches, which replicas share byte for byte, are src/model/batch.h.)
//
// All are little-endian and carry a version; decoding never trusts a byte: short, malformed or
// bit-flipped input is `corrupt`, a later version is `unsupported`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/log/log.h"

namespace bascule::log {

inline constexpr uint64_t k_frame_bytes = 512;       // one sector: old or new, never torn
inline constexpr uint64_t k_group_alignment = 4096;  // no synced block is ever written again
inline constexpr uint64_t k_manifest_bytes_max = 64 << 20;
inline constexpr uint64_t k_logs_bytes_max = 256 << 20;

constexpr uint64_t align_up(uint64_t n, uint64_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}
// Bytes that a group of `batch_bytes` takes in its file, frame and padding included.
constexpr uint64_t group_extent(uint64_t batch_bytes) {
  return align_up(k_frame_bytes + batch_bytes, k_group_alignment);
}

// What a replica knows of its own disk, at the start of each group write.
struct Frame {
  Uuid nonce;                 // of this life of the segment file
  uint64_t write_number = 0;  // of the group in this life, from 0
  uint64_t position = 0;      // of this frame in its file
  uint32_t batch_bytes = 0;   // from position + k_frame_bytes on
  uint32_t batch_count = 0;
  Offset first;              // base offset of the group's first batch
  Offset durable_leo;        // what was durable on this disk when the group was written
  uint32_t headers_crc = 0;  // CRC-32C over the headers of the batches, in order

  bool operator==(const Frame&) const = default;
};

// Fills exactly k_frame_bytes.
void encode_frame(const Frame& frame, uint32_t seed, MutableBytes out);
// nullopt: no frame of that life at that place.
std::optional<Frame> decode_frame(ByteView in, uint32_t seed, const Uuid& nonce, uint64_t position);
// As above for any life, for diagnosis.
std::optional<Frame> decode_any_frame(ByteView in, uint32_t seed);

// What is known of the batches of a segment, or of a part of one.
struct SegmentSummary {
  uint64_t batch_bytes = 0;
  WallTime first_time;  // append times; no meaning while batch_bytes is 0
  WallTime last_time;
  std::vector<EpochStart> epochs;

  bool operator==(const SegmentSummary&) const = default;
};

struct SegmentEntry {
  uint64_t id = 0;
  Uuid nonce;
  bool based = false;   // `first` is known
  bool sealed = false;  // `end` is where its batches end; nothing is appended to it any more
  bool never_write =
      false;  // a dead life's writes may still land in it: never written, never pooled
  Offset first;
  Offset end;
  uint64_t end_position = 0;  // sealed: nothing of the log lies at or after it
  SegmentSummary summary;     // sealed: of [first, end)

  bool operator==(const SegmentEntry&) const = default;
};

struct Manifest {
  PartitionId partition;
  AssignmentId assignment;
  Uuid log_id;
  Index metadata_index;
  uint64_t generation = 1;  // rises with each cut and each recovery that changed something
  Offset log_start;
  // All below recovery_offset is durable and was verified; recovery begins in this segment.
  Offset recovery_offset;
  uint64_t recovery_segment = 0;
  uint64_t recovery_position = 0;
  uint64_t next_segment_id = 1;
  bool diverged = false;
  bool lost = false;  // made empty where the disk did not have what had been promised
  std::vector<OffsetRange> damaged;
  std::vector<SegmentEntry>
      segments;                   // in order of offsets; appends go to the last one with batches
  std::vector<uint64_t> retired;  // files that this manifest has dropped and that may be removed

  bool operator==(const Manifest&) const = default;
};

Bytes encode_manifest(const Manifest& manifest);
Result<Manifest> decode_manifest(ByteView in);

// One log in the node-wide file.
struct LogsEntry {
  PartitionId partition;
  AssignmentId assignment;
  uint64_t generation = 0;  // the entry's numbers count only if this is the manifest's
  Offset leo;               // known durable
  Epoch last_epoch;
  Offset hw;
  bool suspect = false;
  bool is_end = false;  // nothing at or after `leo` is the log, until the next generation
  bool clean = false;   // with the file's *clean*: the log was stopped at exactly `leo`

  bool operator==(const LogsEntry&) const = default;
};

struct LogsFile {
  bool clean = false;
  Uuid boot_id;
  std::vector<LogsEntry> entries;  // ascending by (partition, assignment)

  bool operator==(const LogsFile&) const = default;
};

Bytes encode_logs(const LogsFile& logs);
Result<LogsFile> decode_logs(ByteView in);

// "0000000000000007.log"
std::string segment_file_name(uint64_t id);
std::string index_file_name(uint64_t id);
// The id in a name of segment_file_name's form.
std::optional<uint64_t> parse_segment_file_name(std::string_view name, std::string_view suffix);
// "0000000000000012-name", of a file in quarantine; and the number.
std::string quarantine_name(uint64_t number, std::string_view name);
std::optional<uint64_t> parse_quarantine_number(std::string_view name);
// "12-3-7": stream, partition, assignment.
std::string log_directory_name(PartitionId partition, AssignmentId assignment);
struct LogDirectory {
  PartitionId partition;
  AssignmentId assignment;
};
std::optional<LogDirectory> parse_log_directory_name(std::string_view name);

}  // namespace bascule::log

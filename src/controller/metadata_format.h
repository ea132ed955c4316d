// Byte formats of the local metadata log, version 1: manifest, and groups of entries. METADATA_FORMAT.md
// has the layouts and what each crash can leave behind. Decoders take any bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"

namespace bascule::controller {

inline constexpr uint64_t k_group_alignment = 4096;
inline constexpr size_t k_group_header_bytes = 64;
inline constexpr size_t k_entry_header_bytes = 24;
inline constexpr size_t k_group_payload_bytes_max = 32 << 20;
inline constexpr size_t k_manifest_bytes_max = 64 << 10;
inline constexpr size_t k_segments_max = 64;
inline constexpr uint64_t k_snapshot_bytes_max = 512 << 20;
inline constexpr uint64_t k_segment_bytes_max = 1 << 30;

struct SegmentEntry {
  uint64_t file = 0;   // id: the name is <id, 16 hex>.log
  uint64_t nonce = 0;  // of the life that writes it
  Index first;         // of its first entry

  bool operator==(const SegmentEntry&) const = default;
};

struct SnapshotEntry {
  uint64_t file = 0;  // <id, 16 hex>.snapshot
  Index index;        // the last entry that it covers
  uint64_t bytes = 0;
  uint32_t crc = 0;

  bool operator==(const SnapshotEntry&) const = default;
};

struct LogManifest {
  Uuid storage;
  uint64_t generation = 0;  // rises with each change; the highest of both places counts
  uint64_t next_file = 1;   // ids below it were given
  Index durable;            // the log reached at least here: an earlier end is damage
  bool clean = false;       // and ended exactly there
  std::optional<SnapshotEntry> snapshot;
  std::vector<SegmentEntry> segments;  // at least one; the last one is written

  bool operator==(const LogManifest&) const = default;
};

Bytes encode_manifest(const LogManifest& manifest);
// `corrupt`, `unsupported`.
Result<LogManifest> decode_manifest(ByteView bytes);

std::string segment_name(uint64_t file);
std::string snapshot_name(uint64_t file);
// The id in a name of either kind.
std::optional<uint64_t> file_id(std::string_view name);

struct Entry {
  Term term;
  ByteView command;
};

// Where a group lies and what it must say of itself.
struct GroupPlace {
  uint64_t nonce = 0;
  uint64_t position = 0;  // in the file; a multiple of k_group_alignment
  uint64_t sequence = 0;  // write number in the segment, from 1
  Index first;            // of its first entry, or of the next one to come where it has none
};

// Bytes that a group with entries of these sizes takes in the file.
uint64_t group_extent(uint64_t entries, uint64_t command_bytes);
// The group, aligned for a synced write. Without entries it only says that all before it is durable.
Slice build_group(const GroupPlace& place, std::span<const Entry> entries);

struct ParsedGroup {
  std::vector<Entry> entries;  // views into the file's bytes
  uint64_t extent = 0;
};

// The whole group that must begin at `place.position` of `file`; nothing: it is not (all) there.
std::optional<ParsedGroup> parse_group(ByteView file, const GroupPlace& place);
// Whether a group header of this life, later than `sequence`, lies at `position`.
bool later_group_at(ByteView file, uint64_t position, uint64_t nonce, uint64_t sequence);

}  // namespace bascule::controller

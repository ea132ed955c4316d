// Byte formats of a Raft store, version 1: manifest, snapshot, and groups of entries. FORMAT.md has the
// layouts and what each crash can leave behind. Decoders take any bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/raft/types.h"

namespace bascule::raft {

inline constexpr uint64_t k_group_alignment = 4096;
inline constexpr size_t k_group_header_bytes = 64;
inline constexpr size_t k_hard_state_bytes = 32;  // each group's payload begins with it
inline constexpr size_t k_entry_header_bytes = 28;
inline constexpr size_t k_group_payload_bytes_max = 32 << 20;
inline constexpr size_t k_manifest_bytes_max = 64 << 10;
inline constexpr size_t k_segments_max = 64;
inline constexpr uint64_t k_snapshot_bytes_max = (1 << 30) + (1 << 20);
inline constexpr uint64_t k_segment_bytes_max = 1 << 30;

struct SegmentEntry {
  uint64_t file = 0;    // id: the name is <id, 16 hex>.log
  uint64_t nonce = 0;   // of the life that writes it
  Index first;          // the log ended right before it when the segment began
  uint64_t groups = 0;  // are durable: all that it has, but for the last segment of an unclean life

  bool operator==(const SegmentEntry&) const = default;
};

struct SnapshotEntry {
  uint64_t file = 0;  // <id, 16 hex>.snapshot
  Index index;        // the last entry that it covers
  uint64_t bytes = 0;
  uint32_t crc = 0;

  bool operator==(const SnapshotEntry&) const = default;
};

struct StoreManifest {
  Uuid storage;
  uint64_t generation = 0;  // rises with each change; the highest of both places counts
  uint64_t next_file = 1;   // ids below it were given
  HardState hard;           // as of this manifest; groups written after it have later ones
  bool clean = false;       // the last segment has no more groups than `groups`
  std::optional<SnapshotEntry> snapshot;
  std::vector<SegmentEntry> segments;  // at least one; the last one is written

  bool operator==(const StoreManifest&) const = default;
};

Bytes encode_manifest(const StoreManifest& manifest);
// `corrupt`, `unsupported`.
Result<StoreManifest> decode_manifest(ByteView bytes);

std::string segment_name(uint64_t file);
std::string snapshot_name(uint64_t file);
// The id in a name of either kind.
std::optional<uint64_t> file_id(std::string_view name);

// What a snapshot's file begins with; the state machine's bytes follow.
Bytes encode_snapshot_head(const SnapshotMeta& meta);
struct ParsedSnapshot {
  SnapshotMeta meta;
  size_t data_at = 0;  // where the state machine's bytes begin
};
// `corrupt`, `unsupported`.
Result<ParsedSnapshot> parse_snapshot(ByteView file);

// Where a group lies and what it must say of itself.
struct GroupPlace {
  uint64_t nonce = 0;
  uint64_t position = 0;  // in the file; a multiple of k_group_alignment
  uint64_t sequence = 0;  // write number in the segment, from 1
};

// Bytes that a group with entries of these sizes takes in the file.
uint64_t group_extent(uint64_t entries, uint64_t data_bytes);
// The group, aligned for a synced write. It says: this is the hard state, and the log ends before `first`,
// then come these entries.
Slice build_group(const GroupPlace& place, const HardState& hard, Index first,
                  std::span<const Entry> entries);

struct EntryView {
  Term term;
  EntryKind kind = EntryKind::empty;
  ByteView data;
};

struct ParsedGroup {
  HardState hard;
  Index first;
  std::vector<EntryView> entries;  // views into the file's bytes
  uint64_t extent = 0;
};

// The whole group that must begin at `place.position` of `file`; nothing: it is not (all) there.
std::optional<ParsedGroup> parse_group(ByteView file, const GroupPlace& place);
// Whether a group header of this life, later than `place.sequence`, lies at `position`.
bool later_group_at(ByteView file, uint64_t position, const GroupPlace& place);

}  // namespace bascule::raft

// Any bytes as the files of a Raft store: manifest, snapshot, and both copies of a segment. An error, or a value
// that is written back the same; groups that are found replay or are refused.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "src/raft/store_format.h"
#include "src/raft/store_scan.h"

using namespace bascule;

namespace {

void expect(bool condition) {
  if (!condition) std::abort();
}

void as_manifest(ByteView bytes) {
  const auto manifest = raft::decode_manifest(bytes);
  if (!manifest) return;
  const auto again = raft::decode_manifest(raft::encode_manifest(*manifest));
  expect(again.has_value() && *again == *manifest);
}

void as_snapshot(ByteView bytes) {
  const auto snapshot = raft::parse_snapshot(bytes);
  if (!snapshot) return;
  expect(snapshot->data_at <= bytes.size());
  const auto again = raft::parse_snapshot(raft::encode_snapshot_head(snapshot->meta));
  expect(again.has_value() && again->meta == snapshot->meta);
}

// The first 8 bytes are the segment's nonce, so that valid groups can be in a corpus. The copies differ in one
// byte; what is in one copy is found as in two.
void as_segment(ByteView bytes) {
  if (bytes.size() < 16) return;
  raft::SegmentEntry segment;
  std::memcpy(&segment.nonce, bytes.data(), 8);
  segment.file = 1;
  segment.first = Index(1 + bytes[8]);
  const ByteView one = bytes.subspan(16);
  Bytes other = to_bytes(one);
  if (!other.empty()) other[bytes[9] * 16u % other.size()] ^= 1;
  const auto scan = raft::scan_segment(segment, false, {one, other});
  if (!scan) return;
  raft::Replay replay(segment.first);
  uint64_t position = 0;
  uint64_t sequence = 1;
  for (const raft::ParsedGroup& group : scan->groups) {
    std::vector<raft::Entry> entries;
    for (const raft::EntryView& e : group.entries)
      entries.push_back({e.term, e.kind, Slice::copy_of(e.data)});
    const Slice again =
        raft::build_group({segment.nonce, position, sequence}, group.hard, group.first, entries);
    expect(again.size() == group.extent);
    // Parsed anew where it lay.
    Bytes file(position);
    file.insert(file.end(), again.data(), again.data() + again.size());
    const auto back = raft::parse_group(file, {segment.nonce, position, sequence});
    expect(back && back->hard == group.hard && back->first == group.first &&
           back->entries.size() == entries.size());
    position += group.extent;
    ++sequence;
    if (!replay.apply(group)) return;
    expect(replay.last().value + 1 == replay.first().value + replay.entries().size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(data, size);
  as_manifest(bytes);
  as_snapshot(bytes);
  as_segment(bytes);
  return 0;
}

#include "src/raft/store_format.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "src/base/codec.h"
#include "src/base/crc32c.h"

namespace bascule::raft {
namespace {

constexpr uint64_t k_manifest_magic = 0x314d'5252'4353'4142;  // "BASCRRM1"
constexpr uint64_t k_snapshot_magic = 0x3153'5252'4353'4142;  // "BASCRRS1"
constexpr uint32_t k_manifest_format = 1;
constexpr uint32_t k_snapshot_format = 1;
constexpr uint32_t k_group_magic = 0x3147'5242;  // "BRG1"
constexpr uint32_t k_group_format = 1;

// Fields of a group's header, at these offsets; 52..60 is zero.
constexpr size_t k_at_magic = 0;
constexpr size_t k_at_format = 4;
constexpr size_t k_at_nonce = 8;
constexpr size_t k_at_position = 16;
constexpr size_t k_at_sequence = 24;
constexpr size_t k_at_first = 32;
constexpr size_t k_at_entries = 40;
constexpr size_t k_at_payload_bytes = 44;
constexpr size_t k_at_payload_crc = 48;
constexpr size_t k_at_header_crc = 60;

bool header_whole(const uint8_t* at) {
  return load_le<uint32_t>(at + k_at_magic) == k_group_magic &&
         load_le<uint32_t>(at + k_at_format) == k_group_format &&
         load_le<uint32_t>(at + k_at_header_crc) == crc32c({at, k_at_header_crc});
}

std::unexpected<Error> another_format(const char* what, uint32_t format, uint32_t ours) {
  return fail(Errc::unsupported, std::string(what) + ": of format " + std::to_string(format) +
                                     "; this program reads " + std::to_string(ours));
}

uint64_t round_up(uint64_t n) {
  return (n + k_group_alignment - 1) / k_group_alignment * k_group_alignment;
}

std::string hex16(uint64_t n) { return Uuid{{n, 0}}.to_string().substr(0, 16); }

uint32_t entry_crc(Index index, const EntryView& e) {
  uint8_t head[17];
  store_le(head, index.value);
  store_le(head + 8, e.term.value);
  head[16] = static_cast<uint8_t>(e.kind);
  return crc32c(e.data, crc32c(head));
}

// 32 bytes: term u64, vote's node u32, zeros u32, vote's storage id.
void store_hard_state(uint8_t* at, const HardState& hard) {
  store_le(at, hard.term.value);
  store_le(at + 8, hard.vote.node.value);
  store_le(at + 12, uint32_t{0});
  store_le(at + 16, hard.vote.storage.words[0]);
  store_le(at + 24, hard.vote.storage.words[1]);
}

HardState read_hard_state(Reader& r) {
  HardState hard;
  hard.term = Term(r.fixed<uint64_t>());
  hard.vote.node = NodeId(r.fixed<uint32_t>());
  (void)r.fixed<uint32_t>();
  hard.vote.storage.words[0] = r.fixed<uint64_t>();
  hard.vote.storage.words[1] = r.fixed<uint64_t>();
  return hard;
}

// What is wrong with it; empty: nothing.
std::string_view find_fault(const StoreManifest& m) {
  if (m.segments.empty() || m.segments.size() > k_segments_max) return "number of segments";
  const Index covered = m.snapshot ? m.snapshot->index : Index{};
  if (m.segments.front().first > covered.next() || m.segments.front().first == Index{})
    return "entries before its first segment are missing";
  for (size_t i = 1; i < m.segments.size(); ++i) {
    if (m.segments[i].file <= m.segments[i - 1].file) return "segments out of order";
  }
  return {};
}

}  // namespace

Bytes encode_manifest(const StoreManifest& m) {
  Bytes out;
  Writer w(out);
  w.fixed(k_manifest_magic);
  w.fixed(k_manifest_format);
  w.fixed(m.storage.words[0]);
  w.fixed(m.storage.words[1]);
  w.fixed(m.generation);
  w.fixed(m.next_file);
  uint8_t hard[k_hard_state_bytes];
  store_hard_state(hard, m.hard);
  w.raw(hard);
  w.fixed<uint8_t>(m.clean ? 1 : 0);
  w.fixed<uint8_t>(m.snapshot ? 1 : 0);
  if (m.snapshot) {
    w.fixed(m.snapshot->file);
    w.fixed(m.snapshot->index.value);
    w.fixed(m.snapshot->bytes);
    w.fixed(m.snapshot->crc);
  }
  w.varint(m.segments.size());
  for (const SegmentEntry& s : m.segments) {
    w.fixed(s.file);
    w.fixed(s.nonce);
    w.fixed(s.first.value);
    w.fixed(s.groups);
  }
  w.fixed(crc32c(out));
  return out;
}

Result<StoreManifest> decode_manifest(ByteView bytes) {
  if (bytes.size() < 16 || load_le<uint64_t>(bytes.data()) != k_manifest_magic)
    return fail(Errc::corrupt, "raft manifest: not one");
  const ByteView body = bytes.first(bytes.size() - sizeof(uint32_t));
  if (load_le<uint32_t>(bytes.data() + body.size()) != crc32c(body))
    return fail(Errc::corrupt, "raft manifest: its CRC differs");
  Reader r(body.subspan(sizeof(uint64_t)));
  if (const auto format = r.fixed<uint32_t>(); format != k_manifest_format)
    return another_format("raft manifest", format, k_manifest_format);
  StoreManifest m;
  m.storage.words[0] = r.fixed<uint64_t>();
  m.storage.words[1] = r.fixed<uint64_t>();
  m.generation = r.fixed<uint64_t>();
  m.next_file = r.fixed<uint64_t>();
  m.hard = read_hard_state(r);
  m.clean = r.fixed<uint8_t>() != 0;
  if (r.fixed<uint8_t>() != 0) {
    SnapshotEntry& s = m.snapshot.emplace();
    s.file = r.fixed<uint64_t>();
    s.index = Index(r.fixed<uint64_t>());
    s.bytes = r.fixed<uint64_t>();
    s.crc = r.fixed<uint32_t>();
  }
  const uint64_t segments = r.varint();
  for (uint64_t i = 0; i < segments && i < k_segments_max && !r.failed(); ++i) {
    SegmentEntry& s = m.segments.emplace_back();
    s.file = r.fixed<uint64_t>();
    s.nonce = r.fixed<uint64_t>();
    s.first = Index(r.fixed<uint64_t>());
    s.groups = r.fixed<uint64_t>();
  }
  if (!r.finish("raft manifest")) return fail(Errc::corrupt, "raft manifest: its length");
  if (const std::string_view fault = find_fault(m); !fault.empty())
    return fail(Errc::corrupt, "raft manifest: " + std::string(fault));
  return m;
}

std::string segment_name(uint64_t file) { return hex16(file) + ".log"; }
std::string snapshot_name(uint64_t file) { return hex16(file) + ".snapshot"; }

std::optional<uint64_t> file_id(std::string_view name) {
  if (name.size() < 16 || (name.substr(16) != ".log" && name.substr(16) != ".snapshot")) return {};
  uint64_t id = 0;
  for (const char c : name.substr(0, 16)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return {};
    id = id << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return id;
}

Bytes encode_snapshot_head(const SnapshotMeta& meta) {
  Bytes out;
  Writer w(out);
  w.fixed(k_snapshot_magic);
  w.fixed(k_snapshot_format);
  w.fixed(meta.index.value);
  w.fixed(meta.term.value);
  // None at all is empty: a group that has never had one.
  const bool none = meta.configuration == Configuration{};
  w.sized(none ? Bytes() : encode_configuration(meta.configuration));
  return out;
}

Result<ParsedSnapshot> parse_snapshot(ByteView file) {
  Reader r(file);
  if (r.fixed<uint64_t>() != k_snapshot_magic) return fail(Errc::corrupt, "raft snapshot: not one");
  if (const auto format = r.fixed<uint32_t>(); format != k_snapshot_format)
    return another_format("raft snapshot", format, k_snapshot_format);
  ParsedSnapshot out;
  out.meta.index = Index(r.fixed<uint64_t>());
  out.meta.term = Term(r.fixed<uint64_t>());
  const ByteView configuration = r.sized();
  if (r.failed()) return fail(Errc::corrupt, "raft snapshot: its length");
  if (!configuration.empty()) {
    auto decoded = decode_configuration(configuration);
    if (!decoded) return fail(std::move(decoded.error()));
    out.meta.configuration = std::move(*decoded);
  }
  out.data_at = file.size() - r.remaining();
  return out;
}

uint64_t group_extent(uint64_t entries, uint64_t data_bytes) {
  return round_up(k_group_header_bytes + k_hard_state_bytes + entries * k_entry_header_bytes +
                  data_bytes);
}

Slice build_group(const GroupPlace& place, const HardState& hard, Index first,
                  std::span<const Entry> entries) {
  REQUIRE(place.position % k_group_alignment == 0, place.position);
  uint64_t bytes = 0;
  for (const Entry& e : entries) bytes += e.data.size();
  const size_t payload =
      k_hard_state_bytes + entries.size() * k_entry_header_bytes + static_cast<size_t>(bytes);
  REQUIRE(payload <= k_group_payload_bytes_max, payload);
  const uint64_t extent = group_extent(entries.size(), bytes);
  BufferRef buffer = BufferRef::allocate(static_cast<size_t>(extent), k_group_alignment);
  uint8_t* const begin = buffer.mutable_bytes().data();
  const size_t used = k_group_header_bytes + payload;
  std::memset(begin, 0, k_group_header_bytes);
  std::memset(begin + used, 0, static_cast<size_t>(extent) - used);
  uint8_t* at = begin + k_group_header_bytes;
  store_hard_state(at, hard);
  at += k_hard_state_bytes;
  Index index = first;
  for (const Entry& e : entries) {
    store_le(at, index.value);
    store_le(at + 8, e.term.value);
    store_le(at + 16, static_cast<uint32_t>(e.kind));
    store_le(at + 20, static_cast<uint32_t>(e.data.size()));
    store_le(at + 24, entry_crc(index, {e.term, e.kind, e.data}));
    if (!e.data.empty()) std::memcpy(at + k_entry_header_bytes, e.data.data(), e.data.size());
    at += k_entry_header_bytes + e.data.size();
    index = index.next();
  }
  store_le(begin + k_at_magic, k_group_magic);
  store_le(begin + k_at_format, k_group_format);
  store_le(begin + k_at_nonce, place.nonce);
  store_le(begin + k_at_position, place.position);
  store_le(begin + k_at_sequence, place.sequence);
  store_le(begin + k_at_first, first.value);
  store_le(begin + k_at_entries, static_cast<uint32_t>(entries.size()));
  store_le(begin + k_at_payload_bytes, static_cast<uint32_t>(payload));
  store_le(begin + k_at_payload_crc, crc32c({begin + k_group_header_bytes, payload}));
  store_le(begin + k_at_header_crc, crc32c({begin, k_at_header_crc}));
  return Slice(std::move(buffer));
}

std::optional<ParsedGroup> parse_group(ByteView file, const GroupPlace& place) {
  if (place.position > file.size() || file.size() - place.position < k_group_header_bytes)
    return std::nullopt;
  const uint8_t* const begin = file.data() + place.position;
  if (!header_whole(begin) || load_le<uint64_t>(begin + k_at_nonce) != place.nonce ||
      load_le<uint64_t>(begin + k_at_position) != place.position ||
      load_le<uint64_t>(begin + k_at_sequence) != place.sequence)
    return std::nullopt;
  const auto count = load_le<uint32_t>(begin + k_at_entries);
  const auto payload_bytes = load_le<uint32_t>(begin + k_at_payload_bytes);
  if (payload_bytes > file.size() - place.position - k_group_header_bytes) return std::nullopt;
  const ByteView payload(begin + k_group_header_bytes, payload_bytes);
  if (crc32c(payload) != load_le<uint32_t>(begin + k_at_payload_crc)) return std::nullopt;
  ParsedGroup out;
  out.extent = round_up(k_group_header_bytes + payload_bytes);
  out.first = Index(load_le<uint64_t>(begin + k_at_first));
  Reader r(payload);
  out.hard = read_hard_state(r);
  Index index = out.first;
  for (uint32_t i = 0; i < count; ++i, index = index.next()) {
    const Index own(r.fixed<uint64_t>());
    EntryView e;
    e.term = Term(r.fixed<uint64_t>());
    const auto kind = r.fixed<uint32_t>();
    const auto size = r.fixed<uint32_t>();
    const auto crc = r.fixed<uint32_t>();
    e.data = r.raw(size);
    if (r.failed() || kind > static_cast<uint32_t>(EntryKind::configuration)) return std::nullopt;
    e.kind = static_cast<EntryKind>(kind);
    if (own != index || crc != entry_crc(index, e)) return std::nullopt;
    out.entries.push_back(e);
  }
  if (r.failed() || r.remaining() != 0) return std::nullopt;
  return out;
}

bool later_group_at(ByteView file, uint64_t position, const GroupPlace& place) {
  if (position > file.size() || file.size() - position < k_group_header_bytes) return false;
  const uint8_t* const at = file.data() + position;
  return header_whole(at) && load_le<uint64_t>(at + k_at_nonce) == place.nonce &&
         load_le<uint64_t>(at + k_at_position) == position &&
         load_le<uint64_t>(at + k_at_sequence) > place.sequence;
}

}  // namespace bascule::raft

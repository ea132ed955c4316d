#include "src/log/format.h"

#include <charconv>

#include "src/base/codec.h"
#include "src/base/crc32c.h"

namespace bascule::log {
namespace {

constexpr uint32_t k_frame_magic = 0x46637342;     // "BscF"
constexpr uint32_t k_manifest_magic = 0x4d637342;  // "BscM"
constexpr uint32_t k_logs_magic = 0x4c637342;      // "BscL"
constexpr uint16_t k_version = 1;
constexpr size_t k_frame_crc_at = k_frame_bytes - 4;
constexpr size_t k_small_header_bytes = 12;  // magic, version, reserved, CRC

// Small files: magic, version, two reserved bytes, CRC-32C of all but itself, the contents. The version is
// covered too: a rotten one is damage, and must not stop a broker as a later program's file would.
uint32_t small_file_crc(ByteView file) {
  return crc32c(file.subspan(k_small_header_bytes), crc32c(file.first(k_small_header_bytes - 4)));
}

Bytes begin_small_file(uint32_t magic) {
  Bytes out;
  Writer w(out);
  w.fixed<uint32_t>(magic);
  w.fixed<uint16_t>(k_version);
  w.fixed<uint16_t>(0);
  w.fixed<uint32_t>(0);
  return out;
}

void finish_small_file(Bytes& out) {
  store_le<uint32_t>(out.data() + k_small_header_bytes - 4, small_file_crc(out));
}

Result<ByteView> open_small_file(ByteView in, uint32_t magic, const char* what) {
  if (in.size() < k_small_header_bytes || load_le<uint32_t>(in.data()) != magic)
    return fail(Errc::corrupt, std::string(what) + ": bad magic");
  if (load_le<uint32_t>(in.data() + k_small_header_bytes - 4) != small_file_crc(in))
    return fail(Errc::corrupt, std::string(what) + ": bad checksum");
  if (const auto version = load_le<uint16_t>(in.data() + 4); version != k_version)
    return fail(Errc::unsupported, std::string(what) + ": version " + std::to_string(version));
  return in.subspan(k_small_header_bytes);
}

void put(Writer& w, const Uuid& id) {
  w.fixed<uint64_t>(id.words[0]);
  w.fixed<uint64_t>(id.words[1]);
}

Uuid get_uuid(Reader& r) {
  Uuid id;
  id.words[0] = r.fixed<uint64_t>();
  id.words[1] = r.fixed<uint64_t>();
  return id;
}

void put(Writer& w, const SegmentEntry& s) {
  w.fixed<uint64_t>(s.id);
  put(w, s.nonce);
  w.fixed<uint8_t>(
      static_cast<uint8_t>((s.based ? 1 : 0) | (s.sealed ? 2 : 0) | (s.never_write ? 4 : 0)));
  w.varint(s.first.value);
  w.varint(s.end.value);
  w.varint(s.end_position);
  w.varint(s.summary.batch_bytes);
  w.signed_varint(s.summary.first_time.ns);
  w.signed_varint(s.summary.last_time.ns);
  w.varint(s.summary.epochs.size());
  for (const auto& e : s.summary.epochs) {
    w.varint(e.epoch.value);
    w.varint(e.start.value);
  }
}

SegmentEntry get_segment(Reader& r) {
  SegmentEntry s;
  s.id = r.fixed<uint64_t>();
  s.nonce = get_uuid(r);
  const auto flags = r.fixed<uint8_t>();
  s.based = (flags & 1) != 0;
  s.sealed = (flags & 2) != 0;
  s.never_write = (flags & 4) != 0;
  s.first = Offset(r.varint());
  s.end = Offset(r.varint());
  s.end_position = r.varint();
  s.summary.batch_bytes = r.varint();
  s.summary.first_time.ns = r.signed_varint();
  s.summary.last_time.ns = r.signed_varint();
  for (uint64_t n = r.varint(); n > 0 && !r.failed(); --n) {
    const Epoch epoch(r.varint());
    s.summary.epochs.push_back({epoch, Offset(r.varint())});
  }
  return s;
}

std::optional<uint64_t> parse_number(std::string_view text, int base) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

}  // namespace

void encode_frame(const Frame& f, uint32_t seed, MutableBytes out) {
  REQUIRE(out.size() == k_frame_bytes, out.size());
  std::memset(out.data(), 0, out.size());
  uint8_t* at = out.data();
  store_le<uint32_t>(at, k_frame_magic);
  store_le<uint16_t>(at + 4, k_version);
  store_le<uint64_t>(at + 8, f.nonce.words[0]);
  store_le<uint64_t>(at + 16, f.nonce.words[1]);
  store_le<uint64_t>(at + 24, f.write_number);
  store_le<uint64_t>(at + 32, f.position);
  store_le<uint32_t>(at + 40, f.batch_bytes);
  store_le<uint32_t>(at + 44, f.batch_count);
  store_le<uint64_t>(at + 48, f.first.value);
  store_le<uint64_t>(at + 56, f.durable_leo.value);
  store_le<uint32_t>(at + 64, f.headers_crc);
  store_le<uint32_t>(at + k_frame_crc_at, crc32c(ByteView(out).first(k_frame_crc_at), seed));
}

std::optional<Frame> decode_any_frame(ByteView in, uint32_t seed) {
  if (in.size() < k_frame_bytes || load_le<uint32_t>(in.data()) != k_frame_magic) return {};
  const uint8_t* at = in.data();
  if (load_le<uint32_t>(at + k_frame_crc_at) != crc32c(in.first(k_frame_crc_at), seed)) return {};
  if (load_le<uint16_t>(at + 4) != k_version) return {};
  Frame f;
  f.nonce.words[0] = load_le<uint64_t>(at + 8);
  f.nonce.words[1] = load_le<uint64_t>(at + 16);
  f.write_number = load_le<uint64_t>(at + 24);
  f.position = load_le<uint64_t>(at + 32);
  f.batch_bytes = load_le<uint32_t>(at + 40);
  f.batch_count = load_le<uint32_t>(at + 44);
  f.first = Offset(load_le<uint64_t>(at + 48));
  f.durable_leo = Offset(load_le<uint64_t>(at + 56));
  f.headers_crc = load_le<uint32_t>(at + 64);
  return f;
}

std::optional<Frame> decode_frame(ByteView in, uint32_t seed, const Uuid& nonce,
                                  uint64_t position) {
  auto frame = decode_any_frame(in, seed);
  if (!frame || frame->nonce != nonce || frame->position != position) return {};
  return frame;
}

Bytes encode_manifest(const Manifest& m) {
  Bytes out = begin_small_file(k_manifest_magic);
  Writer w(out);
  w.fixed<uint64_t>(m.partition.stream.value);
  w.fixed<uint32_t>(m.partition.index.value);
  w.fixed<uint64_t>(m.assignment.value);
  put(w, m.log_id);
  w.fixed<uint64_t>(m.metadata_index.value);
  w.fixed<uint64_t>(m.generation);
  w.fixed<uint64_t>(m.log_start.value);
  w.fixed<uint64_t>(m.recovery_offset.value);
  w.fixed<uint64_t>(m.recovery_segment);
  w.fixed<uint64_t>(m.recovery_position);
  w.fixed<uint64_t>(m.next_segment_id);
  w.fixed<uint8_t>(static_cast<uint8_t>((m.diverged ? 1 : 0) | (m.lost ? 2 : 0)));
  w.varint(m.damaged.size());
  for (const auto& range : m.damaged) {
    w.varint(range.first.value);
    w.varint(range.next.value);
  }
  w.varint(m.segments.size());
  for (const auto& s : m.segments) put(w, s);
  w.varint(m.retired.size());
  for (const uint64_t id : m.retired) w.varint(id);
  finish_small_file(out);
  return out;
}

Result<Manifest> decode_manifest(ByteView in) {
  BASCULE_TRY_ASSIGN(const ByteView contents, open_small_file(in, k_manifest_magic, "manifest"));
  Reader r(contents);
  Manifest m;
  m.partition.stream = StreamId(r.fixed<uint64_t>());
  m.partition.index = PartitionIndex(r.fixed<uint32_t>());
  m.assignment = AssignmentId(r.fixed<uint64_t>());
  m.log_id = get_uuid(r);
  m.metadata_index = Index(r.fixed<uint64_t>());
  m.generation = r.fixed<uint64_t>();
  m.log_start = Offset(r.fixed<uint64_t>());
  m.recovery_offset = Offset(r.fixed<uint64_t>());
  m.recovery_segment = r.fixed<uint64_t>();
  m.recovery_position = r.fixed<uint64_t>();
  m.next_segment_id = r.fixed<uint64_t>();
  const auto states = r.fixed<uint8_t>();
  m.diverged = (states & 1) != 0;
  m.lost = (states & 2) != 0;
  for (uint64_t n = r.varint(); n > 0 && !r.failed(); --n) {
    const Offset first(r.varint());
    m.damaged.push_back({first, Offset(r.varint())});
  }
  for (uint64_t n = r.varint(); n > 0 && !r.failed(); --n) m.segments.push_back(get_segment(r));
  for (uint64_t n = r.varint(); n > 0 && !r.failed(); --n) m.retired.push_back(r.varint());
  if (auto s = r.finish("manifest"); !s) return fail(Errc::corrupt, s.error().context);
  return m;
}

Bytes encode_logs(const LogsFile& logs) {
  Bytes out = begin_small_file(k_logs_magic);
  out.reserve(out.size() + 32 + logs.entries.size() * 56);
  Writer w(out);
  w.fixed<uint8_t>(logs.clean ? 1 : 0);
  put(w, logs.boot_id);
  w.varint(logs.entries.size());
  for (const auto& e : logs.entries) {
    w.varint(e.partition.stream.value);
    w.varint(e.partition.index.value);
    w.varint(e.assignment.value);
    w.varint(e.generation);
    w.varint(e.leo.value);
    w.varint(e.last_epoch.value);
    w.varint(e.hw.value);
    w.fixed<uint8_t>(
        static_cast<uint8_t>((e.suspect ? 1 : 0) | (e.is_end ? 2 : 0) | (e.clean ? 4 : 0)));
  }
  finish_small_file(out);
  return out;
}

Result<LogsFile> decode_logs(ByteView in) {
  BASCULE_TRY_ASSIGN(const ByteView contents, open_small_file(in, k_logs_magic, "logs"));
  Reader r(contents);
  LogsFile logs;
  logs.clean = (r.fixed<uint8_t>() & 1) != 0;
  logs.boot_id = get_uuid(r);
  for (uint64_t n = r.varint(); n > 0 && !r.failed(); --n) {
    LogsEntry e;
    e.partition.stream = StreamId(r.varint());
    e.partition.index = PartitionIndex(static_cast<uint32_t>(r.varint()));
    e.assignment = AssignmentId(r.varint());
    e.generation = r.varint();
    e.leo = Offset(r.varint());
    e.last_epoch = Epoch(r.varint());
    e.hw = Offset(r.varint());
    const auto flags = r.fixed<uint8_t>();
    e.suspect = (flags & 1) != 0;
    e.is_end = (flags & 2) != 0;
    e.clean = (flags & 4) != 0;
    logs.entries.push_back(e);
  }
  if (auto s = r.finish("logs"); !s) return fail(Errc::corrupt, s.error().context);
  return logs;
}

namespace {
std::string hex16(uint64_t n) {
  std::string out(16, '0');
  for (size_t i = 16; i-- > 0; n >>= 4) out[i] = "0123456789abcdef"[n & 15];
  return out;
}
}  // namespace

std::string segment_file_name(uint64_t id) { return hex16(id) + ".log"; }
std::string index_file_name(uint64_t id) { return hex16(id) + ".index"; }

std::optional<uint64_t> parse_segment_file_name(std::string_view name, std::string_view suffix) {
  if (name.size() != 16 + suffix.size() || !name.ends_with(suffix)) return {};
  return parse_number(name.substr(0, 16), 16);
}

std::string quarantine_name(uint64_t number, std::string_view name) {
  return hex16(number) + "-" + std::string(name);
}

std::optional<uint64_t> parse_quarantine_number(std::string_view name) {
  if (name.size() < 18 || name[16] != '-') return {};
  return parse_number(name.substr(0, 16), 16);
}

std::string log_directory_name(PartitionId partition, AssignmentId assignment) {
  return partition.stream.to_string() + "-" + partition.index.to_string() + "-" +
         assignment.to_string();
}

std::optional<LogDirectory> parse_log_directory_name(std::string_view name) {
  const size_t a = name.find('-');
  if (a == std::string_view::npos) return {};
  const size_t b = name.find('-', a + 1);
  if (b == std::string_view::npos) return {};
  const auto stream = parse_number(name.substr(0, a), 10);
  const auto index = parse_number(name.substr(a + 1, b - a - 1), 10);
  const auto assignment = parse_number(name.substr(b + 1), 10);
  if (!stream || !index || !assignment || *index > UINT32_MAX) return {};
  return LogDirectory{{StreamId(*stream), PartitionIndex(static_cast<uint32_t>(*index))},
                      AssignmentId(*assignment)};
}

}  // namespace bascule::log

#include "src/model/record.h"

#include <algorithm>
#include <cstring>

#include "src/base/crc32c.h"
#include "src/model/compression.h"

namespace bascule::model {
namespace {

constexpr uint64_t k_has_key = 1;
constexpr uint64_t k_has_value = 2;

size_t sized_bytes(std::string_view text) { return varint_size(text.size()) + text.size(); }

// A producer may say any time, so the difference wraps around, as it does when it is read back.
int64_t timestamp_delta(const RecordView& r, WallTime base_timestamp) {
  return static_cast<int64_t>(static_cast<uint64_t>(r.timestamp.ns) -
                              static_cast<uint64_t>(base_timestamp.ns));
}

// Bytes of a record behind its length.
size_t frame_bytes(const RecordView& r, WallTime base_timestamp) {
  size_t size = 1 + varint_size(r.offset_delta) +
                varint_size(zigzag(timestamp_delta(r, base_timestamp))) + sized_bytes(r.subject) +
                sized_bytes(r.reply) + varint_size(r.headers.size());
  for (const auto& [name, value] : r.headers) size += sized_bytes(name) + sized_bytes(value);
  if (r.key) size += sized_bytes(*r.key);
  if (r.value) size += sized_bytes(*r.value);
  return size;
}

void write_record(Bytes& body, const RecordView& r, WallTime base_timestamp) {
  Writer out(body);
  out.varint(frame_bytes(r, base_timestamp));
  out.varint((r.key ? k_has_key : 0) | (r.value ? k_has_value : 0));
  out.varint(r.offset_delta);
  out.signed_varint(timestamp_delta(r, base_timestamp));
  out.sized(r.subject);
  out.sized(r.reply);
  if (r.key) out.sized(*r.key);
  out.varint(r.headers.size());
  for (const auto& [name, value] : r.headers) {
    out.sized(name);
    out.sized(value);
  }
  if (r.value) out.sized(*r.value);
}

}  // namespace

Record RecordView::to_record() const {
  Record out{timestamp, std::string(subject), std::string(reply), std::nullopt, {}, std::nullopt};
  if (key) out.key = std::string(*key);
  if (value) out.value = std::string(*value);
  for (const auto& [name, text] : headers) out.headers.emplace_back(name, text);
  return out;
}

RecordView view_of(const Record& record) {
  RecordView out;
  out.timestamp = record.timestamp;
  out.subject = record.subject;
  out.reply = record.reply;
  if (record.key) out.key = *record.key;
  if (record.value) out.value = *record.value;
  for (const auto& [name, value] : record.headers) out.headers.emplace_back(name, value);
  return out;
}

size_t record_bytes(const RecordView& record, WallTime base_timestamp) {
  const size_t frame = frame_bytes(record, base_timestamp);
  return varint_size(frame) + frame;
}

Status check_record(const RecordView& r) {
  if (r.subject.size() > limits::k_subject_bytes_max) return fail(Errc::too_large, "subject");
  if (r.reply.size() > limits::k_subject_bytes_max) return fail(Errc::too_large, "reply subject");
  if (r.key && r.key->size() > limits::k_key_bytes_max) return fail(Errc::too_large, "key");
  if (r.value && r.value->size() > limits::k_value_bytes_max) return fail(Errc::too_large, "value");
  if (r.headers.size() > limits::k_headers_max) return fail(Errc::too_large, "number of headers");
  size_t header_bytes = 0;
  for (const auto& [name, value] : r.headers) header_bytes += name.size() + value.size();
  if (header_bytes > limits::k_headers_bytes_max) return fail(Errc::too_large, "headers");
  return {};
}

bool RecordReader::next(RecordView& out) {
  if (!status_ || reader_.remaining() == 0) return false;
  const ByteView frame = reader_.sized();
  if (!reader_.failed() && parse(frame, out)) return true;
  status_ = fail(Errc::invalid, "batch body: malformed record");
  return false;
}

bool RecordReader::parse(ByteView frame, RecordView& out) const {
  Reader in(frame);
  const uint64_t flags = in.varint();
  const uint64_t delta = in.varint();
  if (flags > (k_has_key | k_has_value) || delta >= limits::k_batch_records_max) return false;
  out.offset_delta = static_cast<uint32_t>(delta);
  out.timestamp.ns = static_cast<int64_t>(static_cast<uint64_t>(base_timestamp_.ns) +
                                          static_cast<uint64_t>(in.signed_varint()));
  out.subject = in.sized_text();
  out.reply = in.sized_text();
  out.key.reset();
  out.value.reset();
  out.headers.clear();
  if ((flags & k_has_key) != 0) out.key = in.sized_text();
  const uint64_t headers = in.varint();
  if (headers > limits::k_headers_max) return false;
  for (uint64_t i = 0; i < headers && !in.failed(); ++i) {
    const std::string_view name = in.sized_text();
    out.headers.emplace_back(name, in.sized_text());
  }
  if ((flags & k_has_value) != 0) out.value = in.sized_text();
  return !in.failed() && in.remaining() == 0;
}

Status BatchBuilder::add(const RecordView& record) { return add_at(next_delta_, record); }

Status BatchBuilder::add_at(uint32_t offset_delta, const RecordView& record) {
  REQUIRE(offset_delta >= next_delta_, offset_delta, next_delta_);
  BASCULE_TRY(check_record(record));
  if (offset_delta >= limits::k_batch_records_max)
    return fail(Errc::too_large, "number of records in a batch");
  const WallTime base = empty() ? record.timestamp : header_.base_timestamp;
  RecordView placed = record;
  placed.offset_delta = offset_delta;
  if (bytes() + record_bytes(placed, base) > limits::k_batch_bytes_max)
    return fail(Errc::too_large, "batch");
  if (empty()) header_.base_timestamp = header_.max_timestamp = base;
  header_.max_timestamp = std::max(header_.max_timestamp, record.timestamp);
  write_record(body_, placed, base);
  ++record_count_;
  next_delta_ = offset_delta + 1;
  return {};
}

BufferRef BatchBuilder::finish() {
  REQUIRE(!empty());
  Bytes compressed;
  const bool use = compress(compression_, body_, compressed);
  const Bytes& body = use ? compressed : body_;
  header_.attributes = use ? static_cast<uint16_t>(compression_) : 0;
  header_.total_bytes = static_cast<uint32_t>(limits::k_batch_header_bytes + body.size());
  header_.body_bytes_uncompressed = static_cast<uint32_t>(body_.size());
  header_.body_crc = crc32c(body);
  header_.record_count = record_count_;
  header_.last_offset_delta = static_cast<int32_t>(next_delta_) - 1;
  BufferRef out = BufferRef::allocate(header_.total_bytes);
  MutableBytes bytes = out.mutable_bytes();
  encode_batch_header(header_, 0, bytes);
  std::memcpy(bytes.data() + limits::k_batch_header_bytes, body.data(), body.size());
  body_.clear();
  header_ = {};
  record_count_ = next_delta_ = 0;
  return out;
}

Result<ByteView> batch_body(const BatchHeader& header, ByteView batch, Bytes& scratch) {
  REQUIRE(batch.size() == header.total_bytes, batch.size(), header.total_bytes);
  const ByteView body = batch.subspan(limits::k_batch_header_bytes);
  if (header.compression() == Compression::none) return body;
  BASCULE_TRY(decompress(header.compression(), body, header.body_bytes_uncompressed, scratch));
  return ByteView(scratch);
}

Status validate_records(const BatchHeader& header, ByteView batch) {
  const auto bad = [](const char* what) {
    return fail(Errc::invalid, std::string("batch: ") + what);
  };
  Bytes scratch;
  BASCULE_TRY_ASSIGN(const ByteView body, batch_body(header, batch, scratch));
  RecordReader reader(body, header.base_timestamp);
  RecordView record;
  uint32_t count = 0;
  WallTime latest = header.base_timestamp;
  while (reader.next(record)) {
    if (record.offset_delta != count) return bad("offset deltas are not 0, 1, 2 …");
    if (count == 0 && record.timestamp != header.base_timestamp)
      return bad("base timestamp is not the first record's");
    BASCULE_TRY(check_record(record));
    latest = std::max(latest, record.timestamp);
    ++count;
  }
  BASCULE_TRY(reader.status());
  if (count != header.record_count || count != header.offset_count())
    return bad("record count is not what the header says");
  if (latest != header.max_timestamp) return bad("max timestamp is not the greatest");
  return {};
}

}  // namespace bascule::model

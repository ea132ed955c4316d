// Records, and how a batch's body holds them.
//
// A body is its records one after the other, each framed by its length; compressed as one where the
// batch's attributes say so. One record, all numbers varints (signed ones zigzag):
//
//   length of what follows
//   flags: bit 0 key present, bit 1 value present (absent: a tombstone); others 0
//   offset delta (from the batch's base offset)
//   timestamp delta (signed, from the batch's base timestamp)
//   subject   length, bytes
//   reply     length, bytes (empty: none)
//   key       length, bytes (only if present)
//   headers   count, then name and value of each, length and bytes
//   value     length, bytes (only if present)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/codec.h"
#include "src/model/batch.h"

namespace bascule::model {

using Header = std::pair<std::string, std::string>;
using HeaderView = std::pair<std::string_view, std::string_view>;

// A record that owns its bytes.
struct Record {
  WallTime timestamp;
  std::string subject;
  std::string reply;
  std::optional<std::string> key;
  std::vector<Header> headers;
  std::optional<std::string> value;  // nullopt: a tombstone

  bool operator==(const Record&) const = default;
};

// A record inside a body that lives longer.
struct RecordView {
  uint32_t offset_delta = 0;
  WallTime timestamp;
  std::string_view subject;
  std::string_view reply;
  std::optional<std::string_view> key;
  std::vector<HeaderView> headers;
  std::optional<std::string_view> value;

  Record to_record() const;
};

RecordView view_of(const Record& record);

// Bytes of `record` in a body, frame included. Independent of its place by at most a few bytes: this is
// the exact size with the given deltas.
size_t record_bytes(const RecordView& record, WallTime base_timestamp);

// `too_large` or `invalid` for a record over the limits of limits.h.
Status check_record(const RecordView& record);

// Walks a decompressed body. Views live as long as the body.
class RecordReader {
 public:
  RecordReader(ByteView body, WallTime base_timestamp)
      : reader_(body), base_timestamp_(base_timestamp) {}

  // False at the end or at the first malformed record: then status() tells which.
  bool next(RecordView& out);
  Status status() const { return status_; }

 private:
  bool parse(ByteView frame, RecordView& out) const;

  Reader reader_;
  WallTime base_timestamp_;
  Status status_;
};

// Gathers records and makes the batch that a client sends: base offset, epoch and append time 0, sealed
// with the null log id. Reusable after finish().
class BatchBuilder {
 public:
  explicit BatchBuilder(Compression compression = Compression::none) : compression_(compression) {}

  // `too_large` when the record, or the batch with it, would be over the limits; the builder is then
  // as before.
  Status add(const RecordView& record);
  // As above, at an explicit offset delta above the last one (a thinned delivery keeps its offsets).
  Status add_at(uint32_t offset_delta, const RecordView& record);
  uint32_t record_count() const { return record_count_; }
  bool empty() const { return record_count_ == 0; }
  // Bytes that finish() would give, before compression.
  size_t bytes() const { return limits::k_batch_header_bytes + body_.size(); }

  void set_producer(ProducerId id, uint32_t epoch, uint32_t base_sequence) {
    header_.producer = id;
    header_.producer_epoch = epoch;
    header_.base_sequence = base_sequence;
  }

  // The batch's bytes; the builder is empty afterwards. Requires !empty().
  BufferRef finish();

 private:
  Compression compression_;
  BatchHeader header_;
  Bytes body_;
  uint32_t record_count_ = 0;
  uint32_t next_delta_ = 0;
};

// The body of a verified batch, decompressed (a view into `batch` where it is not compressed, else into
// `scratch`). `corrupt` when it does not decompress to the length that the header says.
Result<ByteView> batch_body(const BatchHeader& header, ByteView batch, Bytes& scratch);

// What a leader checks before it appends, besides the CRCs: every record decodes, is within the limits,
// deltas are 0, 1, 2 … count−1, the last one is the header's, timestamps agree with the header's.
Status validate_records(const BatchHeader& header, ByteView batch);

}  // namespace bascule::model

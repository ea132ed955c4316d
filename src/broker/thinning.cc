#include "src/broker/thinning.h"

#include <algorithm>
#include <utility>

#include "src/base/assert.h"
#include "src/model/batch.h"
#include "src/model/record.h"
#include "src/model/subject.h"

namespace bascule::broker {
namespace {

// Builds deliveries: whole batches that lie end to end in one slice stay one slice.
class Gatherer {
 public:
  explicit Gatherer(Offset from) : next_(from) {}

  // The offsets [next, `next`) of `epoch` are done with, whether or not anything was added for them.
  void cover(Epoch epoch, Offset next) {
    open(epoch);
    out_.back().next_offset = next;
    next_ = next;
  }
  void add_whole(Epoch epoch, const Slice& slice, size_t at, size_t size) {
    if (run_slice_ == &slice && run_at_ + run_size_ == at && open_for(epoch)) {
      run_size_ += size;
    } else {
      end_run();
      open(epoch);
      run_slice_ = &slice;
      run_at_ = at;
      run_size_ = size;
    }
    out_.back().bytes += size;
    bytes_ += size;
  }
  void add_derived(Epoch epoch, Slice batch) {
    end_run();
    open(epoch);
    out_.back().bytes += batch.size();
    bytes_ += batch.size();
    out_.back().batches.push_back(std::move(batch));
  }
  size_t bytes() const { return bytes_; }
  std::vector<Delivery> finish() {
    end_run();
    return std::move(out_);
  }

 private:
  bool open_for(Epoch epoch) const { return !out_.empty() && out_.back().epoch == epoch; }
  void open(Epoch epoch) {
    if (open_for(epoch)) return;
    end_run();
    out_.push_back(
        {.epoch = epoch, .base_offset = next_, .next_offset = next_, .batches = {}, .hw = {}});
  }
  void end_run() {
    if (run_slice_ == nullptr) return;
    out_.back().batches.push_back(run_slice_->sub(run_at_, run_size_));
    run_slice_ = nullptr;
  }

  std::vector<Delivery> out_;
  size_t bytes_ = 0;  // in all of them
  Offset next_;
  const Slice* run_slice_ = nullptr;  // whole batches that are not in out_ yet
  size_t run_at_ = 0;
  size_t run_size_ = 0;
};

bool matches(const std::string& filter, std::string_view subject) {
  return filter.empty() || model::subject_matches(filter, subject);
}

// Seals what `builder` holds as the derived batch of the offsets [base, end) of `original`.
Slice derive(model::BatchBuilder& builder, const model::BatchHeader& original, Offset base,
             Offset end, uint32_t header_seed) {
  BufferRef bytes = builder.finish();
  auto derived = model::decode_batch_header(bytes.view(), 0);
  ASSERT(derived.has_value());
  derived->attributes |= model::attribute::k_derived;
  derived->base_offset = base;
  derived->epoch = original.epoch;
  derived->append_time = original.append_time;
  derived->last_offset_delta = static_cast<int32_t>(end - base) - 1;
  model::encode_batch_header(*derived, header_seed, bytes.mutable_bytes());
  return Slice(std::move(bytes));
}

// The batch with the records that are wanted alone; the original itself where that is all of them, and
// nothing where it is none. Two derived batches where the records, uncompressed and with times that differ
// more from another first one, are too large for one.
Result<std::vector<Slice>> thin_one(const model::BatchHeader& header, const Slice& batch,
                                    const Wanted& wanted) {
  if (!model::batch_body_matches(header, batch)) return fail(Errc::corrupt, "batch body");
  Offset base = std::max(header.base_offset, wanted.from);
  const Offset end = std::min(header.next_offset(), wanted.until);
  const bool all_offsets = end - base == header.offset_count();
  Bytes scratch;
  BASCULE_TRY_ASSIGN(const ByteView body, model::batch_body(header, batch, scratch));
  std::vector<Slice> out;
  model::RecordReader reader(body, header.base_timestamp);
  model::RecordView record;
  model::BatchBuilder builder;
  uint32_t kept = 0;
  while (reader.next(record)) {
    const Offset offset = header.base_offset + record.offset_delta;
    if (offset < base || offset >= end || !matches(wanted.filter, record.subject)) continue;
    Status added = builder.add_at(static_cast<uint32_t>(offset - base), record);
    if (!added && added.error().code == Errc::too_large && !builder.empty()) {
      out.push_back(derive(builder, header, base, offset, wanted.header_seed));
      base = offset;
      added = builder.add_at(0, record);
    }
    BASCULE_TRY(std::move(added));
    ++kept;
  }
  BASCULE_TRY(reader.status());
  if (kept == header.record_count && all_offsets) return std::vector{batch};
  if (!builder.empty()) out.push_back(derive(builder, header, base, end, wanted.header_seed));
  return out;
}

}  // namespace

Result<Thinned> thin(const std::vector<Slice>& batches, const Wanted& wanted) {
  Thinned out;
  out.next = wanted.from;
  Gatherer gathered(wanted.from);
  const auto stop = [&](bool stopped) {
    out.stopped = stopped;
    out.deliveries = gathered.finish();
    return std::move(out);
  };
  for (const Slice& slice : batches) {
    for (size_t at = 0; at < slice.size();) {
      BASCULE_TRY_ASSIGN(const model::BatchHeader header,
                         model::decode_batch_header(slice.view().subspan(at), wanted.header_seed));
      if (header.total_bytes > slice.size() - at) return fail(Errc::corrupt, "batch ends early");
      const size_t begin = std::exchange(at, at + header.total_bytes);
      if (header.next_offset() <= out.next) continue;  // control, or before the position
      if (header.base_offset >= wanted.until) return stop(true);
      if (header.base_offset > out.next) return fail(Errc::corrupt, "offsets are missing");
      if (wanted.before && header.append_time >= *wanted.before) return stop(true);
      if (gathered.bytes() >= wanted.bytes_max) return stop(false);
      const bool whole = wanted.filter.empty() && header.base_offset == out.next &&
                         header.next_offset() <= wanted.until;
      if (whole) {
        gathered.add_whole(header.epoch, slice, begin, header.total_bytes);
      } else {
        Wanted here = wanted;
        here.from = out.next;
        BASCULE_TRY_ASSIGN(std::vector<Slice> kept,
                           thin_one(header, slice.sub(begin, header.total_bytes), here));
        for (Slice& piece : kept) gathered.add_derived(header.epoch, std::move(piece));
      }
      out.next = std::min(header.next_offset(), wanted.until);
      gathered.cover(header.epoch, out.next);
    }
  }
  return stop(out.next >= wanted.until);
}

}  // namespace bascule::broker

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
  }
  void add_derived(Epoch epoch, Slice batch) {
    end_run();
    open(epoch);
    out_.back().bytes += batch.size();
    out_.back().batches.push_back(std::move(batch));
  }
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
  Offset next_;
  const Slice* run_slice_ = nullptr;  // whole batches that are not in out_ yet
  size_t run_at_ = 0;
  size_t run_size_ = 0;
};

bool matches(const std::string& filter, std::string_view subject) {
  return filter.empty() || model::subject_matches(filter, subject);
}

// The batch with the records that are wanted alone; the original itself where that is all of them, and
// an empty slice where it is none.
Result<Slice> thin_one(const model::BatchHeader& header, const Slice& batch, const Wanted& wanted) {
  if (!model::batch_body_matches(header, batch)) return fail(Errc::corrupt, "batch body");
  const Offset base = std::max(header.base_offset, wanted.from);
  const Offset end = std::min(header.next_offset(), wanted.until);
  Bytes scratch;
  BASCULE_TRY_ASSIGN(const ByteView body, model::batch_body(header, batch, scratch));
  model::RecordReader reader(body, header.base_timestamp);
  model::RecordView record;
  model::BatchBuilder builder;
  while (reader.next(record)) {
    const Offset offset = header.base_offset + record.offset_delta;
    if (offset < base || offset >= end || !matches(wanted.filter, record.subject)) continue;
    BASCULE_TRY(builder.add_at(static_cast<uint32_t>(offset - base), record));
  }
  BASCULE_TRY(reader.status());
  if (builder.empty()) return Slice{};
  if (builder.record_count() == header.record_count && end - base == header.offset_count())
    return batch;
  BufferRef bytes = builder.finish();
  auto derived = model::decode_batch_header(bytes.view(), 0);
  ASSERT(derived.has_value());
  derived->attributes |= model::attribute::k_derived;
  derived->base_offset = base;
  derived->epoch = header.epoch;
  derived->append_time = header.append_time;
  derived->last_offset_delta = static_cast<int32_t>(end - base) - 1;
  model::encode_batch_header(*derived, wanted.header_seed, bytes.mutable_bytes());
  return Slice(std::move(bytes));
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
      const bool whole = wanted.filter.empty() && header.base_offset == out.next &&
                         header.next_offset() <= wanted.until;
      if (whole) {
        gathered.add_whole(header.epoch, slice, begin, header.total_bytes);
      } else {
        Wanted here = wanted;
        here.from = out.next;
        BASCULE_TRY_ASSIGN(Slice kept,
                           thin_one(header, slice.sub(begin, header.total_bytes), here));
        if (!kept.empty()) gathered.add_derived(header.epoch, std::move(kept));
      }
      out.next = std::min(header.next_offset(), wanted.until);
      gathered.cover(header.epoch, out.next);
    }
  }
  return stop(out.next >= wanted.until);
}

}  // namespace bascule::broker

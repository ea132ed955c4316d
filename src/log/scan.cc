#include "src/log/scan.h"

#include <algorithm>

#include "src/base/crc32c.h"

namespace bascule::log {
namespace {
constexpr size_t k_window_bytes = 512 << 10;
}

ByteView FileWindow::here(uint64_t position, size_t bytes) const {
  if (position >= size_) return {};
  bytes = static_cast<size_t>(std::min<uint64_t>(bytes, size_ - position));
  if (position < start_ || position - start_ > buffer_.size()) return {};
  const size_t at = static_cast<size_t>(position - start_);
  if (buffer_.size() - at < bytes) return {};
  return buffer_.view().subspan(at, bytes);
}

Co<Slice> FileWindow::load(uint64_t position, size_t bytes) {
  if (position >= size_) co_return Slice();
  bytes = static_cast<size_t>(std::min<uint64_t>(bytes, size_ - position));
  if (!here(position, bytes).empty()) {
    co_return buffer_.sub(static_cast<size_t>(position - start_), bytes);
  }
  const uint64_t from = position / k_group_alignment * k_group_alignment;
  const size_t needed = static_cast<size_t>(align_up(position + bytes, k_group_alignment) - from);
  size_t size =
      static_cast<size_t>(std::min<uint64_t>(std::max(needed, k_window_bytes), size_ - from));
  auto read = co_await call<Slice>(
      [&](env::Done<Slice> done) { file_.read_at(from, size, std::move(done)); });
  if (!read && size > needed) {
    // What was asked for may be readable though its neighbours are not.
    size = needed;
    read = co_await call<Slice>(
        [&](env::Done<Slice> done) { file_.read_at(from, size, std::move(done)); });
  }
  if (!read) co_return fail(std::move(read.error()));
  start_ = from;
  buffer_ = std::move(*read);
  const size_t at = static_cast<size_t>(position - from);
  if (buffer_.size() <= at) co_return Slice();
  co_return buffer_.sub(at, std::min(bytes, buffer_.size() - at));
}

BatchRun verified_batches(ByteView at, uint64_t position, uint32_t seed,
                          std::optional<Offset> first) {
  BatchRun run;
  while (at.size() >= limits::k_batch_header_bytes) {
    const auto header = model::decode_batch_header(at, seed);
    if (!header || header->total_bytes > at.size()) break;
    if (first && header->base_offset != *first) break;
    if (!model::batch_body_matches(*header, at.first(header->total_bytes))) break;
    if (!run.batches.empty() && (header->epoch < run.batches.back().epoch ||
                                 header->append_time < run.batches.back().append_time))
      break;
    run.batches.push_back(place_of(*header, position + run.bytes));
    run.headers_crc = crc32c(at.first(limits::k_batch_header_bytes), run.headers_crc);
    run.bytes += header->total_bytes;
    first = header->next_offset();
    at = at.subspan(header->total_bytes);
  }
  return run;
}

namespace {

class Scanner {
 public:
  Scanner(env::File& file, uint64_t size, ScanOptions options)
      : window_(file, size), options_(std::move(options)), expected_(options_.first) {}

  Co<SegmentScan> run() {
    uint64_t position = 0;
    while (position + k_group_alignment <= window_.size()) {
      ByteView block = window_.here(position, k_frame_bytes);
      Slice hold;
      if (block.empty()) {
        auto loaded = co_await window_.load(position, k_frame_bytes);
        if (loaded) {
          hold = std::move(*loaded);
          block = hold.view();
        }
      }
      const auto frame = decode_frame(block, options_.seed, options_.nonce, position);
      if (stopped()) {
        out_.more = frame.has_value();
        break;
      }
      uint64_t step = k_group_alignment;
      if (frame) {
        out_.mark = std::max(out_.mark, frame->durable_leo);
        auto taken = co_await framed_group(*frame, position);
        if (taken) step = *taken;
      } else if (expected_) {
        auto taken = co_await frameless_group(position);
        if (taken) step = *taken;
      }
      position += step;
    }
    co_return std::move(out_);
  }

 private:
  bool stopped() const {
    return options_.stop && expected_ && !out_.groups.empty() && *expected_ >= *options_.stop;
  }

  // Gives the bytes to go on by: the whole group where all of it verifies, else one block, since
  // nothing in an invalid group says what lies behind it.
  Co<uint64_t> framed_group(const Frame& found, uint64_t position) {
    const Frame frame = found;
    ScannedGroup group{position, group_extent(frame.batch_bytes), true, false, {}};
    BatchRun run;
    if (frame.batch_bytes <= window_.size() - position) {
      auto bytes = co_await window_.load(position + k_frame_bytes, frame.batch_bytes);
      if (bytes)
        run = verified_batches(*bytes, position + k_frame_bytes, options_.seed, frame.first);
    }
    group.whole = run.bytes == frame.batch_bytes && run.batches.size() == frame.batch_count &&
                  run.headers_crc == frame.headers_crc && frame.batch_count > 0;
    group.batches = std::move(run.batches);
    const bool whole = group.whole;
    const uint64_t extent = group.extent;
    if (!whole) (void)co_await later_batches(group, frame);
    expected_ = {};
    if (!group.batches.empty() && whole) expected_ = group.batches.back().next;
    out_.groups.push_back(std::move(group));
    co_return whole ? extent : k_group_alignment;
  }

  // A batch of a group whose body has rotted, or whose header has: those behind it may still be
  // reached, while headers tell where they begin.
  Co<bool> later_batches(ScannedGroup& group, const Frame frame) {
    uint64_t at = group.position + k_frame_bytes;
    const uint64_t end = at + frame.batch_bytes;
    if (!group.batches.empty()) at = group.batches.back().position + group.batches.back().bytes;
    while (at + limits::k_batch_header_bytes <= end && end <= window_.size()) {
      auto head = co_await window_.load(at, limits::k_batch_header_bytes);
      if (!head) break;
      const auto header = model::decode_batch_header(*head, options_.seed);
      if (!header || at + header->total_bytes > end) break;
      auto bytes = co_await window_.load(at, header->total_bytes);
      if (bytes && bytes->size() == header->total_bytes &&
          model::batch_body_matches(*header, *bytes))
        group.batches.push_back(place_of(*header, at));
      at += header->total_bytes;
    }
    co_return true;
  }

  // The frame is bad; the batches may be there all the same. They are looked for only where the next
  // group must begin, and only with the offset that must come next.
  Co<uint64_t> frameless_group(uint64_t position) {
    const Offset first = *expected_;
    expected_ = {};
    auto head = co_await window_.load(position + k_frame_bytes, limits::k_batch_header_bytes);
    if (!head) co_return k_group_alignment;
    const auto header = model::decode_batch_header(*head, options_.seed);
    if (!header || header->base_offset != first) co_return k_group_alignment;
    BatchRun run;
    for (uint64_t at = position + k_frame_bytes;;) {
      auto next = co_await window_.load(at, limits::k_batch_header_bytes);
      if (!next) break;
      const auto h = model::decode_batch_header(*next, options_.seed);
      if (!h) break;
      auto bytes = co_await window_.load(at, h->total_bytes);
      if (!bytes || bytes->size() != h->total_bytes) break;
      BatchRun one = verified_batches(*bytes, at, options_.seed,
                                      run.batches.empty() ? first : run.batches.back().next);
      if (one.batches.size() != 1) break;
      at += one.bytes;
      run.bytes += one.bytes;
      run.batches.push_back(one.batches.front());
    }
    if (run.batches.empty()) co_return k_group_alignment;
    const uint64_t extent = group_extent(run.bytes);
    expected_ = run.batches.back().next;
    out_.groups.push_back({position, extent, false, false, std::move(run.batches)});
    co_return extent;
  }

  FileWindow window_;
  ScanOptions options_;
  std::optional<Offset> expected_;  // base of the batch that must come next, where known
  SegmentScan out_;
};

}  // namespace

Co<SegmentScan> scan_segment(env::File& file, uint64_t size, ScanOptions options) {
  Scanner scanner(file, size, std::move(options));
  auto result = co_await scanner.run();
  co_return std::move(result);
}

}  // namespace bascule::log

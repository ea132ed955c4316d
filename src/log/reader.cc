// Reading: from the groups in memory where they still are, else from the segments. What comes from a
// file is verified, header and body, before it is handed out.
#include <algorithm>

#include "src/log/log_impl.h"

namespace bascule::log {
namespace {

constexpr size_t k_read_bytes_min = 64 << 10;
constexpr size_t k_read_bytes_max = 4 << 20;
constexpr size_t k_loaded_segments_max = 8;

// Walks the batches of one piece of a segment file.
class Walker {
 public:
  Walker(uint32_t seed, Slice bytes, uint64_t position)
      : seed_(seed), bytes_(std::move(bytes)), start_(position), at_(position) {}

  enum class Step : uint8_t { batch, more, corrupt };

  // The next batch's header. `more`: the piece ends before it is whole; position() is where to read
  // on, needed() how much at least.
  Step next(model::BatchHeader& header) {
    needed_ = limits::k_batch_header_bytes;
    auto found = model::decode_batch_header(rest(at_), seed_);
    if (!found) {
      const uint64_t group = align_up(at_, k_group_alignment);
      needed_ = static_cast<size_t>(group - at_ + k_frame_bytes + limits::k_batch_header_bytes);
      if (start_ + bytes_.size() < at_ + needed_) return Step::more;
      found = model::decode_batch_header(rest(group + k_frame_bytes), seed_);
      if (!found) return Step::corrupt;
      at_ = group + k_frame_bytes;
    }
    needed_ = found->total_bytes;
    if (rest(at_).size() < found->total_bytes) return Step::more;
    header = *found;
    return Step::batch;
  }

  // The bytes of the batch that next() found; goes behind it.
  Slice take(const model::BatchHeader& header) {
    Slice out = bytes_.sub(static_cast<size_t>(at_ - start_), header.total_bytes);
    at_ += header.total_bytes;
    return out;
  }
  uint64_t position() const { return at_; }
  size_t needed() const { return needed_; }
  Slice range(uint64_t from, uint64_t until) const {
    return bytes_.sub(static_cast<size_t>(from - start_), static_cast<size_t>(until - from));
  }

 private:
  ByteView rest(uint64_t at) const {
    if (at < start_ || at - start_ >= bytes_.size()) return {};
    return bytes_.view().subspan(static_cast<size_t>(at - start_));
  }

  uint32_t seed_;
  Slice bytes_;
  uint64_t start_;
  uint64_t at_;
  size_t needed_ = 0;
};

}  // namespace

Offset LogImpl::disk_end() const {
  const uint64_t next = groups_first_ + groups_.size();
  return cached_seq_ < next ? groups_[cached_seq_ - groups_first_]->first : leo_;
}

void LogImpl::read(ReadOptions options, env::Done<ReadResult> done) {
  const auto answer = [this, &done](Result<ReadResult> result) {
    loop().post([done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  };
  if (deleted_) return answer(fail(Errc::stream_deleted, "the log is deleted"));
  if (stopping_) return answer(fail(Errc::stopping, "the log is stopping"));
  if (options.from < log_start())
    return answer(fail(Errc::not_found, "the log starts at " + log_start().to_string()));
  if (options.from > leo_)
    return answer(fail(Errc::not_found, "the log ends at " + leo_.to_string()));
  if (options.from == leo_ || options.from >= options.until)
    return answer(ReadResult{{}, options.from});
  if (auto found = read_memory(options)) return answer(std::move(*found));
  ++reads_;
  scope_.spawn<ReadResult>(read_disk(options), [this, done = std::move(done)](auto result) mutable {
    end_read();
    done(std::move(result));  // last: it may end this object
  });
}

void LogImpl::end_read() {
  --reads_;
  if (reads_ == 0 && reads_ended_)
    loop().post([done = std::exchange(reads_ended_, nullptr)]() mutable { done({}); });
  if (!dropped_.empty()) kick_maintenance();  // it may have waited for this reader
}

std::optional<ReadResult> LogImpl::read_memory(const ReadOptions& options) const {
  if (options.from < disk_end()) return {};
  const auto begin = groups_.begin() + static_cast<ptrdiff_t>(cached_seq_ - groups_first_);
  auto group = std::upper_bound(begin, groups_.end(), options.from,
                                [](Offset o, const GroupRef& g) { return o < g->next; });
  if (group == groups_.end()) return {};
  ReadResult out;
  out.next = options.from;
  size_t bytes = 0;
  bool full = false;
  for (; group != groups_.end() && !full; ++group) {
    const auto& batches = (*group)->batches;
    size_t first = 0;
    if (out.batches.empty())
      first = static_cast<size_t>(std::partition_point(batches.begin(), batches.end(),
                                                       [&](const BatchPlace& b) {
                                                         return b.next <= options.from &&
                                                                b.base < options.from;
                                                       }) -
                                  batches.begin());
    size_t last = first;
    for (; last < batches.size(); ++last) {
      const BatchPlace& b = batches[last];
      full = b.base >= options.until || (bytes > 0 && bytes + b.bytes > options.bytes_max);
      if (full) break;
      bytes += b.bytes;
      out.next = b.next;
    }
    if (last > first) out.batches.push_back((*group)->batches_slice(first, last));
  }
  return out;
}

// The segment that holds `offset`, or whose end is the last one before it.
SegmentRef LogImpl::segment_of(Offset offset) const {
  auto end = segments_.end();
  while (end != segments_.begin() && (*std::prev(end))->empty()) --end;
  auto at = std::partition_point(segments_.begin(), end,
                                 [offset](const SegmentRef& s) { return s->first <= offset; });
  while (at != segments_.begin() && (*std::prev(at))->empty()) --at;
  return at == segments_.begin() ? nullptr : *std::prev(at);
}

// Sealed segments keep their file open and their index in memory only while they are among the last
// ones that were used.
void LogImpl::note_loaded(const SegmentRef& segment) {
  if (!segment->sealed) return;
  std::erase(loaded_, segment);
  loaded_.push_back(segment);
  while (loaded_.size() > k_loaded_segments_max) {
    const SegmentRef oldest = std::move(loaded_.front());
    loaded_.pop_front();
    // Held by segments_ and by us: no reader is on it.
    if (oldest.use_count() > 2) continue;
    oldest->file.reset();
    oldest->index = SegmentIndex(host_.options().index_interval_bytes);
    oldest->index_ready = false;
  }
}

// Opens the file and brings its index, from beside it or from its batches.
Co<void> LogImpl::ensure_readable(const SegmentRef& segment) {
  if (segment->lost) co_return fail(Errc::corrupt, segment->path + " is missing");
  if (!segment->file) {
    auto opened = co_await open_file(segment);
    // Without a descriptor nothing is known of it; later there may be one.
    if (!opened && opened.error().code == Errc::overloaded) co_return fail(opened.error());
    if (!opened) co_return fail(Errc::corrupt, segment->path + ": " + opened.error().context);
  }
  note_loaded(segment);
  if (segment->index_ready) co_return Status();
  const uint64_t interval = host_.options().index_interval_bytes;
  auto bytes = co_await call<Slice>([&](env::Done<Slice> done) {
    env::read_file(disk(), path_of(index_file_name(segment->id)), k_manifest_bytes_max,
                   std::move(done));
  });
  if (bytes) {
    auto index = SegmentIndex::decode(*bytes, segment->nonce, interval);
    if (index && index->end() == segment->end) {
      segment->index = std::move(*index);
      segment->index_ready = true;
      co_return Status();
    }
  }
  host_.world().trace.probe("log.index.rebuilt");
  ScanOptions options{segment->nonce, seed_, segment->first, {}};
  auto scan = co_await scan_segment(*segment->file, segment->write_position, options);
  if (!scan) co_return fail(std::move(scan.error()));
  if (segment->index_ready) co_return Status();
  SegmentIndex index(interval);
  for (const ScannedGroup& group : scan->groups)
    for (const BatchPlace& batch : group.batches)
      if (batch.base >= segment->first && batch.next <= segment->end) index.add(batch);
  segment->index = std::move(index);
  segment->index_ready = true;
  (void)co_await write_index(segment);
  co_return Status();
}

Co<ReadResult> LogImpl::read_disk(ReadOptions options) {
  const SegmentRef segment = segment_of(options.from);
  const auto damaged = [&] {
    return fail(Errc::corrupt, "offset " + options.from.to_string() + " is damaged");
  };
  if (!segment || options.from >= segment->end) co_return damaged();
  auto ready = co_await ensure_readable(segment);
  if (!ready) co_return fail(std::move(ready.error()));
  const SegmentIndex::Entry* entry = segment->index.floor(options.from);
  if (entry == nullptr) co_return damaged();
  uint64_t position = entry->position;
  size_t bytes_wanted = std::clamp(options.bytes_max + 2 * host_.options().index_interval_bytes,
                                   k_read_bytes_min, k_read_bytes_max);
  // What lies beyond may be in memory alone; and the segment may end inside a group.
  const Offset end = std::min({segment->end, options.until});
  const uint64_t file_end = segment->write_position;
  ReadResult out;
  out.next = options.from;
  for (int round = 0; round < 64; ++round) {
    if (position >= file_end) co_return damaged();
    const size_t size = static_cast<size_t>(std::min<uint64_t>(bytes_wanted, file_end - position));
    auto read = co_await call<Slice>(
        [&](env::Done<Slice> done) { segment->file->read_at(position, size, std::move(done)); });
    if (deleted_) co_return fail(Errc::stream_deleted, "the log is deleted");
    if (!read) {
      // The neighbours of what was asked for may be what cannot be read.
      if (size > k_group_alignment && bytes_wanted > k_group_alignment) {
        bytes_wanted = k_group_alignment;
        continue;
      }
      co_return fail(std::move(read.error()));
    }
    const bool short_read = read->size() < size;
    Walker walker(seed_, std::move(*read), position);
    uint64_t run_from = 0;
    uint64_t run_until = 0;
    size_t bytes = 0;
    bool corrupt = false;
    bool more = false;
    model::BatchHeader header;
    for (;;) {
      const auto step = walker.next(header);
      more = step == Walker::Step::more;
      corrupt = step == Walker::Step::corrupt;
      if (more || corrupt || header.base_offset >= end) break;
      const uint64_t at = walker.position();
      if (header.next_offset() <= out.next && header.base_offset < out.next) {
        // Before what was asked for; or a misplaced copy of what has been read.
        (void)walker.take(header);
        continue;
      }
      // A hole before it, or a batch that overlaps the one before.
      corrupt = bytes == 0 ? header.base_offset > out.next : header.base_offset != out.next;
      if (bytes > 0 && bytes + header.total_bytes > options.bytes_max) break;
      const Slice batch = walker.take(header);
      corrupt = corrupt || !model::batch_body_matches(header, batch);
      if (corrupt) break;
      if (run_until != at && run_until > run_from) {
        out.batches.push_back(walker.range(run_from, run_until));
        run_from = at;
      }
      if (run_until == 0) run_from = at;
      run_until = at + header.total_bytes;
      bytes += header.total_bytes;
      out.next = header.next_offset();
    }
    if (run_until > run_from) out.batches.push_back(walker.range(run_from, run_until));
    if (!out.batches.empty()) co_return std::move(out);
    if (corrupt || short_read || !more) co_return damaged();
    // Not even one whole batch: read on from it.
    position = walker.position();
    bytes_wanted = std::max(walker.needed(), std::min(bytes_wanted, k_read_bytes_min));
  }
  co_return damaged();
}

void LogImpl::find_time(WallTime time, env::Done<Offset> done) {
  if (stopping_) {
    loop().post(
        [done = std::move(done)]() mutable { done(fail(Errc::stopping, "the log is stopping")); });
    return;
  }
  ++reads_;
  scope_.spawn<Offset>(find_time_on_disk(time),
                       [this, done = std::move(done)](auto result) mutable {
                         end_read();
                         done(std::move(result));
                       });
}

Co<Offset> LogImpl::find_time_on_disk(WallTime time) {
  SegmentRef segment;
  for (const SegmentRef& s : segments_)
    if (!s->empty() && s->end > log_start() && s->summary.last_time >= time) {
      segment = s;
      break;
    }
  if (!segment) co_return leo_;
  auto ready = co_await ensure_readable(segment);
  if (!ready) co_return fail(std::move(ready.error()));
  Offset at = log_start();
  if (const auto* entry = segment->index.before(time)) at = std::max(at, entry->offset);
  while (at < leo_) {
    const ReadOptions options{at, leo_, k_read_bytes_min};
    auto found = read_memory(options);
    if (!found) {
      auto read = co_await read_disk(options);
      if (!read) co_return fail(std::move(read.error()));
      found = std::move(*read);
    }
    for (const Slice& slice : found->batches) {
      ByteView rest = slice.view();
      while (!rest.empty()) {
        const auto header = model::decode_batch_header(rest, seed_);
        if (!header) co_return fail(header.error());
        if (header->append_time >= time) co_return std::max(header->base_offset, log_start());
        rest = rest.subspan(header->total_bytes);
      }
    }
    at = found->next;
  }
  co_return leo_;
}

}  // namespace bascule::log

// Dense rewriting: a sealed segment of a low-rate log is mostly padding, 4 KiB a message; its batches
// are written anew, close together, into a segment that takes its place by one manifest change.
#include <algorithm>

#include "src/base/crc32c.h"
#include "src/log/log_impl.h"

namespace bascule::log {
namespace {

// Worth it where more than half of the file is padding, and the file is not tiny.
bool thin(const Segment& s) {
  return s.sealed && !s.lost && !s.empty() &&
         s.write_position > 2 * (s.summary.batch_bytes + k_frame_bytes) + k_group_alignment;
}

}  // namespace

void LogImpl::compact_thin_segments(env::Done<void> done) {
  if (!host_.serving()) {
    loop().post([done = std::move(done)]() mutable { done(fail(not_serving())); });
    return;
  }
  scope_.spawn<void>(compact_now(), std::move(done));
}

Co<void> LogImpl::compact_now() {
  (void)co_await structure_.lock();
  Status status;
  for (size_t i = 0; i < segments_.size() && status && !stopping_; ++i) {
    if (!thin(*segments_[i])) continue;
    const SegmentRef segment = segments_[i];
    auto rewritten = co_await rewrite_segment(segment);
    if (!rewritten) status = fail(std::move(rewritten.error()));
  }
  structure_.unlock();
  kick_maintenance();
  co_return status;
}

// False where a batch does not verify: the segment stays as it is.
Co<bool> LogImpl::rewrite_segment(const SegmentRef& old) {
  auto ready = co_await ensure_readable(old);
  if (!ready) co_return false;
  const uint64_t group_max = host_.options().group_bytes_max;
  const uint64_t id = manifest_.next_segment_id;
  const uint64_t reserve = group_extent(old->summary.batch_bytes) +
                           group_extent(0) * (old->summary.batch_bytes / group_max + 1);
  ScanOptions options{old->nonce, seed_, old->first, {}};
  auto scan = co_await scan_segment(*old->file, old->write_position, options);
  if (!scan) co_return fail(std::move(scan.error()));
  std::vector<BatchPlace> batches;
  Offset at = old->first;
  for (const ScannedGroup& group : scan->groups)
    for (const BatchPlace& b : group.batches)
      if (b.base == at && b.next <= old->end) {
        batches.push_back(b);
        at = b.next;
      }
  if (at != old->end) co_return false;
  auto made = co_await new_segment(reserve, false, id);
  if (!made) co_return fail(std::move(made.error()));
  const SegmentRef fresh = *made;
  fresh->first = old->first;
  fresh->end = old->first;
  FileWindow window(*old->file, old->write_position);
  Status status;
  for (size_t i = 0; i < batches.size() && status;) {
    size_t until = i;
    uint64_t bytes = 0;
    while (until < batches.size() && (until == i || bytes + batches[until].bytes <= group_max))
      bytes += batches[until++].bytes;
    const uint64_t extent = group_extent(bytes);
    if (fresh->write_position + extent > fresh->reserved) {
      const uint64_t size = align_up(fresh->write_position + extent, k_group_alignment);
      status = co_await call<void>(
          [&](env::Done<void> done) { fresh->file->reserve(size, std::move(done)); });
      if (!status) break;
      host_.count(size - fresh->reserved);
      fresh->reserved = size;
    }
    BufferRef buffer = BufferRef::allocate(static_cast<size_t>(extent), k_group_alignment);
    uint8_t* out = buffer.mutable_bytes().data();
    std::memset(out, 0, static_cast<size_t>(extent));
    Frame frame{.nonce = fresh->nonce,
                .write_number = fresh->write_number++,
                .position = fresh->write_position,
                .batch_bytes = static_cast<uint32_t>(bytes),
                .batch_count = static_cast<uint32_t>(until - i),
                .first = batches[i].base,
                .durable_leo = old->end,
                .headers_crc = 0};
    uint64_t used = 0;
    for (; i < until && status; ++i) {
      auto read = co_await window.load(batches[i].position, batches[i].bytes);
      if (!read || read->size() != batches[i].bytes || !model::verify_batch(*read, seed_)) {
        status = fail(Errc::corrupt, old->path);
        break;
      }
      std::memcpy(out + k_frame_bytes + used, read->data(), read->size());
      frame.headers_crc =
          crc32c(read->view().first(limits::k_batch_header_bytes), frame.headers_crc);
      BatchPlace there = batches[i];
      there.position = fresh->write_position + k_frame_bytes + used;
      fresh->add(there);
      used += read->size();
    }
    if (!status) break;
    encode_frame(frame, seed_, MutableBytes(out, k_frame_bytes));
    Slice whole(buffer);
    status = co_await call<void>([&](env::Done<void> done) {
      fresh->file->write_at(fresh->write_position, {whole}, env::Sync::yes, std::move(done));
    });
    if (!status) {
      dead_ = true;
      loop().fail_stop(status.error());
      co_return fail(std::move(status.error()));
    }
    fresh->write_position += extent;
  }
  if (status) {
    Manifest m = manifest_;
    for (SegmentEntry& e : m.segments)
      if (e.id == old->id) e = fresh->sealed_entry();
    m.retired.push_back(old->id);
    m.next_segment_id = id + 1;
    status = co_await change_manifest(m);
  }
  if (!status) {
    (void)co_await host_.dispose(fresh->path, fresh->reserved, false);
    if (status.error().code == Errc::corrupt) co_return false;
    co_return fail(std::move(status.error()));
  }
  fresh->sealed = true;
  for (SegmentRef& s : segments_)
    if (s == old) s = fresh;
  dropped_.emplace_back(old, true);
  (void)co_await write_index(fresh);
  host_.world().trace.probe("log.thin.rewritten");
  co_return true;
}

}  // namespace bascule::log

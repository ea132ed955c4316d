// The tail above the bound, verified and copied into a new segment from one read.
//
// Why copied: a life that failed a sync may have left pages that are marked clean and are not on the
// disk; the next life reads them, "syncs" (nothing is dirty) and would call them durable. And a dead
// life's direct writes may still land in its files, so none of those is ever written again.
#include <algorithm>

#include "src/base/crc32c.h"
#include "src/log/log_impl.h"

namespace bascule::log {

Co<void> LogImpl::begin_after_copy(const Verdict& verdict, bool clean) {
  host_.world().trace.probe("log.recovery.tail_copied");
  uint64_t reserve = host_.options().extent_bytes_first;
  for (const KeptGroup& kept : verdict.kept)
    if (kept.group.batches.back().base >= verdict.copy_from) reserve += kept.group.extent;
  const uint64_t id = manifest_.next_segment_id;
  auto made = co_await new_segment(reserve, false, id);
  if (!made) co_return fail(std::move(made.error()));
  const SegmentRef fresh = *made;
  fresh->first = verdict.copy_from;
  fresh->end = verdict.copy_from;
  auto copied = co_await copy_into(fresh, verdict);
  if (!copied) co_return fail(std::move(copied.error()));
  leo_ = *copied;
  fresh->end = leo_;
  // The name was synced when the segment was made; the copied groups were synced writes.
  std::vector<SegmentRef> kept;
  std::vector<uint64_t> dropped;
  std::vector<uint64_t> unused;
  for (size_t i = 0; i < segments_.size(); ++i) {
    const SegmentRef& s = segments_[i];
    if (i < first_scanned_ || s->sealed || !s->empty()) {
      kept.push_back(s);
    } else {
      const bool held =
          std::any_of(verdict.kept.begin(), verdict.kept.end(),
                      [&](const KeptGroup& k) { return k.segment + first_scanned_ == i; });
      (held ? dropped : unused).push_back(s->id);
    }
  }
  Manifest m = manifest_;
  ++m.generation;
  std::vector<SegmentEntry> entries;
  for (const SegmentRef& s : kept) {
    SegmentEntry e = s->sealed_entry();
    e.never_write = e.never_write || (!clean && !s->sealed);
    entries.push_back(e);
  }
  SegmentEntry e = fresh->entry();
  e.based = true;
  entries.push_back(e);
  m.segments = std::move(entries);
  if (!verdict.cut)
    for (const uint64_t gone : unused) m.retired.push_back(gone);
  m.next_segment_id = id + 1;
  m.damaged = damaged_;
  m.recovery_offset = leo_;
  m.recovery_segment = id;
  m.recovery_position = fresh->write_position;
  auto changed = co_await change_manifest(m);
  if (!changed) co_return changed;
  for (const SegmentRef& s : kept) {
    s->never_write = s->never_write || (!clean && !s->sealed);
    s->sealed = true;
  }
  segments_ = std::move(kept);
  segments_.push_back(fresh);
  active_ = fresh;
  co_return Status();
}

// Gives the end of what was copied: below verdict.leo where the second reading of the tail failed.
Co<Offset> LogImpl::copy_into(const SegmentRef& fresh, const Verdict& verdict) {
  Offset at = verdict.copy_from;
  bool ended = false;
  for (size_t g = 0; g < verdict.kept.size() && !ended; ++g) {
    const KeptGroup& kept = verdict.kept[g];
    const SegmentRef from = segments_[kept.segment + first_scanned_];
    FileWindow window(*from->file, from->reserved);
    std::vector<BatchPlace> batches;
    uint64_t bytes = 0;
    for (const BatchPlace& b : kept.group.batches)
      if (b.base >= verdict.copy_from) {
        batches.push_back(b);
        bytes += b.bytes;
      }
    if (batches.empty()) continue;
    const uint64_t extent = group_extent(bytes);
    BufferRef buffer = BufferRef::allocate(static_cast<size_t>(extent), k_group_alignment);
    uint8_t* out = buffer.mutable_bytes().data();
    std::memset(out, 0, static_cast<size_t>(extent));
    Frame frame{.nonce = fresh->nonce,
                .write_number = fresh->write_number,
                .position = fresh->write_position,
                .batch_bytes = 0,
                .batch_count = 0,
                .first = batches.front().base,
                .durable_leo = verdict.bound,
                .headers_crc = 0};
    std::vector<BatchPlace> placed;
    for (size_t i = 0; i < batches.size(); ++i) {
      const BatchPlace batch = batches[i];
      auto read = co_await window.load(batch.position, batch.bytes);
      const bool good =
          read && read->size() == batch.bytes && model::verify_batch(*read, seed_).has_value();
      if (!good) {
        if (batch.next > verdict.bound) {
          ended = true;  // above the bound, a group is whole or not at all
          break;
        }
        note_damage({{batch.base, batch.next}});
        continue;
      }
      std::memcpy(out + k_frame_bytes + frame.batch_bytes, read->data(), batch.bytes);
      frame.headers_crc =
          crc32c(read->view().first(limits::k_batch_header_bytes), frame.headers_crc);
      BatchPlace there = batch;
      there.position = fresh->write_position + k_frame_bytes + frame.batch_bytes;
      placed.push_back(there);
      frame.batch_bytes += batch.bytes;
      ++frame.batch_count;
    }
    if (ended) {
      recovery_.cut_at = at;
      break;
    }
    if (placed.empty()) continue;
    frame.first = placed.front().base;
    encode_frame(frame, seed_, MutableBytes(out, k_frame_bytes));
    Slice whole(buffer, 0, static_cast<size_t>(group_extent(frame.batch_bytes)));
    auto written = co_await call<void>([&](env::Done<void> done) {
      fresh->file->write_at(fresh->write_position, {whole}, env::Sync::yes, std::move(done));
    });
    if (!written) {
      dead_ = true;
      loop().fail_stop(written.error());
      co_return fail(std::move(written.error()));
    }
    for (const BatchPlace& b : placed) {
      if (fresh->empty()) fresh->first = b.base;
      fresh->add(b);
    }
    fresh->write_position += whole.size();
    ++fresh->write_number;
    at = batches.back().next;
  }
  // The end of a damaged log may lie beyond its last batch.
  co_return ended ? std::max(at, verdict.bound) : verdict.leo;
}

}  // namespace bascule::log

#include "src/log/index.h"

#include <algorithm>

#include "src/base/codec.h"
#include "src/base/crc32c.h"

namespace bascule::log {
namespace {
constexpr uint32_t k_index_magic = 0x49637342;  // "BscI"
constexpr uint32_t k_index_version = 1;
}  // namespace

BatchPlace place_of(const model::BatchHeader& h, uint64_t position) {
  return {h.base_offset, h.next_offset(), h.epoch, h.append_time, position, h.total_bytes};
}

void SegmentIndex::add(const BatchPlace& batch) {
  const bool hole = !entries_.empty() && batch.base != next_;
  // Batches share an offset where all but the last take none (control batches); an entry is always the
  // first of them, or a reader of that offset would miss it.
  const bool shares = !entries_.empty() && batch.base == last_base_;
  next_ = batch.next;
  last_base_ = batch.base;
  if (shares) return;
  if (entries_.empty() || hole || batch.position - entries_.back().position >= interval_bytes_)
    entries_.push_back({batch.base, batch.position, batch.append_time});
}

const SegmentIndex::Entry* SegmentIndex::floor(Offset offset) const {
  const auto it = std::upper_bound(entries_.begin(), entries_.end(), offset,
                                   [](Offset o, const Entry& e) { return o < e.offset; });
  return it == entries_.begin() ? nullptr : &*std::prev(it);
}

const SegmentIndex::Entry* SegmentIndex::above(Offset offset) const {
  const auto it = std::upper_bound(entries_.begin(), entries_.end(), offset,
                                   [](Offset o, const Entry& e) { return o < e.offset; });
  return it == entries_.end() ? nullptr : &*it;
}

const SegmentIndex::Entry* SegmentIndex::before(WallTime time) const {
  if (entries_.empty()) return nullptr;
  const auto it = std::lower_bound(entries_.begin(), entries_.end(), time,
                                   [](const Entry& e, WallTime t) { return e.append_time < t; });
  return it == entries_.begin() ? &entries_.front() : &*std::prev(it);
}

Bytes SegmentIndex::encode(const Uuid& nonce) const {
  Bytes out;
  Writer w(out);
  w.fixed<uint32_t>(k_index_magic);
  w.fixed<uint32_t>(k_index_version);
  w.fixed<uint32_t>(0);
  w.fixed<uint64_t>(nonce.words[0]);
  w.fixed<uint64_t>(nonce.words[1]);
  w.varint(next_.value);
  w.varint(entries_.size());
  Entry last;
  for (const Entry& e : entries_) {
    w.varint(e.offset - last.offset);
    w.varint(e.position - last.position);
    w.signed_varint(e.append_time.ns - last.append_time.ns);
    last = e;
  }
  store_le<uint32_t>(out.data() + 8, crc32c(ByteView(out).subspan(12)));
  return out;
}

Result<SegmentIndex> SegmentIndex::decode(ByteView in, const Uuid& nonce, uint64_t interval_bytes) {
  Reader r(in);
  const auto magic = r.fixed<uint32_t>();
  const auto version = r.fixed<uint32_t>();
  const auto crc = r.fixed<uint32_t>();
  if (r.failed() || magic != k_index_magic || version != k_index_version ||
      crc != crc32c(in.subspan(12)))
    return fail(Errc::corrupt, "index: bad checksum");
  const auto word = r.fixed<uint64_t>();
  if (Uuid{{word, r.fixed<uint64_t>()}} != nonce)
    return fail(Errc::corrupt, "index: of another life of the segment");
  SegmentIndex index(interval_bytes);
  index.next_ = Offset(r.varint());
  Entry last;
  for (uint64_t n = r.varint(); n > 0 && !r.failed(); --n) {
    last.offset += r.varint();
    last.position += r.varint();
    last.append_time.ns += r.signed_varint();
    index.entries_.push_back(last);
  }
  BASCULE_TRY(r.finish("index"));
  return index;
}

}  // namespace bascule::log

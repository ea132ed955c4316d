// The sparse index of one segment: where batches lie, by offset and by append time.
//
// An entry about every `interval` bytes of file, and one after each hole; always rebuildable from the
// batches. For a sealed segment it is kept beside it (`<id>.index`), bound to the segment's life by its
// nonce; a file that does not verify is rebuilt, never trusted.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/model/batch.h"

namespace bascule::log {

// A batch in a segment file.
struct BatchPlace {
  Offset base;
  Offset next;
  Epoch epoch;
  WallTime append_time;
  uint64_t position = 0;  // of its header in the file
  uint32_t bytes = 0;

  bool operator==(const BatchPlace&) const = default;
};

BatchPlace place_of(const model::BatchHeader& header, uint64_t position);

class SegmentIndex {
 public:
  struct Entry {
    Offset offset;  // base of the batch at `position`
    uint64_t position = 0;
    WallTime append_time;

    bool operator==(const Entry&) const = default;
  };

  explicit SegmentIndex(uint64_t interval_bytes = 4096) : interval_bytes_(interval_bytes) {}

  // Batches come in the order of their positions.
  void add(const BatchPlace& batch);
  // The last entry at or below `offset`; null where there is none (the first batch is above it).
  const Entry* floor(Offset offset) const;
  // The last entry whose append time is below `time`, else the first one; null while empty.
  const Entry* before(WallTime time) const;
  // The first entry above `offset`.
  const Entry* above(Offset offset) const;
  bool empty() const { return entries_.empty(); }
  // Where the last batch that was added ends.
  Offset end() const { return next_; }
  const std::vector<Entry>& entries() const { return entries_; }

  Bytes encode(const Uuid& nonce) const;
  // `corrupt` also where the file belongs to another life or does not go exactly up to `end`.
  static Result<SegmentIndex> decode(ByteView in, const Uuid& nonce, uint64_t interval_bytes);

  bool operator==(const SegmentIndex& o) const {
    return entries_ == o.entries_ && next_ == o.next_;
  }

 private:
  uint64_t interval_bytes_;
  std::vector<Entry> entries_;
  Offset next_;       // end of the last batch added
  Offset last_base_;  // its base
};

}  // namespace bascule::log

// Reads a Raft store's segments from their two copies, and replays what they say.
//
// One group is in flight at a time, so all groups but the last were durable in both places before the
// next was begun. A group counts if it is whole in either copy. Where it is whole in neither, the log ends
// there as a torn tail, unless it must be there: the manifest counts it, or a later group of the same life
// lies beyond. Then it is rotten in both places, and nothing may be cut.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/raft/store_format.h"

namespace bascule::raft {

struct SegmentScan {
  std::vector<ParsedGroup> groups;  // views into the copies
  uint64_t groups_in_one_copy = 0;  // whole in one place alone: torn or rotten in the other
};

// `sealed`: something was written after it, so it has exactly `segment.groups`.
// `corrupt`, by the segment's name and the place: rotten in both copies, or copies that contradict.
Result<SegmentScan> scan_segment(const SegmentEntry& segment, bool sealed,
                                 const std::array<ByteView, 2>& copies);

// The log that the groups, one after the other, have made.
class Replay {
 public:
  // The log is empty and ends right before `first`.
  explicit Replay(Index first) : first_(first) {}

  // `corrupt`: it leaves a gap.
  Status apply(const ParsedGroup& group);
  Index first() const { return first_; }
  Index last() const { return Index(first_.value - 1 + entries_.size()); }
  const std::vector<EntryView>& entries() const { return entries_; }  // [first, last]

 private:
  Index first_;
  std::vector<EntryView> entries_;
};

}  // namespace bascule::raft

// Reads one segment of the metadata log from its two copies.
//
// One group is in flight at a time, so all groups but the last were durable in both places before the
// next was begun. A group counts if it is whole in either copy. Where it is whole in neither, the log ends
// there as a torn tail, unless a later group of the same life lies beyond: then something that must be
// there is rotten in both places, and nothing may be cut.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/controller/metadata_format.h"

namespace bascule::controller {

struct SegmentScan {
  std::vector<Entry> entries;  // views into the copies; the first has the segment's first index
  uint64_t groups = 0;
  uint64_t groups_in_one_copy = 0;  // whole in one place alone: torn or rotten in the other
};

// `corrupt`, by the segment's name and the place: rotten in both copies, or copies that contradict.
Result<SegmentScan> scan_segment(const SegmentEntry& segment,
                                 const std::array<ByteView, 2>& copies);

}  // namespace bascule::controller

// What recovery decides from what the scan found: a pure function, so that it can be tried against
// every subset of surviving blocks.
//
// Unsynced blocks survive a crash in any subset, so a valid batch behind an invalid region proves
// nothing by itself. What must be there is bounded by the highest of: the recovery point, the entry in
// `logs`, and the durable marks of all valid frames. Below that bound an invalid region is damage and
// nothing is cut; above it a batch counts only under a valid frame, a group whole or not at all, and
// the first gap ends the log. (Protocol-Aware Recovery, FAST '18.)
#pragma once

#include <optional>
#include <vector>

#include "src/log/format.h"
#include "src/log/scan.h"

namespace bascule::log {

struct VerdictInput {
  Offset start;                        // first offset of the first segment in `scans`
  Offset bound;                        // of the recovery point and of the entry in `logs`
  std::optional<Offset> end;           // the log is known to end here
  std::vector<SegmentEntry> segments;  // those from the recovery point on
  std::vector<SegmentScan> scans;      // one for each of them
  Epoch last_epoch;                    // of what lies below `start`
  WallTime last_append_time;
};

struct KeptGroup {
  size_t segment = 0;  // index in VerdictInput::segments
  ScannedGroup group;  // with the batches that count
};

struct Verdict {
  Offset bound;
  Offset leo;
  std::vector<KeptGroup> kept;       // in order
  std::vector<OffsetRange> damaged;  // below the bound, merged, ascending
  // First offset that needs a new home: of the tail above the bound, or of a group whose frame is
  // bad. Equals leo where nothing does.
  Offset copy_from;
  bool cut = false;  // something above the bound looked like log and does not count
};

Verdict judge(VerdictInput input);

}  // namespace bascule::log

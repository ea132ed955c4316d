#include "src/partition/retention.h"

namespace bascule::partition {

std::optional<Offset> retention_start(const std::vector<log::SegmentInfo>& segments,
                                      Offset log_start, Offset hw, WallTime wall, ClockTrust clock,
                                      const RetentionLimits& limits) {
  if (segments.empty()) return std::nullopt;
  uint64_t bytes_left = 0;
  for (const log::SegmentInfo& segment : segments) bytes_left += segment.bytes;
  const Offset end = segments.back().next;
  Offset start = log_start;
  for (size_t i = 0; i < segments.size(); ++i) {
    const log::SegmentInfo& segment = segments[i];
    if (segment.next > hw) break;
    const bool last = i + 1 == segments.size();
    const bool old = limits.age.ns != 0 && clock == ClockTrust::agree &&
                     wall - segment.last_append_time >= limits.age;
    const bool over_bytes = limits.bytes != 0 && bytes_left - segment.bytes >= limits.bytes;
    const bool over_messages = limits.messages != 0 && end - segment.next >= limits.messages;
    if (!old && (last || (!over_bytes && !over_messages))) break;
    bytes_left -= segment.bytes;
    if (segment.next > start) start = segment.next;
  }
  if (start == log_start) return std::nullopt;
  return start;
}

ClockTrust ClockWatch::look(MonotonicTime now, WallTime wall) const {
  const Duration drift = (wall - wall_start_) - (now - start_);
  const bool agree =
      drift <= k_clock_disagreement_max && Duration{} - drift <= k_clock_disagreement_max;
  return agree ? ClockTrust::agree : ClockTrust::disagree;
}

}  // namespace bascule::partition

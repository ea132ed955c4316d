// Which whole segments of a log may go: by age, bytes or number of messages. Pure.
//
// Runs at the leader alone; followers are told the log start. Never past HW. Age is judged by append
// times, and a clock deletes nothing by itself: while the clocks disagree, age is not judged.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/log/log.h"

namespace bascule::partition {

// 0: no limit of that kind.
struct RetentionLimits {
  Duration age{};
  uint64_t bytes = 0;
  uint64_t messages = 0;

  bool any() const { return age.ns != 0 || bytes != 0 || messages != 0; }
  bool operator==(const RetentionLimits&) const = default;
};

enum class ClockTrust : uint8_t { agree, disagree };

// Where the log start may move to; none where nothing may go. At least `bytes` and `messages` are kept
// where they are there; the last segment goes by age alone.
std::optional<Offset> retention_start(const std::vector<log::SegmentInfo>& segments,
                                      Offset log_start, Offset hw, WallTime wall, ClockTrust clock,
                                      const RetentionLimits& limits);

// Tells whether the wall clock still agrees with the monotonic one, since the process began. Nobody can
// tell a clock that was set right from one that was set wrong, so a disagreement lasts until a restart
// or until the clock comes back.
class ClockWatch {
 public:
  ClockWatch(MonotonicTime now, WallTime wall) : start_(now), wall_start_(wall) {}
  ClockTrust look(MonotonicTime now, WallTime wall) const;

 private:
  MonotonicTime start_;
  WallTime wall_start_;
};

inline constexpr Duration k_clock_disagreement_max = seconds(60);

}  // namespace bascule::partition

// Where a subscription begins, resolved against a partition's log. Pure.
#pragma once

#include <optional>
#include <vector>

#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/broker/api.h"
#include "src/log/log.h"

namespace bascule::broker {

// The log as a consumer may see it: [log_start, hw).
struct VisibleLog {
  Offset log_start;
  Offset hw;
  WallTime wall;  // the leader's
  // Of the whole log, ascending.
  const std::vector<log::EpochStart>& epochs;
};

struct ResolvedStart {
  // First offset to deliver, unless `time` is set: then find it.
  Offset first;
  std::optional<WallTime> time;
  // The position is not on this log's history: its common part ends here (KIP-320).
  std::optional<Offset> diverged_at;
};

ResolvedStart resolve_start(const StartPosition& from, const VisibleLog& log);

}  // namespace bascule::broker

#include "src/partition/follower.h"

#include <algorithm>

#include "src/partition/follower_sessions.h"

namespace bascule::partition {
namespace {

// Both logs agree up to the smaller of the two ends of the common epoch, and perhaps less: then the leader
// says so again, of an earlier epoch.
FollowerStep cut_to_common(const FetchAnswer& answer, const FollowerLog& log,
                           const FollowerStanding& standing) {
  Offset to = std::min(answer.common_end, end_of_epoch(answer.common_epoch, log.epochs, log.leo));
  if (to >= log.leo) return {FollowerVerb::wait, {}};  // no answer to what was asked
  to = std::max(to, log.log_start);
  // What is below the own HW was committed: a leader that lacks it was elected wrongly, unless somebody
  // has decided, since then, to lose it.
  const bool decided = standing.loss_at && *standing.loss_at > log.last_epoch;
  if (to < log.hw && !decided) return {FollowerVerb::refuse, to};
  return {FollowerVerb::cut, to};
}

}  // namespace

FollowerStep follow(const FetchAnswer& answer, const FollowerLog& log,
                    const FollowerStanding& standing) {
  switch (answer.outcome) {
    case FetchOutcome::records: return {FollowerVerb::append, {}};
    case FetchOutcome::diverging: return cut_to_common(answer, log, standing);
    case FetchOutcome::below_start:
      // Others may still count on what is here: first it must leave their sets, by falling behind.
      if (standing.counted || answer.log_start < log.log_start) return {FollowerVerb::wait, {}};
      return {FollowerVerb::begin_anew, answer.log_start};
    case FetchOutcome::not_now: return {FollowerVerb::wait, {}};
  }
  return {FollowerVerb::wait, {}};
}

}  // namespace bascule::partition

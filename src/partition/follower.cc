#include "src/partition/follower.h"

#include <algorithm>

#include "src/partition/follower_sessions.h"

namespace bascule::partition {
namespace {

// What is below the own HW was committed: a leader that lacks it was elected wrongly, unless somebody has
// decided, since then, to lose it.
FollowerStep cut_or_refuse(Offset to, const FollowerLog& log, const FollowerStanding& standing) {
  const bool decided = standing.loss_at && *standing.loss_at > log.last_epoch;
  if (to < log.hw && !decided) return {FollowerVerb::refuse, to};
  return {FollowerVerb::cut, to};
}

// Both logs agree up to the smaller of the two ends of the common epoch, and perhaps less: then the leader
// says so again, of an earlier epoch.
FollowerStep cut_to_common(const FetchAnswer& answer, const FollowerLog& log,
                           const FollowerStanding& standing) {
  Offset to = std::min(answer.common_end, end_of_epoch(answer.common_epoch, log.epochs, log.leo));
  if (to >= log.leo) return {FollowerVerb::wait, {}};  // no answer to what was asked
  return cut_or_refuse(std::max(to, log.log_start), log, standing);
}

// The leader's log begins above this one's end, or with epochs that are later than all here.
FollowerStep from_the_leaders_start(const FetchAnswer& answer, const FollowerLog& log,
                                    const FollowerStanding& standing) {
  const Offset start = answer.log_start;
  if (start < log.log_start) return {FollowerVerb::wait, {}};
  if (!standing.counted) return {FollowerVerb::begin_anew, start};
  // Others count on what is here, so it has all that is committed, and that goes up to the leader's start at
  // least. What lies above is of epochs that the leader never had.
  if (start <= log.leo) return cut_or_refuse(start, log, standing);
  return {FollowerVerb::wait, {}};
}

}  // namespace

FollowerStep follow(const FetchAnswer& answer, const FollowerLog& log,
                    const FollowerStanding& standing) {
  switch (answer.outcome) {
    case FetchOutcome::records: return {FollowerVerb::append, {}};
    case FetchOutcome::diverging: return cut_to_common(answer, log, standing);
    case FetchOutcome::below_start: return from_the_leaders_start(answer, log, standing);
    case FetchOutcome::not_now: return {FollowerVerb::wait, {}};
  }
  return {FollowerVerb::wait, {}};
}

}  // namespace bascule::partition

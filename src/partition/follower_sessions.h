// What the leader of one epoch knows of its followers: a pure machine. A follower's numbers count only in a
// session whose end the leader has found on its own log, and only of the life that the metadata names;
// what a session said is replaced by the next one's, never maxed.
//
//   fetch ──judge──▶ matched: stands until there is something to send   ──▶ serve
//              └───▶ diverging, below_start, not_now: answered at once, and counts nothing
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/log/log.h"
#include "src/partition/replication.h"

namespace bascule::partition {

// The leader's log, as judging a follower's end needs it.
struct LogEnds {
  Offset log_start;
  Offset leo;
  const std::vector<log::EpochStart>& epochs;
};

// Whether the follower's end lies on the leader's log. `records`: it does. Else outcome, common epoch and
// end, or log start are set.
FetchAnswer judge_end(const FetchFrom& fetch, const LogEnds& log);

// Where `epoch` ends in a log: the start of the next one, or LEO. Also for an epoch that the log lacks.
Offset end_of_epoch(Epoch epoch, const std::vector<log::EpochStart>& epochs, Offset leo);

class FollowerSessions {
 public:
  struct Follower {
    Incarnation incarnation;
    uint64_t session = 0;
    bool matched = false;  // its end was found on the leader's log, in this session
    bool asking = false;   // a fetch stands
    bool reading = false;  // the driver reads for it
    Offset next;           // what it asks for
    ReplicaProgress progress;
    Offset hw_known;          // the last one told
    Offset log_start_known;   // likewise
    MonotonicTime caught_up;  // when it last had all that the leader had
    Offset mark;              // LEO at mark_time: reached later, it had been caught up at mark_time
    MonotonicTime mark_time;
  };

  explicit FollowerSessions(Epoch epoch) : epoch_(epoch) {}

  // Lives that may follow, as the metadata says; all others are forgotten.
  void allow(const std::vector<ReplicaLife>& followers, MonotonicTime now);

  // `records` with no batches: matched, the fetch stands. Anything else is to be sent. nullopt: nobody to
  // answer (an earlier session).
  std::optional<FetchAnswer> fetch(const FollowerSession& from, const FetchFrom& fetch,
                                   const LogEnds& log);
  // Whether it counts. `counted`: of the report, by the leader's durability mode.
  bool progress(const FollowerSession& from, const ProgressReport& report, Offset counted,
                Offset leo, MonotonicTime now);
  // The leader's own view of time: those who have all of the log are caught up now.
  void note_time(Offset leo, model::DurabilityMode mode, MonotonicTime now);

  Follower* find(NodeId node);
  const Follower* find(NodeId node) const;
  std::map<NodeId, Follower>& all() { return followers_; }
  const std::map<NodeId, Follower>& all() const { return followers_; }

 private:
  void advance_mark(Follower& follower, Offset counted, Offset leo, MonotonicTime now);

  Epoch epoch_;
  std::map<NodeId, Follower> followers_;
};

}  // namespace bascule::partition

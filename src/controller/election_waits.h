// Who ends the wait for reports: a pure machine of the active controller.
//
// Where every candidate is in doubt, those who have reported elect once all have, or when a time has passed
// since the first report of the leaderless epoch and enough have reported (REPLICATION rule 11c; the time of
// `memory` partitions is that of rule 10). The table does the first by itself; this machine measures the
// time and says what to propose. A new controller measures anew: waiting longer is safe.
#pragma once

#include <map>
#include <utility>

#include "src/base/time.h"
#include "src/controller/metadata_table.h"

namespace bascule::controller {

class ElectionWaits {
 public:
  // The waits that are over and whose reports suffice, in one command; empty: none. The same again until
  // that has been applied.
  EndElectionWait tick(MonotonicTime now, const MetadataTable& table);
  // When tick() may have something new; never() where nothing is waited for. As of the last tick.
  MonotonicTime next_deadline() const { return next_; }

 private:
  struct Wait {
    Epoch epoch;
    MonotonicTime since;
  };

  std::map<PartitionId, Wait> waits_;  // those of the last tick
  MonotonicTime next_ = MonotonicTime::never();
};

}  // namespace bascule::controller

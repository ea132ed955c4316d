// Where a member keeps its term, vote, log and snapshot. On the disk each group lies in two places, both
// synced before anything depends on it, so that rot is told apart from a torn tail and no entry is ever cut
// because of rot (Protocol-Aware Recovery, FAST '18; here by a second copy).
#pragma once

#include <memory>

#include "src/env/loop.h"
#include "src/env/world.h"
#include "src/raft/raft.h"

namespace bascule::raft {

class Store {
 public:
  virtual ~Store() = default;

  // Completes when all of it is durable in both places. Calls may overlap; they complete in order, and what a
  // turn brings together is written together. `no_space`: nothing of it was written and never will be; the
  // caller steps down (Raft::set_can_persist) and may call again with the same. Space that is kept back makes
  // sure that a Persist without entries never gets that answer. Any other failure ends the process.
  virtual void persist(Persist persist, env::Done<void> done) = 0;
  // Keeps the state machine's snapshot as of meta.index (committed, applied) and drops what it covers, but for
  // the last `keep` entries. `no_space`: nothing has changed.
  virtual void save_snapshot(Snapshot snapshot, uint64_t keep, env::Done<void> done) = 0;
  // Gives the space kept back to another file that a broker cannot do without.
  virtual void lend_reserve(env::Done<void> done) = 0;
  // Completes when what was given is written and the clean stop is recorded.
  virtual void stop(env::Done<void> done) = 0;
};

}  // namespace bascule::raft

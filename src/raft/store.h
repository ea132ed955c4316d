// Where a member keeps its term, vote, log and snapshot. On the disk each group lies in two places, both
// synced before anything depends on it, so that rot is told apart from a torn tail and no entry is ever cut
// because of rot (Protocol-Aware Recovery, FAST '18; here by a second copy).
#pragma once

#include <memory>
#include <utility>

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
  // sure that a Persist without entries and without a snapshot never gets that answer. After one such answer
  // all that was given meanwhile and changes the log gets it too: it may build on what was refused. A hard
  // state of an earlier term than the durable one changes nothing, so a call that was refused may come again
  // after a later one. `stopping`: stop was called before. Any other failure ends the process.
  virtual void persist(Persist persist, env::Done<void> done) = 0;
  // As persist, for entries that a broker with a full disk must still be able to write (deletions): they may
  // take the space that is kept back. It is taken back before the next entries of `persist`, which get
  // `no_space` until that succeeds.
  virtual void persist_urgent(Persist persist, env::Done<void> done) {
    this->persist(std::move(persist), std::move(done));
  }
  // Keeps the state machine's snapshot as of meta.index (committed, applied) and drops what it covers, but for
  // the last `keep` entries. Counts once all persist calls before it are durable. `no_space`: nothing has
  // changed. Success without effect: a later snapshot is there.
  virtual void save_snapshot(Snapshot snapshot, uint64_t keep, env::Done<void> done) = 0;
  // Gives the space kept back to another file that a broker cannot do without.
  virtual void lend_reserve(env::Done<void> done) = 0;
  // Completes when what was given is written and the clean stop is recorded.
  virtual void stop(env::Done<void> done) = 0;
};

}  // namespace bascule::raft

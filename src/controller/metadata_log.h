// The durable order of commands. propose(bytes) → committed in order; Raft's log takes its place alone.
//
// local_metadata_log.h implements it on one broker's disk.
#pragma once

#include <cstdint>
#include <functional>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/env/loop.h"

namespace bascule::controller {

// Who gets what is committed: each entry once, in order, in turns of the log's. An error ends the
// process by name (an entry that this program cannot read), or fails the opening.
class CommittedEntries {
 public:
  virtual ~CommittedEntries() = default;
  // The state as of `index`; at most once, before the first entry. `snapshot` is what save_snapshot got.
  virtual Status restore(Index index, ByteView snapshot) = 0;
  virtual Status apply(Index index, Term term, ByteView command) = 0;
};

// How much a command matters to a broker whose disk is full.
enum class Urgency : uint8_t {
  normal,     // refused (`no_space`) before anything is written
  essential,  // may use the space that is kept back: registrations, deletions
};

class MetadataLog {
 public:
  virtual ~MetadataLog() = default;

  // The log is not destroyed from inside a completion other than stop's.
  //
  // Completes with the entry's index right after CommittedEntries::apply of it, in the same turn.
  // `no_space`, `stopping`: it was not written and never will be. `outcome_unknown`: it may have been.
  virtual void propose(Slice command, Urgency urgency, env::Done<Index> done) = 0;
  virtual Index last_committed() const = 0;

  // Keeps `snapshot`, the state as of `index` (committed, beyond the last snapshot), and drops the entries
  // that it covers. Durable when complete; proposals go on meanwhile. One at a time. `no_space`: nothing has
  // changed.
  virtual void save_snapshot(Index index, Slice snapshot, env::Done<void> done) = 0;

  // Gives the space that is kept back to another file that a broker cannot do without. It is taken back
  // before the next normal proposal.
  virtual void lend_reserve(env::Done<void> done) = 0;

  // Completes when what was proposed is written and the clean stop is recorded. Proposals that were not
  // begun get `stopping`.
  virtual void stop(env::Done<void> done) = 0;
};

}  // namespace bascule::controller

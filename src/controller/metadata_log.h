// The durable order of commands: what the metadata log and the table say to each other.
// raft_metadata_log.h is the log.
#pragma once

#include <cstdint>

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
  // The state as of `index` takes the place of all that there is: at the start, and whenever the leader has
  // sent what this broker is too far behind to get as entries. `snapshot` is what save_snapshot got.
  virtual Status restore(Index index, ByteView snapshot) = 0;
  virtual Status apply(Index index, Term term, ByteView command) = 0;
};

// How much a command matters to a broker whose disk is full.
enum class Urgency : uint8_t {
  normal,     // refused (`no_space`) before anything is written
  essential,  // may use the space that is kept back: registrations, deletions
};

}  // namespace bascule::controller

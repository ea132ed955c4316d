// Raft's store on a broker's disk: each group of a persist lies in two places, both synced.
//
// FORMAT.md has the files, what each crash can leave behind and how a start tells a torn tail from damage. In
// short: what calls bring together is one group, written to two files in parallel, which counts once both are
// synced; one group is in flight at a time; each group carries the hard state, and a cut of the log is a group
// that begins below the log's end, so nothing is written over; every start copies what is beyond the snapshot
// to new files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "src/base/ids.h"
#include "src/env/world.h"
#include "src/raft/store.h"

namespace bascule::raft {

struct DiskStoreOptions {
  std::string directory = "metadata";
  uint64_t extent_bytes = 256 << 10;      // a segment grows by this much at a time, in each place
  uint64_t group_bytes_max = 1 << 20;     // of entries; at least one call goes, whatever it brings
  uint64_t segment_bytes_max = 64 << 20;  // beyond it another one is begun
  uint64_t reserve_bytes = 1 << 20;       // kept back on the disk for what cannot be refused
  // After it, an idle log writes that its end is durable.
  Duration idle_mark_delay = milliseconds(100);
  Duration no_space_retry = milliseconds(20);  // for a hard state that no space can be found for
};

struct OpenedStore {
  std::unique_ptr<Store> store;
  StoredState state;   // without an incarnation: that is kept elsewhere
  bool clean = false;  // the life before ended with Store::stop
};

// Makes a store that holds `initial` (empty, Raft::bootstrap's, or with a snapshot); what a formatting that
// was cut short has left is removed. Durable when complete. Errors: `corrupt` (a store that was in use is
// there), `no_space`, `io_error`. `initial` lives until then.
void format_raft_store(env::World& world, DiskStoreOptions options, Uuid storage,
                       const StoredState& initial, env::Done<void> done);

// Opens the store of `storage` and repairs it; nothing of what it held may be relied on before it completes.
// Errors: `not_found` (no store is here), `corrupt` (of another storage, or rotten: names the file and what is
// missing in both places), `unsupported`, `io_error`, `no_space` (not even what is kept back was enough).
void open_raft_store(env::World& world, DiskStoreOptions options, Uuid storage,
                     env::Done<OpenedStore> done);

}  // namespace bascule::raft

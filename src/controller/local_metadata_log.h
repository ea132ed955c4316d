// The metadata log of a lone broker: committed is what is durable in its own Raft store. There is no machine:
// the broker is the only member, so all entries are of term 1 and nobody votes.
#pragma once

#include <memory>
#include <string>

#include "src/base/ids.h"
#include "src/controller/metadata_log.h"
#include "src/env/world.h"
#include "src/raft/disk_store.h"

namespace bascule::controller {

using LocalMetadataLogOptions = raft::DiskStoreOptions;

// Makes an empty log; what a formatting that was cut short has left is removed. Durable when complete.
// Errors: `corrupt` (a log that was in use is there), `no_space`, `io_error`.
void format_local_metadata_log(env::World& world, LocalMetadataLogOptions options, Uuid storage,
                               env::Done<void> done);

// Opens the log of `storage`, repairs it and hands what it holds to `committed` before it completes.
// Errors: `not_found` (no metadata log is here), `corrupt` (names the file and what is missing in both
// places), `unsupported`, `io_error`, `no_space`, and what `committed` answered.
void open_local_metadata_log(env::World& world, LocalMetadataLogOptions options, Uuid storage,
                             CommittedEntries& committed,
                             env::Done<std::unique_ptr<MetadataLog>> done);

}  // namespace bascule::controller

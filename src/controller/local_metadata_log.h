// The metadata log of a lone broker: committed is what is synced in two places of its own disk.
//
// METADATA_FORMAT.md has the files, what each crash can leave behind and how a start tells a torn tail from
// damage. In short: each group of entries is written to two files in parallel and counts once both are
// synced; one group is in flight at a time; every start copies the tail to new files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "src/base/ids.h"
#include "src/controller/metadata_log.h"
#include "src/env/world.h"

namespace bascule::controller {

struct LocalMetadataLogOptions {
  std::string directory = "metadata";
  uint64_t extent_bytes = 256 << 10;   // a segment grows by this much at a time, in each place
  uint64_t group_bytes_max = 1 << 20;  // at least one entry goes, whatever it says
  uint64_t reserve_bytes = 1 << 20;    // kept back on the disk for essential commands
  Duration idle_mark_delay =
      milliseconds(100);  // after it, an idle log writes that its end is durable
};

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

// Looking at logs without changing anything: what `log verify` and `log dump` are made of. Reads the
// files of a data directory whose broker is down (or at least not writing these logs).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/env/world.h"
#include "src/log/format.h"
#include "src/model/batch.h"

namespace bascule::log {

// What one segment file holds.
struct InspectedSegment {
  SegmentEntry listed;
  bool present = false;
  uint64_t file_bytes = 0;
  uint64_t groups = 0;           // whole ones under a valid frame
  uint64_t groups_unframed = 0;  // batches that verify under a bad frame
  uint64_t groups_broken = 0;    // a valid frame, and batches that do not verify
  uint64_t batches = 0;
  uint64_t batch_bytes = 0;
  Offset first;
  Offset next;          // [first, next) as found
  Offset durable_mark;  // highest of its frames
};

struct InspectedLog {
  std::string directory;
  Manifest manifest;
  std::vector<InspectedSegment> segments;
  std::vector<OffsetRange> damaged;  // missing or not verifying, below what must be there
  Offset log_start;
  Offset bound;  // what must be there ends here
  Offset end;    // where the batches that verify end
  std::vector<std::string> unknown_files;
};

struct InspectedStore {
  bool logs_readable = false;
  LogsFile logs;
  std::vector<LogDirectory> directories;
  std::vector<env::DirEntry> quarantine;
};

// Errors: `io_error` (the directory).
void inspect_store(env::World& world, std::string directory, env::Done<InspectedStore> done);

// One batch that verifies: its header, its bytes, where it lies.
using BatchVisitor = std::function<void(const model::BatchHeader& header, ByteView batch,
                                        uint64_t segment_id, uint64_t position)>;

// Walks one log, all of it; `visit` (may be null) is called for each batch in order, within turns of the
// loop. `directory` is the store's. Errors: `not_found`, `io_error` (the manifest cannot be read).
void inspect_log(env::World& world, std::string directory, LogDirectory log, BatchVisitor visit,
                 env::Done<InspectedLog> done);

}  // namespace bascule::log

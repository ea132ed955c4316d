// All logs of one data directory, and what they share: the node-wide file `logs`, the pool of recycled
// segments, the limit on disk use, quarantine and trash.
//
// Life: open() → open_log() for each partition of the metadata table → start_serving() (writes `logs`
// without *clean*, before any log is written) → work → stop() (writes `logs` with *clean*).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/base/ids.h"
#include "src/env/world.h"
#include "src/log/log.h"

namespace bascule::log {

struct LogStoreOptions {
  std::string directory = "logs";
  uint64_t segment_bytes = 64 << 20;           // of batches; a segment is rolled beyond it
  Duration segment_span = seconds(24 * 3600);  // of append time
  uint64_t extent_bytes_first = 64 << 10;      // reserved for a new segment; doubles with use
  uint64_t index_interval_bytes = 4096;
  uint64_t recovery_point_interval_bytes = 64 << 20;
  uint64_t group_bytes_max = 1 << 20;
  uint64_t disk_bytes_max = 0;          // 0: what the disk has
  uint64_t pool_bytes_max = 256 << 20;  // of segments kept for recycling
  // What is kept of files that were cut or are not known: the oldest go first, the newest one stays.
  uint64_t quarantine_bytes_max = 256 << 20;
  uint64_t quarantine_files_max = 1000;
  // Kept free for a start on a full disk: `logs`, manifests, the copies of tails. 0: nothing is kept.
  uint64_t reserve_bytes = 1 << 20;
  uint64_t tail_bytes_max = 8 << 20;  // of recent batches kept in memory, per log
  Duration memory_sync_interval = milliseconds(200);
};

struct LogOptions {
  PartitionId partition;
  AssignmentId assignment;
  Uuid log_id;  // the partition's, the same on all replicas
  model::DurabilityMode durability = model::DurabilityMode::fsync;
  uint64_t segment_bytes = 0;  // 0: the store's
  // Index of the command that assigned the replica here, kept in the manifest.
  Index metadata_index;
};

// One log directory found on disk.
struct FoundLog {
  PartitionId partition;
  AssignmentId assignment;
  Index metadata_index;  // as its manifest says
};

class LogStore {
 public:
  virtual ~LogStore() = default;

  // True when the last stop was clean. Known after open.
  virtual bool clean_start() const = 0;
  // There was no file `logs`: nothing that was here before is. On a directory that has served, all is lost.
  virtual bool made_anew() const = 0;
  virtual const std::vector<FoundLog>& found() const = 0;

  // Recovers the log, or makes an empty one where none is on disk and none was promised. Where `logs` lists
  // it and the disk does not have it, the log is made empty, and its report says `lost`.
  // Errors: `io_error` (the manifest cannot be read: the report is damage of all of it), `no_space`,
  // `overloaded` (no descriptor is free: nothing is known of it; try again).
  virtual void open_log(LogOptions options, env::Done<std::unique_ptr<Log>> done) = 0;
  // Ends recovery: from now on logs may be appended to. Before it, append is the caller's bug. On a disk
  // without room for `logs` it succeeds, and all logs are read-only (make_space and what else changes
  // them answers `no_space`) until there is room, which is looked for once a second.
  virtual void start_serving(env::Done<void> done) = 0;
  // After start_serving: `logs` is written for this life. While it is not, a stop leaves what an earlier life
  // has said, clean or not.
  virtual bool writable() const = 0;
  // Forgets the suspect mark, after the metadata that cleared it has been applied. Durable when complete.
  virtual void clear_suspect(PartitionId partition, env::Done<void> done) = 0;
  virtual bool suspect(PartitionId partition) const = 0;
  // Moves the directory of a stopped or never opened log to the trash and removes it in the background.
  // `applied` is the index of the metadata that shows the deletion; refused (`invalid`) unless it is
  // beyond the index written in the manifest.
  virtual void delete_log(PartitionId partition, AssignmentId assignment, Index applied,
                          env::Done<void> done) = 0;

  virtual uint64_t disk_bytes() const = 0;
  // Age of the oldest write of any log that has not ended; 0: there is none.
  virtual Duration oldest_write() const = 0;
  // All logs must have been stopped. Writes `logs` with *clean*.
  virtual void stop(env::Done<void> done) = 0;
};

// Opens the store: syncs and reads the directory, `logs`, and every manifest. Errors: `io_error`,
// `unsupported` (written by a later version).
void open_log_store(env::World& world, LogStoreOptions options,
                    env::Done<std::unique_ptr<LogStore>> done);

}  // namespace bascule::log

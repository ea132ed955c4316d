// The commit log of one partition on one disk: an ordered run of batches in [log_start, leo).
//
// Where it stands: the partition stamps a batch and appends it; the log copies it into the group that
// the current turn gathers, writes groups side by side, and tells when the contiguous prefix is durable.
// Readers get the same bytes back, from memory while they are recent. FORMAT.md has the formats and
// what each crash leaves behind; log_store.h opens logs and owns what logs of a node share.
//
// Invariants: log_start <= durable_leo <= written_leo <= leo. Offsets are contiguous (a batch begins
// where the one before ends). Epochs and append times never decrease along the log.
//
// All calls come from the loop's thread. A failed sync, or EIO on a write, ends the process
// (Loop::fail_stop); no call reports it. Errors of single calls are given at each.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/env/loop.h"
#include "src/model/batch.h"
#include "src/model/stream_config.h"

namespace bascule::log {

// [first, next)
struct OffsetRange {
  Offset first;
  Offset next;
  bool operator==(const OffsetRange&) const = default;
};

// What recovery can say of a log.
enum class Condition : uint8_t {
  clean,    // the last stop was clean and the log is exactly what it said
  suspect,  // unclean stop: all that must be there is there; a later tail may have been lost to rot
  damaged,  // something that must be there is not: nothing was cut, `damaged` has the ranges
};

struct RecoveryReport {
  Condition condition = Condition::clean;
  bool created = false;  // there was no directory, and none had been promised
  bool lost = false;     // `logs` lists it and the disk does not have it: lost storage
  // After an unclean stop: the machine has started anew since, so what was written and not synced is
  // gone (in memory mode that may have been acknowledged).
  bool page_cache_lost = false;
  std::vector<OffsetRange> damaged;
  // What was cut above the bound: first offset that may have been there, and bytes kept in quarantine.
  std::optional<Offset> cut_at;
  uint64_t quarantined_bytes = 0;
};

// Position in the order of appends. durable(ticket) speaks of it and all before it.
using Ticket = StrongId<struct TicketTag>;

struct Appended {
  Ticket ticket;
  Offset base_offset;
  Offset next_offset;
};

struct ReadOptions {
  Offset from;           // need not be a batch's first offset: the batch that holds it comes first
  Offset until;          // batches that begin at or after it are not given (HW for consumers)
  size_t bytes_max = 0;  // at least one batch is given, whatever this says
};

// Whole batches, contiguous, in order; each slice holds one or more of them, end to end.
struct ReadResult {
  std::vector<Slice> batches;
  Offset next;  // where to read on; == from (and no batches) when there is nothing yet
};

struct EpochStart {
  Epoch epoch;
  Offset start;  // offset of the epoch's first batch
  bool operator==(const EpochStart&) const = default;
};

// One segment, as retention weighs it.
struct SegmentInfo {
  Offset first;  // [first, next)
  Offset next;
  uint64_t bytes = 0;         // of batches
  WallTime last_append_time;  // of its last batch
  bool operator==(const SegmentInfo&) const = default;
};

struct LogStats {
  uint64_t bytes = 0;  // of batches, in all segments
  uint64_t segments = 0;
  uint64_t groups_written = 0;
  uint64_t bytes_written = 0;  // groups with frames and padding
};

class Log {
 public:
  virtual ~Log() = default;

  virtual const Uuid& id() const = 0;  // seeds the header CRCs of this partition
  virtual Offset log_start() const = 0;
  virtual Offset leo() const = 0;
  // Handed to the operating system (memory mode counts this) and synced, contiguous from the start.
  virtual Offset written_leo() const = 0;
  virtual Offset durable_leo() const = 0;
  // Epoch of the last batch; 0 while empty.
  virtual Epoch last_epoch() const = 0;
  // Append time of the last batch; the next one's is at least this.
  virtual WallTime last_append_time() const = 0;
  // Epochs of the log with their first offsets, ascending; derived from the batches alone.
  virtual const std::vector<EpochStart>& epochs() const = 0;
  virtual const RecoveryReport& recovery() const = 0;
  virtual LogStats stats() const = 0;
  // Segments that hold batches, ascending; the last one may still grow. Retention drops whole ones.
  virtual std::vector<SegmentInfo> segments() const = 0;

  // Whether an append of `bytes` (batch with header) has its space reserved now.
  virtual bool has_space(size_t bytes) const = 0;
  // Completes when has_space(bytes) holds; completions in the order of the calls. `no_space`: the disk
  // or its limit is full, and nothing partial stays; `stopping`.
  virtual void make_space(size_t bytes, env::Done<void> done) = 0;

  // Appends a batch at LEO. Requires has_space(header.total_bytes), header.base_offset == leo(), epoch
  // and append time not below the last ones. `body` is copied within the call; the header is sealed with
  // the log's id. Readers of this process see it at once; it is written at the end of the turn or with
  // the next group.
  virtual Appended append(const model::BatchHeader& header, ByteView body) = 0;
  // Appends a sealed batch from the leader, as it is. `corrupt` (CRCs), `invalid` (not at LEO, epoch or
  // append time falls): nothing was appended. Requires space.
  virtual Result<Appended> append_sealed(ByteView batch) = 0;

  // Completes when all up to the ticket is durable (synced), or written, on this disk. In order.
  virtual void durable(Ticket ticket, env::Done<void> done) = 0;
  virtual void written(Ticket ticket, env::Done<void> done) = 0;
  // Called in a turn of its own whenever durable_leo or written_leo has moved. One observer.
  virtual void on_progress(std::move_only_function<void()> observer) = 0;
  // fsync: each group is a synced write. memory: groups go to the page cache; sync() and the interval
  // make them durable. Takes effect with the next group.
  virtual void set_durability(model::DurabilityMode mode) = 0;
  // Makes durable all that was appended before the call.
  virtual void sync(env::Done<void> done) = 0;

  // Whole batches from the one that holds `from` on. Errors: `not_found` (from < log_start: the context
  // says it; or from > leo), `corrupt` (damaged range: what lies before it was given by earlier reads),
  // `io_error`, `stream_deleted`, `stopping`.
  virtual void read(ReadOptions options, env::Done<ReadResult> done) = 0;
  // First offset of the first batch whose append time is >= `time`; leo() where there is none.
  virtual void find_time(WallTime time, env::Done<Offset> done) = 0;

  // Cuts everything at and after `to` (log_start <= to <= leo; a batch that holds `to` in its middle goes
  // too, so the end may be below `to`: see leo() afterwards). Durable when complete. Appends meanwhile are the caller's bug.
  virtual void truncate(Offset to, env::Done<void> done) = 0;
  // Lets go of everything, damage too: the log is empty and begins at `at`, which is also its high watermark.
  // Durable when complete. Appends meanwhile are the caller's bug.
  virtual void restart_at(Offset at, env::Done<void> done) = 0;
  // Moves log_start up to `to` (<= durable_leo) and drops whole segments below. Durable when complete.
  virtual void set_log_start(Offset to, env::Done<void> done) = 0;
  // The high watermark, to be kept for the next start (not durable by itself; may be older then).
  virtual void note_hw(Offset hw) = 0;
  // As recovered: at most what note_hw was told, at most LEO.
  virtual Offset recovered_hw() const = 0;

  // Rewrites thin sealed segments densely, one at a time, in slices of the loop's time. Completes when
  // none is left that is worth it. The driver calls it now and then.
  virtual void compact_thin_segments(env::Done<void> done) = 0;

  // Completes when all writes have ended and are durable; no completion runs after. Appends are refused
  // from now on.
  virtual void stop(env::Done<void> done) = 0;

  virtual void check_invariants() const = 0;
};

}  // namespace bascule::log

// What one log has promised, kept outside of all its lives: the ground truth of the oracles of a log.
//
// Every batch that was ever appended is known by its CRC-32C. Those that the log may still hold, in order,
// are the entries; of these a part is promised: it must be there after any legal crash.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/log/log.h"

namespace bascule::sim {

struct LedgerEntry {
  Offset base;
  Offset next;
  uint32_t crc = 0;  // of the whole batch
  WallTime append_time;
  Epoch epoch;
  Offset durable_before;  // durable LEO when it was appended: the frame of its group says no less
};

class LogLedger {
 public:
  explicit LogLedger(const Uuid& log_id) : log_id_(log_id) {}

  // --- What happens.
  void appended(const LedgerEntry& entry);
  // All below `end` was acknowledged as synced, or (memory mode) as written.
  void promise_synced(Offset end);
  void promise_written(Offset end);
  // A truncation was asked for: what it cuts may go from now on. It has ended, with this LEO.
  void truncating(Offset to);
  void truncated(Offset leo);
  void moving_start(Offset to);
  void moved_start(Offset to);
  // A log was opened with this content: what it reports must stay.
  void recovered(Offset log_start, Offset leo);
  // The start is over: what is beyond the end is gone for good. (Before that a write of a dead life may
  // still land, and another opening find it.)
  void settled(Offset leo);
  // Pages may be gone or wrong though no machine crashed: nothing but synced bytes is promised.
  void forget_written() { written_ = std::min(written_, synced_); }
  // The plan has damaged the log's files: losses are allowed from now on, wrong bytes are not.
  void damage() { damaged_ = true; }
  // A clean stop, or a start that is over, has written down that the log reaches this far: from now on
  // damage below it can be told from a torn tail.
  void make_certain(Offset end) { certain_ = end; }
  // What was written down may itself be damaged.
  void forget_certain() { certain_ = {}; }

  // --- What is known.
  bool damaged() const { return damaged_; }
  Offset synced() const { return synced_; }
  Offset written() const { return written_; }
  Offset certain() const { return certain_; }
  // What two frames of different groups say is durable: one bad frame does not hide it.
  Offset marked() const;
  Offset start_min() const { return start_; }
  Offset start_max() const { return start_max_; }
  Offset end() const { return entries_.empty() ? end_ : std::max(end_, entries_.back().next); }
  const std::deque<LedgerEntry>& entries() const { return entries_; }
  // The entry that holds `offset`; null: none.
  const LedgerEntry* find(Offset offset) const;
  // A batch may end here, or begin.
  bool boundary(Offset offset) const;
  Epoch last_epoch() const { return entries_.empty() ? Epoch{} : entries_.back().epoch; }
  uint64_t truncations() const { return truncations_; }

  // --- Checks; empty: all is well. The first word is the oracle's name.
  // One whole batch as a read gave it. `strict`: it must be the present one at its place.
  std::string check_batch(ByteView batch, bool strict) const;
  // Whole batches end to end that should begin with the one that holds `from`; moves `from` behind them.
  std::string check_batches(ByteView batches, Offset& from, bool strict) const;
  // Whether the epochs of a log that holds [log_start, leo) are those of its batches.
  bool same_epochs(const std::vector<log::EpochStart>& theirs, Offset log_start, Offset leo) const;
  // First offset of the first batch in [log_start, leo) at or after the time; leo: none.
  Offset find_time(Offset log_start, Offset leo, WallTime time) const;

 private:
  Uuid log_id_;
  std::deque<LedgerEntry> entries_;
  std::multimap<uint64_t, uint32_t> history_;  // base offset → CRC, of all that ever was
  Offset start_;                               // promised log start
  Offset start_max_;                           // where it may have moved to
  Offset end_;                                 // of a log without entries
  Offset synced_;
  Offset written_;
  Offset certain_;
  uint64_t truncations_ = 0;
  bool damaged_ = false;
};

}  // namespace bascule::sim

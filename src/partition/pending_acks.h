// Batches that are appended and not yet committed, in order of their offsets, with whoever waits for
// them. This is what stands between "appended" and "acknowledged", and what bounds the bytes between
// HW and LEO.
//
// From the append on there are two outcomes only: acked, or unknown (deadline, leadership lost). An
// unknown batch stays counted until it is committed: its bytes are in the log.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "src/base/ids.h"
#include "src/base/time.h"
#include "src/model/stream_config.h"

namespace bascule::partition {

// Names a publish request between the machine and its driver; never reused. 0: nobody waits.
using RequestId = StrongId<struct RequestIdTag>;

struct PendingAck {
  RequestId request;
  model::Acks acks = model::Acks::all;
  MonotonicTime deadline = MonotonicTime::never();
  Offset base;
  uint32_t count = 0;  // offsets
  uint64_t bytes = 0;  // of the batch in the log

  Offset next() const { return base + count; }
};

enum class Outcome : uint8_t {
  acked,
  unknown_deadline,
  unknown_leadership_lost,
};

struct AckOutcome {
  RequestId request;
  Outcome outcome = Outcome::acked;
  Offset base;
  uint32_t count = 0;

  bool operator==(const AckOutcome&) const = default;
};

class PendingAcks {
 public:
  // Appends come in order: requires ack.base == the next() of the one before, while one is held.
  void add(const PendingAck& ack);

  // Appends to `out` those who wait for the leader's own log alone, below `counted_leo`.
  void complete_leader(Offset counted_leo, std::vector<AckOutcome>& out);
  // Appends to `out` all others below `hw`, and lets go of their batches. A batch is committed when
  // HW > its last offset, that is HW >= its next one: `>=` on the last offset would acknowledge a
  // record that no follower has.
  void complete_committed(Offset hw, std::vector<AckOutcome>& out);
  // Those whose deadline is at or before `now`.
  void expire(MonotonicTime now, std::vector<AckOutcome>& out);
  // All that wait, and lets go of everything.
  void abandon(std::vector<AckOutcome>& out);

  // Of the earliest that waits; never() where nobody does.
  MonotonicTime next_deadline();
  uint64_t bytes() const { return bytes_; }
  size_t batches() const { return entries_.size(); }
  // Requests that have not been answered.
  size_t waiting() const { return waiting_; }
  void check_invariants(Offset hw, Offset leo) const;

 private:
  struct Deadline {
    MonotonicTime at;
    uint64_t sequence;
    bool operator>(const Deadline& other) const {
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };

  void rebuild_deadlines();
  void answer(PendingAck& ack, Outcome outcome, std::vector<AckOutcome>& out);

  std::deque<PendingAck> entries_;  // request 0: answered already, still above HW
  uint64_t first_sequence_ = 0;     // of entries_.front()
  uint64_t leader_cursor_ = 0;      // sequence of the first whose leader ack was not looked at
  // Heap, earliest first; entries of answered requests are dropped when they come up.
  std::priority_queue<Deadline, std::vector<Deadline>, std::greater<>> deadlines_;
  uint64_t bytes_ = 0;
  size_t waiting_ = 0;
};

}  // namespace bascule::partition

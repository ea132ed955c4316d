// The leader of one partition in one epoch: a pure machine. Inputs are calls with values, outputs are
// returned; it does no I/O, knows no clock but its arguments, and calls nobody back. Its driver
// (partition.h) owns the log and performs what comes out.
//
//   publish ──admit──▶ stamp ──log append──▶ appended ─┐
//   log / followers ───────────────────────▶ progress ─┼─▶ HW ─▶ acks
//   metadata table ────────────────────▶ isr_changed ──┘
//
// Rules it keeps:
//  - A leadership is (node, incarnation, epoch): one machine lives for one of them and is thrown away
//    with it; resign() completes all that waits as unknown, so nothing is ever judged in a later epoch.
//  - Errors are given before the append only. From `appended` on there is an ack or "unknown".
//  - `all` is acked when HW > the batch's last offset (pending_acks.h), and HW moves only as
//    high_watermark.h allows.
//  - Offsets are given at the append, over reserved space: the driver reserves before it stamps.
// Invariants: epoch start <= leo; hw <= leo; hw and leo never fall.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/model/stream_config.h"
#include "src/partition/high_watermark.h"
#include "src/partition/pending_acks.h"

namespace bascule::partition {

struct LeaderStart {
  NodeId self;
  Epoch epoch;
  InSyncReplicas isr;
  model::DurabilityMode durability = model::DurabilityMode::fsync;
  Offset leo;                 // of the log at election: the epoch's start
  Offset hw;                  // as recovered; <= leo
  ReplicaProgress own;        // of the log at election
  WallTime last_append_time;  // of the log's last batch
  uint64_t in_flight_bytes_max = 0;
};

// What the fence looks at before anything is reserved.
struct Admission {
  Epoch epoch{};  // the sender's belief; 0: any
  model::Acks acks = model::Acks::all;
  MonotonicTime deadline = MonotonicTime::never();
  uint64_t bytes = 0;
  uint64_t bytes_waiting = 0;  // admitted before and not appended yet
};

// What the leader adds to a batch.
struct Stamp {
  Offset base_offset;
  Epoch epoch;
  WallTime append_time;
};

struct LeaderOutput {
  std::vector<AckOutcome> answers;  // in order of offsets
  std::optional<Offset> hw;         // where it moved to
};

class Leader {
 public:
  explicit Leader(const LeaderStart& start);

  // Whether a publish may go on. Definite errors: fenced, deadline_exceeded, not_enough_replicas,
  // overloaded. Asked again after each wait, right before the append.
  Status admit(const Admission& request, MonotonicTime now) const;
  // For the batch that is appended next, in the same turn.
  Stamp stamp(WallTime wall) const;
  // The batch is in the log, at the last stamp. `ack.base` must be leo().
  LeaderOutput appended(const PendingAck& ack, WallTime append_time);
  // A replica (the leader's own log too) has come this far in this epoch and its present session.
  LeaderOutput progress(NodeId replica, ReplicaProgress progress);
  // What the replica has said counts no more: its session is over, or does not match.
  void forget(NodeId replica);
  // The metadata table has spoken, or a change was proposed. No vote of a replica outside the sets counts.
  LeaderOutput isr_changed(InSyncReplicas isr);
  LeaderOutput durability_changed(model::DurabilityMode mode);
  LeaderOutput expire(MonotonicTime now);
  // The leadership has ended: all that waits is unknown. Nothing may be called after it.
  LeaderOutput resign();

  MonotonicTime next_deadline() { return pending_.next_deadline(); }
  Epoch epoch() const { return epoch_; }
  Offset epoch_start() const { return epoch_start_; }
  Offset leo() const { return leo_; }
  Offset hw() const { return hw_; }
  // Whether HW has reached the LEO at election. Before it, what is committed is not known, and `latest`
  // may be behind what an earlier leader has shown (KIP-207).
  bool ready() const { return hw_ >= epoch_start_; }
  uint64_t in_flight_bytes() const { return pending_.bytes(); }
  size_t waiting() const { return pending_.waiting(); }
  const InSyncReplicas& isr() const { return isr_; }
  void check_invariants() const;

 private:
  LeaderOutput advance();

  NodeId self_;
  Epoch epoch_;
  Offset epoch_start_;
  uint64_t in_flight_bytes_max_;
  InSyncReplicas isr_;
  model::DurabilityMode durability_;
  ProgressTable progress_;
  Offset leo_;
  Offset hw_;
  WallTime last_append_time_;
  PendingAcks pending_;
};

}  // namespace bascule::partition

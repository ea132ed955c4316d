// What the replicas of one partition say to each other, as values, and the way out of a replica: to its
// leader, to its followers, to the controller. How the values become bytes is replication_codec.h's matter.
//
// A follower asks (FetchFrom) and the leader answers, at once or when there is something to tell: a question
// stands until it is answered, so nobody polls. As soon as a write or a sync has ended the follower says so
// in a ProgressReport. All of it belongs to a session: what one follower's process says to one leader's
// process over one connection. A new one begins with nothing known.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/env/loop.h"
#include "src/partition/replica_progress.h"

namespace bascule::partition {

// A process life of a broker.
struct ReplicaLife {
  NodeId node;
  Incarnation incarnation;

  auto operator<=>(const ReplicaLife&) const = default;
};

// Who asks: `number` rises with each session of one life with one leader.
struct FollowerSession {
  ReplicaLife follower;
  uint64_t number = 0;

  bool operator==(const FollowerSession&) const = default;
};

struct FetchFrom {
  PartitionId partition;
  Epoch epoch;       // the leadership that the follower follows
  Offset from;       // its LEO: the first record that it lacks
  Epoch last_epoch;  // of its last record; 0: it has none
  Offset hw;
  ReplicaProgress progress;

  bool operator==(const FetchFrom&) const = default;
};

struct ProgressReport {
  PartitionId partition;
  Epoch epoch;
  ReplicaProgress progress;

  bool operator==(const ProgressReport&) const = default;
};

// Numbers travel.
enum class FetchOutcome : uint8_t {
  records =
      0,  // `batches` follow the asker's last record; perhaps none: only HW or start has moved
  diverging = 1,    // the asker's end is not in the leader's log
  below_start = 2,  // the leader's log begins above it: begin anew at `log_start`
  not_now = 3,      // not in this epoch, or not yet: ask again later
};
inline constexpr FetchOutcome k_last_fetch_outcome = FetchOutcome::not_now;

struct FetchAnswer {
  PartitionId partition;
  Epoch epoch;  // the asker's: what comes late is told by it
  FetchOutcome outcome = FetchOutcome::not_now;
  Offset hw;
  Offset log_start;
  // diverging: the last epoch of the leader's log that is not above the asker's last one, and its end there.
  Epoch common_epoch;
  Offset common_end;
  std::vector<Slice> batches;  // each of one or more whole batches

  bool operator==(const FetchAnswer&) const = default;
};

// The number of no session: an AnswerMessage with it has no answers, and asks the follower to begin anew.
inline constexpr uint64_t k_no_session = 0;

// --- What travels between two brokers, for all their partitions -------------------------------------

struct FetchMessage {
  uint64_t session = 0;
  std::vector<FetchFrom> fetches;
  std::vector<ProgressReport> progress;

  bool operator==(const FetchMessage&) const = default;
};

struct AnswerMessage {
  uint64_t session = 0;
  std::vector<FetchAnswer> answers;

  bool operator==(const AnswerMessage&) const = default;
};

// Bounds of one message.
inline constexpr size_t k_fetches_max = 20'000;
inline constexpr size_t k_fetch_bytes_max =
    1 << 20;  // of one answer's batches; a single one always goes

// --- The way out of one replica ----------------------------------------------------------------------

// Nothing here calls back inside the call. What is said to a broker that is not connected is lost; the
// partition is told when a session begins (Partition::session_began).
class ReplicationLink {
 public:
  virtual ~ReplicationLink() = default;

  virtual void fetch(NodeId leader, const FetchFrom& fetch) = 0;
  virtual void report(NodeId leader, const ProgressReport& progress) = 0;
  virtual void answer(const FollowerSession& to, FetchAnswer answer) = 0;

  // To the controller; what comes of it, the next view tells. May be lost, and may happen late.
  virtual void propose_isr(PartitionId partition, Version version,
                           std::vector<ReplicaLife> isr) = 0;
  virtual void clear_suspects(PartitionId partition, Version version,
                              std::vector<ReplicaLife> replicas) = 0;
  // How far this replica goes, for a leaderless epoch.
  virtual void report_end(PartitionId partition, Epoch leaderless, Epoch last_epoch,
                          Offset leo) = 0;
};

}  // namespace bascule::partition

// One leadership, followed: the driver that joins the follower machine (follower.h) to the log and to the
// leader. It lives for one epoch of one leader; the partition makes the next.
//
// One question stands at a time. What comes is appended as it is, over reserved space, and the next question
// goes out at once: while the disk syncs, the next batches are on their way. Bytes that are appended and not
// yet counted are bounded.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "src/base/trace.h"
#include "src/env/loop.h"
#include "src/log/log.h"
#include "src/partition/follower.h"
#include "src/partition/replication.h"

namespace bascule::partition {

// The partition, as its following needs it.
class FollowingHost {
 public:
  virtual ~FollowingHost() = default;
  virtual Offset hw() const = 0;
  // As the leader says; at most the log's end.
  virtual void hw_told(Offset hw) = 0;
  virtual FollowerStanding standing() const = 0;
  // The log may end otherwise than was asked: look at it. Nothing else changes it meanwhile.
  virtual void cut(Offset to, env::Done<void> done) = 0;
  virtual void begin_anew(Offset at, env::Done<void> done) = 0;
};

class Following {
 public:
  // All outlive it.
  Following(env::Loop& loop, Tracer& trace, log::Log& log, ReplicationLink& link,
            FollowingHost& host, PartitionId partition, NodeId leader, Epoch epoch);
  ~Following();
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

  NodeId leader() const { return leader_; }
  Epoch epoch() const { return epoch_; }

  // What was asked before is lost: asks anew.
  void session_began();
  void answered(FetchAnswer answer);
  void log_progressed();

 private:
  struct Unsynced {
    Offset next;
    uint64_t bytes;
  };

  void ask();
  void ask_later();
  void append_more();
  void appended_all();
  void append_failed(const Error& why);
  void move_start();
  void change(FollowerVerb verb, Offset at);

  env::Loop& loop_;
  Tracer& trace_;
  log::Log& log_;
  ReplicationLink& link_;
  FollowingHost& host_;
  const PartitionId partition_;
  const NodeId leader_;
  const Epoch epoch_;
  const uint32_t seed_;

  bool asking_ = false;    // a question stands
  bool refused_ = false;   // for good, in this epoch
  bool held_ = false;      // would ask, but too much is unsynced
  bool changing_ = false;  // cutting, or beginning anew
  bool waits_for_space_ = false;
  std::optional<FetchAnswer> answer_;  // being appended
  size_t at_slice_ = 0;                // of its batches: what is appended next
  size_t at_byte_ = 0;
  std::deque<Unsynced> unsynced_;
  uint64_t unsynced_bytes_ = 0;
  ReplicaProgress told_;
  Offset start_told_;  // of the leader's log
  bool moving_start_ = false;
  env::TimerId timer_;
  env::Scope scope_;
};

}  // namespace bascule::partition

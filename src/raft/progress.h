// What a leader knows of one other member: how far their logs are proven equal, what comes next, what is on
// its way. Gone when the leadership ends.
//
//             accepted                       what it needs is compacted
//   ┌─ probe ──────────▶ replicate      probe, replicate ──────────────▶ snapshot
//   │    ▲    a refusal      │                                              │
//   │    └───────────────────┘        installed: replicate; given up: probe ┘
#pragma once

#include <optional>
#include <vector>

#include "src/base/time.h"
#include "src/raft/types.h"

namespace bascule::raft {

// Appends without an answer, oldest first: a ring of fixed size.
class InFlight {
 public:
  InFlight(size_t messages_max, size_t bytes_max) : ring_(messages_max), bytes_max_(bytes_max) {}

  bool full() const { return count_ == ring_.size() || bytes_ >= bytes_max_; }
  size_t count() const { return count_; }
  size_t bytes() const { return bytes_; }
  void add(Index last, size_t bytes) {
    ASSERT(!full(), count_, bytes_);
    ring_[(begin_ + count_++) % ring_.size()] = {last, bytes};
    bytes_ += bytes;
  }
  // All up to `index` has been answered.
  void free_to(Index index) {
    while (count_ > 0 && ring_[begin_].last <= index) {
      bytes_ -= ring_[begin_].bytes;
      begin_ = (begin_ + 1) % ring_.size();
      --count_;
    }
  }
  void clear() { begin_ = count_ = bytes_ = 0; }

 private:
  struct Sent {
    Index last;
    size_t bytes = 0;
  };
  std::vector<Sent> ring_;
  size_t bytes_max_;
  size_t begin_ = 0;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

// The one snapshot that is on its way to a member. Kept whole here: the leader may have a newer one by now.
struct SnapshotTransfer {
  Snapshot snapshot;
  uint64_t offset = 0;  // of the chunk that is on its way
  MonotonicTime sent;   // when it went
};

enum class ProgressState : uint8_t { probe, replicate, snapshot };

struct Progress {
  Progress(MemberId id, Index next_index, size_t messages_max, size_t bytes_max)
      : member(id), next(next_index), in_flight(messages_max, bytes_max) {}

  void probe_from(Index index) {
    state = ProgressState::probe;
    next = index;
    probe_sent = false;
    transfer.reset();
    in_flight.clear();
  }
  void replicate_from(Index index) {
    state = ProgressState::replicate;
    next = index;
    transfer.reset();
    in_flight.clear();
  }

  MemberId member;
  ProgressState state = ProgressState::probe;
  bool probe_sent =
      false;  // one append is out; the next goes with the answer, or empty with a heartbeat
  bool recent = false;  // heard since the last look at the quorum
  Index match;          // the logs are equal up to here, on the member's disk. Never falls
  Index next;           // match < next
  Index commit_sent;    // the highest commit index that it was told
  uint64_t round = 0;   // the last leadership confirmation that it answered
  MonotonicTime heard;  // when; the leadership's begin before that
  InFlight in_flight;
  std::optional<SnapshotTransfer> transfer;  // in state `snapshot` alone
};

}  // namespace bascule::raft

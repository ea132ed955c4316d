// One replica of a partition on this broker: the driver that joins the leader machine, the log and the
// clock. It owns all three and performs what the machine says, in this order: reserve, stamp, append,
// (log progress) → HW → notes it in the log → wakes readers → answers publishers.
//
// Life: made with an opened log; apply() of each view of the metadata table makes it lead or stop
// leading; stop() ends it. Destroyed without it (the process is dying), readers
// are still told. The broker applies no view before its own registration has been applied, so no
// leadership of an earlier life is resumed.
//
// Definite errors are given before the append alone: a publish that had to wait for space is judged
// again right before its append. All completions come in later turns.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/trace.h"
#include "src/env/loop.h"
#include "src/log/log.h"
#include "src/model/batch.h"
#include "src/model/stream_config.h"
#include "src/partition/following.h"
#include "src/partition/leader.h"
#include "src/partition/replicating.h"
#include "src/partition/replication.h"
#include "src/partition/retention.h"

namespace bascule::partition {

struct PartitionOptions {
  PartitionId id;
  NodeId self;
  uint64_t in_flight_bytes_max = 0;  // admitted and not committed; one batch passes whatever it is
  uint64_t readers_max = 0;
  // The way to the other replicas; null: there are none. Outlives the partition.
  ReplicationLink* link = nullptr;
  Duration replica_lag_max = seconds(2);
};

// What the metadata table says of the partition, as this broker has applied it.
struct PartitionView {
  NodeId leader;  // 0: none
  Incarnation leader_incarnation;
  Epoch epoch;
  Version version;
  std::vector<ReplicaView> replicas;
  std::vector<NodeId> isr;
  std::vector<NodeId> elr;
  uint32_t min_isr = 1;
  bool end_reported = false;     // this replica has told how far it goes, for this leaderless epoch
  std::optional<Epoch> loss_at;  // of the last leader that was chosen though records may be lost
  model::DurabilityMode durability = model::DurabilityMode::fsync;
  uint32_t message_bytes_max = 0;  // 0: the format's
  RetentionLimits retention;

  bool operator==(const PartitionView&) const = default;
};

struct PublishRequest {
  Epoch epoch{};  // 0: whichever is current
  model::Acks acks = model::Acks::all;
  MonotonicTime deadline = MonotonicTime::never();
  ByteView batch{};  // verified and copied within the call
};

struct PublishResult {
  Epoch epoch;
  Offset base_offset;  // 0 for acks none
  uint32_t count = 0;  // records
};

// Reads behind the HW and waits for it to move. Its calls come in turns of the partition's own and must
// not destroy readers or the partition: they begin I/O or post.
class CommittedReader {
 public:
  virtual ~CommittedReader() = default;
  // HW is above the offset that wait_above() named. Once per wait.
  virtual void committed() = 0;
  // Nothing more will come from here: not_leader, stream_deleted or stopping. Last call.
  virtual void ended(const Error& why) = 0;
};

class Partition : private FollowingHost {
 public:
  Partition(env::Loop& loop, Tracer& trace, PartitionOptions options,
            std::unique_ptr<log::Log> log);
  ~Partition() override;
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  // A later view of the table than the one before. An epoch granted to this node and to `own`, the
  // incarnation of this process life as registered, makes it lead; anything else ends its leadership.
  void apply(const PartitionView& view, Incarnation own);

  // From other replicas; what does not belong to this epoch or session is dropped.
  void fetched(const FollowerSession& from, const FetchFrom& fetch);
  void progressed(const FollowerSession& from, const ProgressReport& report);
  void answered(NodeId leader, FetchAnswer answer);
  // What was said to `leader` and not answered is lost.
  void session_began(NodeId leader);
  // Now and then, about every quarter of replica_lag_max.
  void review();

  // Errors: those of the API's publish. Never called back inside the call.
  void publish(const PublishRequest& request, env::Done<PublishResult> done);

  // Whole batches below HW from the one that holds `from` on. Errors: not_leader, those of Log::read.
  void read_committed(Offset from, size_t bytes_max, env::Done<log::ReadResult> done);
  // First committed offset whose append time is >= `time`; HW where there is none.
  void find_time(WallTime time, env::Done<Offset> done);
  // `overloaded` beyond the bound of readers; not_leader, stopping. Detached by detach() or ended().
  Status attach(CommittedReader& reader);
  void detach(CommittedReader& reader);
  // Calls reader.committed() in a later turn once HW > `offset`; at most one wait per reader.
  void wait_above(CommittedReader& reader, Offset offset);

  // Deletes what the stream's limits let go. Completes with the log start, durable.
  void run_retention(ClockTrust clock, env::Done<Offset> done);
  // Rewrites thin segments of the log, see Log::compact_thin_segments.
  void compact(env::Done<void> done);

  // Takes no publishes from now on; completes when nothing waits any more, at the latest at `until`.
  void drain(MonotonicTime until, env::Done<void> done);
  // Ends leadership, readers (with `why`) and the log. Nothing runs after `done`; destroy it then.
  void stop(Error why, env::Done<void> done);

  const PartitionId& id() const { return options_.id; }
  const PartitionView& view() const { return view_; }
  bool leads() const { return leader_.has_value(); }
  // Whom this replica follows now; 0: nobody.
  NodeId follows() const { return following_ ? following_->leader() : NodeId{}; }
  bool ready() const { return leader_ && leader_->ready(); }
  Epoch epoch() const { return leader_ ? leader_->epoch() : Epoch{}; }
  Offset hw() const override { return hw_; }
  const log::Log& log() const { return *log_; }
  void check_invariants() const;

 private:
  // Admitted, and waiting for space.
  struct Waiting {
    Admission admission;
    model::BatchHeader header;
    BufferRef batch;
    env::Done<PublishResult> done;
  };
  struct Reader {
    CommittedReader* reader = nullptr;
    std::optional<Offset> above;  // waits for HW > this
  };

  // roles.cc
  void settle();
  bool mine(const PartitionView& view) const;
  void lead();
  void follow();
  void stop_following();
  void report_end();
  ReplicationView replication_view() const;
  // FollowingHost
  void hw_told(Offset hw) override;
  FollowerStanding standing() const override;
  void cut(Offset to, env::Done<void> done) override;
  void begin_anew(Offset at, env::Done<void> done) override;
  env::Done<void> log_changed(env::Done<void> done);

  // partition.cc
  void stop_leading(const Error& why);
  void perform(LeaderOutput output);
  void on_log_progress();
  void wake_readers();
  void end_readers(const Error& why);
  void set_deadline_timer();
  void on_deadline();
  void maybe_drained();
  // partition_publish.cc
  void append_now(const Admission& admission, const model::BatchHeader& header, ByteView batch,
                  env::Done<PublishResult> done);
  void wait_for_space(const Admission& admission, const model::BatchHeader& header, ByteView batch,
                      env::Done<PublishResult> done);
  void ask_for_space();
  void on_space(Status space);
  void refuse_waiting(const Error& why);
  void expire_waiting();
  Status may_publish() const;
  void answer_later(env::Done<PublishResult> done, Result<PublishResult> result);

  env::Loop& loop_;
  Tracer& trace_;
  PartitionOptions options_;
  std::unique_ptr<log::Log> log_;
  PartitionView view_;
  Incarnation own_;
  std::optional<Leader> leader_;
  IsrProposal proposal_;
  std::unique_ptr<Replicating> replicating_;  // beside a leader with a link
  std::unique_ptr<Following> following_;
  // The log is being cut, or begins anew: until that has ended this replica neither leads nor follows.
  bool changing_log_ = false;
  Epoch reported_;  // the leaderless epoch for which this replica's end is being told
  // The leader's, or as the leader told; as recovered. Falls only with a log that is cut below it.
  Offset hw_;

  std::deque<Waiting> waiting_;  // in order of arrival; a later publish never overtakes
  uint64_t waiting_bytes_ = 0;   // of batches in waiting_
  bool asking_for_space_ = false;
  // Of the machine's requests: request id r is at [r - first_request_]; empty once answered.
  std::deque<env::Done<PublishResult>> answers_;
  uint64_t first_request_ = 1;

  std::vector<Reader> readers_;
  env::TimerId deadline_timer_;
  MonotonicTime deadline_timer_at_ = MonotonicTime::never();
  bool draining_ = false;
  bool stopping_ = false;
  env::Done<void> drained_;
  env::TimerId drain_timer_;
  env::Scope scope_;
};

}  // namespace bascule::partition

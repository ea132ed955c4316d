// One partition's way from the recorder to the broker: records become batches, one batch is in flight, the
// next one gathers meanwhile; each outcome is counted and, where a publisher asked, answered.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "src/broker/api.h"
#include "src/env/world.h"
#include "src/model/record.h"
#include "src/nats/message.h"
#include "src/nats/options.h"

namespace bascule::nats {

// Per message and stream. The first four add up to what was given.
struct RecorderStats {
  uint64_t recorded = 0;  // acknowledged by the broker
  uint64_t dropped = 0;   // the partition stood still for too long
  uint64_t refused = 0;   // definitely not in the log: over a limit, or the broker said no
  uint64_t unknown = 0;   // may be in the log or not
  uint64_t answered = 0;  // acks sent to publishers
  uint64_t errors_answered = 0;
  uint64_t pauses = 0;      // times that a publisher was held back
  uint64_t bytes_held = 0;  // gathered or in flight now
};

// What all partitions of a recorder count together.
struct RecorderShared {
  RecorderStats stats;
  size_t bytes = 0;  // gathered or in flight, all partitions
};

class RecorderPartition;

// Whom a partition tells.
class PartitionSink {
 public:
  virtual ~PartitionSink() = default;
  // Call flush() at the end of this turn.
  virtual void recorder_has_work(RecorderPartition& partition) = 0;
  virtual void recorder_answer(std::string subject, std::string payload) = 0;
  virtual void recorder_resume(ConnectionId publisher) = 0;
  // Everything that was given has its outcome.
  virtual void recorder_idle() = 0;
};

class RecorderPartition {
 public:
  enum class Admission : uint8_t {
    taken,
    taken_pause,  // and the publisher is to be held back
    dropped,
    too_large,
  };

  // All outlive the partition.
  RecorderPartition(env::World world, broker::Api& api, const RecorderOptions& options,
                    StreamId stream, std::string stream_name, PartitionIndex index,
                    RecorderShared& shared, PartitionSink& sink);
  ~RecorderPartition();

  // The stream is gone: what has no outcome is counted as unknown and answered, paused publishers go on.
  // The partition is destroyed next.
  void abandon();

  // `answer_to`: where the ack goes; empty: nowhere.
  Admission add(const model::RecordView& record, std::string_view answer_to,
                ConnectionId publisher);
  // Sends what has gathered, if nothing is in flight.
  void flush();
  bool idle() const { return gathering_.empty() && batches_.empty(); }

 private:
  struct Answer {
    uint32_t index = 0;  // of the record in its batch
    std::string subject;
  };
  struct Batch {
    BufferRef bytes;
    uint32_t count = 0;
    std::vector<Answer> answers;
    size_t held_bytes = 0;      // charged against the bounds
    MonotonicTime retry_until;  // set when it is first sent
  };

  bool over(size_t times) const;
  Admission admit(ConnectionId publisher, size_t bytes);
  void let_go();
  void seal();
  void send();
  void finished(Result<broker::PublishAck> result);
  void answer_all(const Batch& batch, const Result<broker::PublishAck>& result);
  void drop_front();

  env::World world_;
  broker::Api& api_;
  const RecorderOptions& options_;
  StreamId stream_;
  std::string stream_name_;
  PartitionIndex index_;
  RecorderShared& shared_;
  PartitionSink& sink_;

  model::BatchBuilder gathering_;
  std::vector<Answer> gathering_answers_;
  size_t gathering_bytes_ = 0;
  std::deque<Batch> batches_;  // sealed; the front one is in flight if in_flight_
  bool announced_ = false;     // flush() will be called
  bool in_flight_ = false;     // published, or waiting to be published again
  size_t held_bytes_ = 0;
  bool full_ = false;
  MonotonicTime full_since_;
  std::vector<ConnectionId> paused_;
  env::TimerId resume_timer_;
  env::TimerId retry_timer_;
  env::Scope scope_;
};

}  // namespace bascule::nats

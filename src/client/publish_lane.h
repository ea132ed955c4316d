// What a publisher sends to one partition: the batch that gathers, those ready to go, those in flight.
//
//   publish → [gathering] → [ready …] → in flight → answered
//                              ↑ refused for now: again after a pause
//
// A batch is closed when it is full, or when nothing is in flight and the turn ends: a lone record leaves
// at once, and under load the batch grows while the last one is answered. A refused batch goes back to
// the front and nothing else is sent until its pause is over, which keeps the order where it can be kept.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/client/client.h"
#include "src/client/metadata.h"

namespace bascule::client {

// Records on their way together.
struct OutgoingBatch {
  Slice bytes;
  std::vector<uint64_t> sequences;
  // Those that want to be told one by one: index in the batch, ascending.
  std::vector<std::pair<uint32_t, Done<Published>>> dones;
  size_t cost = 0;  // charged against buffered_bytes_max
  MonotonicTime deadline;
  std::optional<Error> refusal = {};  // the last definite one
};

// What a lane needs of its publisher.
class LaneOwner {
 public:
  virtual const PublisherOptions& options() const = 0;
  // What became of a batch; the publisher tells the user.
  virtual void batch_done(PartitionIndex partition, OutgoingBatch batch,
                          Result<broker::PublishAck> result) = 0;
  // The stream's metadata does not hold any more.
  virtual void stale() = 0;
  // The next record without a key goes elsewhere.
  virtual void batch_closed(PartitionIndex partition) = 0;
  // The stream as last looked up.
  virtual const StreamInfo& stream() const = 0;
  // Names the batches that are closed from now on; 0: there is no id yet.
  virtual ProducerId producer() const = 0;

 protected:
  ~LaneOwner() = default;
};

class PublishLane {
 public:
  PublishLane(Shared& shared, Metadata& metadata, LaneOwner& owner, PartitionIndex partition);

  // Copies the record into the gathering batch. Errors as BatchBuilder::add.
  Status add(const model::RecordView& record, uint64_t sequence, size_t cost, Done<Published> done);
  // Answers what is past its deadline: definite where it was not sent, else unknown.
  void expire(MonotonicTime now);

 private:
  struct InFlight {
    uint64_t number;
    OutgoingBatch batch;
  };

  void close_batch();
  void send_soon();
  void send();
  void send_front(OutgoingBatch batch);
  void answered(uint64_t number, std::expected<broker::PublishAck, Failure> result);
  void refused(OutgoingBatch batch, const Failure& failure);

  Shared& shared_;
  Metadata& metadata_;
  LaneOwner& owner_;
  const PartitionIndex partition_;
  model::BatchBuilder builder_;
  OutgoingBatch gathering_;
  std::deque<OutgoingBatch> ready_;
  std::deque<InFlight> in_flight_;
  uint64_t last_number_ = 0;
  uint32_t next_sequence_ =
      0;  // of the first record of the next batch that carries the producer's id
  bool send_planned_ = false;
  bool pausing_ = false;
  std::optional<env::Address> hint_;  // where the leader is, as a broker told
  Backoff backoff_;
  env::Scope alive_;
};

}  // namespace bascule::client

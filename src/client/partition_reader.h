// The subscription of one partition: follows its leader, resumes where it was, checks what arrives.
//
//   [looking for the leader] → [subscribing] → [reading] → ended
//            ↑ connection lost, leader moved: at (next_, epoch before it)
//
// Every record is handed over once: what a resumed subscription delivers again is skipped. Every batch's
// header and body CRC is checked before a record of it is handed over.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "src/client/client.h"
#include "src/client/metadata.h"

namespace bascule::client {

// What a reader needs of its subscription.
class ReaderOwner {
 public:
  virtual const SubscribeOptions& options() const = 0;
  virtual const StreamInfo& stream() const = 0;
  // The user's receiver; null once the subscription has been dropped.
  virtual Receiver* receiver() = 0;
  virtual bool paused() const = 0;
  // The stream's metadata does not hold any more.
  virtual void stale() = 0;
  virtual void reader_ended(const PartitionEnd& end) = 0;

 protected:
  ~ReaderOwner() = default;
};

class PartitionReader final : public broker::Subscriber {
 public:
  PartitionReader(Shared& shared, Metadata& metadata, ReaderOwner& owner, PartitionIndex partition);
  ~PartitionReader() override;

  void start();
  // After a pause: hands over what waits.
  void resume();

  // --- broker::Subscriber ---
  void deliver(broker::Delivery delivery) override;
  void end(broker::SubscriptionEnd end) override;

 private:
  void connect();
  void subscribe(Connection& connection);
  void started(std::expected<broker::SubscribeStarted, Failure> result);
  void broke_off(const Failure& failure);
  void try_again();
  void hand_over();
  // Checks and unpacks one delivery, and hands it over.
  Status take(const broker::Delivery& delivery);
  void finish(Status result, std::optional<Offset> valid_end = {});

  Shared& shared_;
  Metadata& metadata_;
  ReaderOwner& owner_;
  const PartitionId partition_;
  std::optional<MonotonicTime> begin_by_;  // until it has begun for the first time
  std::optional<env::Address> hint_;
  bool begun_ = false;
  bool ended_ = false;
  uint32_t life_ = 0;  // of the subscription at a broker: what an earlier one says is dropped
  uint32_t bad_batches_ = 0;  // in a row
  uint32_t crc_seed_ = 0;
  // Where it ends, once a broker has said what "the latest" is; asked for by number from then on.
  std::optional<Offset> until_;
  Offset next_;                        // first offset not handed over; valid once begun_
  std::optional<Epoch> epoch_before_;  // of the record before next_
  uint64_t consumed_ = 0;              // handed over, and not granted anew
  std::deque<broker::Delivery> waiting_;
  std::optional<broker::SubscriptionEnd> end_;
  std::vector<Received> records_;  // scratch of take()
  Backoff backoff_;
  // The subscriber of the current life: it is cut off when the next one begins.
  std::unique_ptr<broker::Subscription> subscription_;
  env::Scope alive_;
};

}  // namespace bascule::client

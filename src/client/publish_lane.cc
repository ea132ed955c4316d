#include "src/client/publish_lane.h"

#include <algorithm>

#include "src/base/assert.h"

namespace bascule::client {
namespace {

// How long after a batch's deadline, which the broker knows, its answer may take to come.
constexpr Duration k_answer_grace = seconds(1);

// Whether a publish that ended so did not happen and may be made again.
bool definite_and_passing(const Error& error) {
  // By the transport's contract, the request had not been sent.
  if (error.code == Errc::connection_lost) return true;
  switch (errc_retry(error.code)) {
    case Retry::later:
    case Retry::elsewhere: return true;
    case Retry::never:
    case Retry::idempotent: return false;
  }
  return false;
}

}  // namespace

PublishLane::PublishLane(Shared& shared, Metadata& metadata, LaneOwner& owner,
                         PartitionIndex partition)
    : shared_(shared),
      metadata_(metadata),
      owner_(owner),
      partition_(partition),
      builder_(owner.options().compression),
      backoff_(shared.backoff()) {}

Status PublishLane::add(const model::RecordView& record, uint64_t sequence, size_t cost,
                        Done<Published> done) {
  const PublisherOptions& options = owner_.options();
  if (!builder_.empty() && (builder_.bytes() + cost > options.batch_bytes_max ||
                            builder_.record_count() >= options.batch_records_max))
    close_batch();
  BASCULE_TRY(builder_.add(record));
  if (gathering_.sequences.empty())
    gathering_.deadline = shared_.loop.now() + options.delivery_timeout;
  if (done) {
    gathering_.dones.emplace_back(static_cast<uint32_t>(gathering_.sequences.size()),
                                  std::move(done));
  }
  gathering_.sequences.push_back(sequence);
  gathering_.cost += cost;
  send_soon();
  return {};
}

void PublishLane::close_batch() {
  if (const ProducerId id = owner_.producer()) {
    builder_.set_producer(id, 0, next_sequence_);
    next_sequence_ += builder_.record_count();
  }
  gathering_.bytes = Slice(builder_.finish());
  ready_.push_back(std::exchange(gathering_, {}));
  owner_.batch_closed(partition_);
}

void PublishLane::send_soon() {
  if (send_planned_ || pausing_) return;
  // What is not full waits for what is in flight.
  if (ready_.empty() && !in_flight_.empty()) return;
  send_planned_ = true;
  shared_.loop.post(alive_.wrap([this] {
    send_planned_ = false;
    send();
  }));
}

void PublishLane::send() {
  if (pausing_) return;
  if (ready_.empty() && in_flight_.empty() && !builder_.empty()) close_batch();
  while (!ready_.empty() && in_flight_.size() < owner_.options().batches_in_flight_max) {
    OutgoingBatch batch = std::move(ready_.front());
    ready_.pop_front();
    send_front(std::move(batch));
  }
}

// It counts as in flight while the connection is looked for: order and bound hold from here on.
void PublishLane::send_front(OutgoingBatch batch) {
  const uint64_t number = ++last_number_;
  in_flight_.push_back({number, std::move(batch)});
  metadata_.connect(
      owner_.stream(), partition_, hint_,
      alive_.wrap([this, number](Result<ConnectionRef> connection) {
        const auto it = std::ranges::find(in_flight_, number, &InFlight::number);
        if (it == in_flight_.end()) return;  // expired meanwhile
        if (!connection) {
          Error error = std::move(connection.error());
          if (errc_retry(error.code) == Retry::idempotent) error.code = Errc::connection_lost;
          return answered(number, std::unexpected(Failure{std::move(error), {}}));
        }
        PublishRequest request;
        request.stream = owner_.stream().status.id;
        request.partition = partition_;
        request.acks = owner_.options().acks;
        request.deadline = it->batch.deadline;
        request.batch = it->batch.bytes;
        (*connection)
            ->publish(std::move(request),
                      alive_.wrap([this, number](std::expected<broker::PublishAck, Failure> ack) {
                        answered(number, std::move(ack));
                      }));
      }));
}

void PublishLane::answered(uint64_t number, std::expected<broker::PublishAck, Failure> result) {
  const auto it = std::ranges::find(in_flight_, number, &InFlight::number);
  if (it == in_flight_.end()) return;  // expired: its records have their answer
  OutgoingBatch batch = std::move(it->batch);
  in_flight_.erase(it);
  if (!result && definite_and_passing(result.error().error) &&
      shared_.loop.now() < batch.deadline) {
    refused(std::move(batch), result.error());
    return;
  }
  send_soon();
  if (result) {
    backoff_.reset();
    owner_.batch_done(partition_, std::move(batch), std::move(*result));
    return;
  }
  Error error = std::move(result.error().error);
  if (errc_retry(error.code) == Retry::idempotent && error.code != Errc::connection_lost)
    error.code = Errc::outcome_unknown;
  owner_.batch_done(partition_, std::move(batch), fail(std::move(error)));
}

void PublishLane::refused(OutgoingBatch batch, const Failure& failure) {
  batch.refusal = failure.error;
  // In the order of their records: what is refused after this one and was made before it goes first.
  const auto at = std::ranges::find_if(ready_, [&](const OutgoingBatch& other) {
    return other.sequences.front() > batch.sequences.front();
  });
  ready_.insert(at, std::move(batch));
  hint_.reset();
  if (failure.leader && failure.leader->address) {
    hint_ = failure.leader->address;
  } else if (errc_retry(failure.error.code) == Retry::elsewhere ||
             failure.error.code == Errc::connection_lost ||
             failure.error.code == Errc::connection_refused) {
    owner_.stale();
  }
  if (std::exchange(pausing_, true)) return;
  shared_.loop.after(backoff_.next(), alive_.wrap([this] {
    pausing_ = false;
    send();
  }));
}

void PublishLane::expire(MonotonicTime now) {
  if (!builder_.empty() && gathering_.deadline <= now) close_batch();
  std::vector<std::pair<OutgoingBatch, Error>> expired;
  const Error unsent{Errc::deadline_exceeded, "the delivery timeout is over"};
  while (!ready_.empty() && ready_.front().deadline <= now) {
    OutgoingBatch batch = std::move(ready_.front());
    ready_.pop_front();
    // Why it could not be published says more than that it took too long; both are definite.
    Error why = batch.refusal ? *std::exchange(batch.refusal, std::nullopt) : unsent;
    expired.emplace_back(std::move(batch), std::move(why));
  }
  while (!in_flight_.empty() && in_flight_.front().batch.deadline + k_answer_grace <= now) {
    expired.emplace_back(std::move(in_flight_.front().batch),
                         Error{Errc::outcome_unknown, "the delivery timeout is over"});
    in_flight_.pop_front();
  }
  if (expired.empty()) return;
  send_soon();
  for (auto& [batch, why] : expired)
    owner_.batch_done(partition_, std::move(batch), fail(std::move(why)));
}

}  // namespace bascule::client

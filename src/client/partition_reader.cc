#include "src/client/partition_reader.h"

#include <algorithm>
#include <utility>

#include "src/base/assert.h"
#include "src/model/record.h"

namespace bascule::client {
namespace {

// A batch that fails its CRC may have been damaged on its way: so often it is asked for again.
constexpr uint32_t k_bad_batches_max = 3;
// Records handed over in one call.
constexpr size_t k_records_per_call = 4096;

// Whether a subscription that ended so may go on, here or elsewhere.
bool passing(const Error& error) {
  switch (errc_retry(error.code)) {
    case Retry::later:
    case Retry::elsewhere:
    case Retry::idempotent: return true;
    case Retry::never: return false;
  }
  return false;
}

}  // namespace

PartitionReader::PartitionReader(Shared& shared, Metadata& metadata, ReaderOwner& owner,
                                 PartitionIndex partition)
    : shared_(shared),
      metadata_(metadata),
      owner_(owner),
      partition_{owner.stream().status.id, partition},
      backoff_(shared.backoff()) {}

PartitionReader::~PartitionReader() = default;

void PartitionReader::start() {
  begin_by_ = shared_.loop.now() + owner_.options().begin_timeout;
  connect();
}

void PartitionReader::connect() {
  ++life_;
  subscription_.reset();
  waiting_.clear();
  end_.reset();
  consumed_ = 0;
  metadata_.connect(owner_.stream(), partition_.index, hint_,
                    alive_.wrap([this](Result<ConnectionRef> connection) {
                      if (ended_) return;
                      if (!connection) return broke_off({std::move(connection.error()), {}});
                      subscribe(**connection);
                    }));
}

void PartitionReader::subscribe(Connection& connection) {
  const SubscribeOptions& options = owner_.options();
  broker::Subscribe request;
  request.stream = partition_.stream;
  request.partition = partition_.index;
  request.from = options.from;
  if (begun_) request.from = broker::FromOffset{next_, epoch_before_};
  request.until = options.until;
  if (until_) request.until = broker::UntilOffset{*until_};
  request.filter = options.filter;
  request.credit_bytes = options.credit_bytes;
  request.deadline = shared_.loop.now() + shared_.options.request_timeout;
  connection.subscribe(std::move(request), *this,
                       alive_.wrap([this](std::expected<broker::SubscribeStarted, Failure> result) {
                         started(std::move(result));
                       }));
}

void PartitionReader::started(std::expected<broker::SubscribeStarted, Failure> result) {
  if (ended_) return;
  if (!result) return broke_off(result.error());
  subscription_ = std::move(result->subscription);
  crc_seed_ = model::batch_crc_seed(result->log_id);
  begin_by_.reset();
  backoff_.reset();
  if (std::holds_alternative<broker::UntilLatest>(owner_.options().until) && !until_)
    until_ = result->until;
  if (!begun_ || result->first > next_) {
    next_ = result->first;
    if (begun_) epoch_before_.reset();  // retention took what was between
  }
  begun_ = true;
  if (Receiver* receiver = owner_.receiver()) receiver->started(partition_, result->epoch, next_);
}

void PartitionReader::broke_off(const Failure& failure) {
  if (!passing(failure.error)) return finish(fail(failure.error));
  if (begin_by_ && shared_.loop.now() >= *begin_by_) return finish(fail(failure.error));
  hint_.reset();
  if (failure.leader && failure.leader->address) {
    hint_ = failure.leader->address;
  } else {
    owner_.stale();
  }
  try_again();
}

void PartitionReader::try_again() {
  ++life_;
  subscription_.reset();
  // What had come already lies behind what is asked for again.
  waiting_.clear();
  end_.reset();
  consumed_ = 0;
  shared_.loop.after(backoff_.next(), alive_.wrap([this] {
    if (!ended_) connect();
  }));
}

void PartitionReader::deliver(broker::Delivery delivery) {
  waiting_.push_back(std::move(delivery));
  hand_over();
}

void PartitionReader::end(broker::SubscriptionEnd end) {
  end_ = std::move(end);
  hand_over();
}

void PartitionReader::resume() {
  shared_.loop.post(alive_.wrap([this] { hand_over(); }));
}

// The receiver may drop the subscription in each call: then owner_.receiver() is null, and this object
// goes once our caller has returned.
void PartitionReader::hand_over() {
  while (!waiting_.empty() && !owner_.paused() && !ended_) {
    const broker::Delivery delivery = std::move(waiting_.front());
    waiting_.pop_front();
    const Status status = take(delivery);
    if (owner_.receiver() == nullptr) return;
    if (!status) {
      if (++bad_batches_ >= k_bad_batches_max) return finish(status);
      return try_again();
    }
    bad_batches_ = 0;
    consumed_ += delivery.bytes;
    if (consumed_ > 0 && consumed_ >= owner_.options().credit_bytes / 2 && subscription_)
      subscription_->add_credit(std::exchange(consumed_, 0));
  }
  if (ended_ || !waiting_.empty() || !end_) return;
  const broker::SubscriptionEnd end = *std::exchange(end_, std::nullopt);
  if (end.complete) {
    next_ = std::max(next_, end.next_offset);
    return finish({});
  }
  if (end.error.code == Errc::log_truncated) return finish(fail(end.error), end.valid_end);
  broke_off({end.error, {}});
}

Status PartitionReader::take(const broker::Delivery& delivery) {
  const uint32_t life = life_;
  Bytes scratch;
  const auto flush = [&] {
    Receiver* receiver = owner_.receiver();
    if (receiver != nullptr && !records_.empty()) receiver->records(records_);
    records_.clear();
    return owner_.receiver() != nullptr && life_ == life;
  };
  for (const Slice& slice : delivery.batches) {
    ByteView rest = slice;
    while (!rest.empty()) {
      BASCULE_TRY_ASSIGN(const model::BatchHeader header,
                         model::decode_batch_header(rest, crc_seed_));
      if (header.total_bytes > rest.size()) return fail(Errc::corrupt, "a batch is cut off");
      const ByteView batch = rest.first(header.total_bytes);
      rest = rest.subspan(header.total_bytes);
      BASCULE_TRY(model::verify_batch(batch, crc_seed_));
      if (header.control()) continue;
      BASCULE_TRY_ASSIGN(const ByteView body, model::batch_body(header, batch, scratch));
      model::RecordReader reader(body, header.base_timestamp);
      model::RecordView record;
      while (reader.next(record)) {
        const Offset offset = header.base_offset + record.offset_delta;
        if (offset < next_) continue;
        next_ = offset + 1;
        epoch_before_ = header.epoch;
        records_.push_back({partition_, offset, header.epoch, header.append_time, record});
        if (records_.size() >= k_records_per_call && !flush()) return {};
      }
      BASCULE_TRY(reader.status());
      // The views end with the body.
      if (!flush()) return {};
    }
  }
  if (delivery.next_offset > next_) {
    next_ = delivery.next_offset;
    epoch_before_ = delivery.epoch;
  }
  return {};
}

void PartitionReader::finish(Status result, std::optional<Offset> valid_end) {
  if (std::exchange(ended_, true)) return;
  subscription_.reset();
  waiting_.clear();
  owner_.reader_ended(
      {partition_.index, std::move(result), next_, epoch_before_, std::move(valid_end)});
}

}  // namespace bascule::client

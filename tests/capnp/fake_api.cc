#include "tests/capnp/fake_api.h"

#include <algorithm>

#include "src/base/assert.h"

namespace bascule::rpc {

class FakeSubscription final : public broker::Subscription {
 public:
  FakeSubscription(FakeApi& api, PartitionId partition, Offset next, std::optional<Offset> stop,
                   uint64_t credit, broker::Subscriber& subscriber)
      : api_(api),
        partition_(partition),
        next_(next),
        stop_(stop),
        credit_(static_cast<int64_t>(credit)),
        subscriber_(&subscriber) {
    api_.subscriptions_.insert(this);
    pump();
  }
  ~FakeSubscription() override { api_.subscriptions_.erase(this); }

  void add_credit(uint64_t bytes) override {
    credit_ += static_cast<int64_t>(bytes);
    pump();
  }

  void pump() {
    if (std::exchange(pumping_, true)) return;
    api_.loop_.post(alive_.wrap([this] {
      pumping_ = false;
      step();
    }));
  }

  void finish(broker::SubscriptionEnd end) {
    if (ended_) return;
    ended_ = true;
    end.next_offset = next_;
    api_.loop_.post(
        alive_.wrap([this, end = std::move(end)]() mutable { subscriber_->end(std::move(end)); }));
  }

 private:
  // One batch per turn.
  void step() {
    if (ended_) return;
    if (stop_ && next_ >= *stop_) {
      broker::SubscriptionEnd end;
      end.complete = true;
      return finish(end);
    }
    const FakeApi::Log& log = api_.logs_[partition_];
    if (credit_ <= 0) return;
    for (size_t i = 0; i < log.batches.size(); ++i) {
      if (log.headers[i].next_offset() <= next_) continue;
      broker::Delivery delivery;
      delivery.epoch = log.headers[i].epoch;
      delivery.base_offset = log.headers[i].base_offset;
      delivery.next_offset = next_ = log.headers[i].next_offset();
      delivery.batches = {log.batches[i]};
      delivery.bytes = log.batches[i].size();
      delivery.hw = log.next;
      credit_ -= static_cast<int64_t>(delivery.bytes);
      api_.delivered_bytes_ += delivery.bytes;
      pump();
      return subscriber_->deliver(std::move(delivery));
    }
  }

  FakeApi& api_;
  PartitionId partition_;
  Offset next_;
  std::optional<Offset> stop_;
  int64_t credit_;  // below 0: taken on account
  broker::Subscriber* subscriber_;
  bool pumping_ = false;
  bool ended_ = false;
  env::Scope alive_;
};

StreamId FakeApi::add_stream(std::string name, uint32_t partitions) {
  const StreamId id(++last_stream_);
  model::StreamConfig config;
  config.subjects = {name + ".>"};
  config.name = std::move(name);
  config.partitions = partitions;
  streams_[id] = std::move(config);
  return id;
}

std::vector<std::string> FakeApi::values(StreamId stream, uint32_t partition) {
  std::vector<std::string> out;
  for (const Slice& batch : log(stream, partition).batches) {
    const auto header = model::verify_batch(batch, model::batch_crc_seed(log_id));
    ASSERT(header.has_value());
    Bytes scratch;
    const auto body = model::batch_body(*header, batch, scratch);
    model::RecordReader reader(*body, header->base_timestamp);
    model::RecordView record;
    while (reader.next(record)) out.emplace_back(record.value.value_or(""));
  }
  return out;
}

void FakeApi::append(StreamId stream, const std::vector<std::string>& values, uint32_t partition) {
  model::BatchBuilder builder;
  for (const std::string& value : values) {
    model::RecordView record;
    record.subject = "fake.subject";
    record.value = value;
    ASSERT(builder.add(record).has_value());
  }
  const BufferRef batch = builder.finish();
  publish({},
          {.stream = stream,
           .partition = PartitionIndex(partition),
           .epoch = {},
           .batch = batch.view()},
          [](Result<broker::PublishAck> ack) { ASSERT(ack.has_value()); });
}

void FakeApi::truncate(StreamId stream, Offset at, uint32_t partition) {
  Log& cut = log(stream, partition);
  while (!cut.headers.empty() && cut.headers.back().base_offset >= at) {
    cut.headers.pop_back();
    cut.batches.pop_back();
  }
  cut.next = cut.headers.empty() ? Offset{} : cut.headers.back().next_offset();
  cut.epoch = cut.epoch.next();
}

void FakeApi::remove_stream(StreamId stream) { streams_.erase(stream); }

void FakeApi::release() {
  holding_ = false;
  for (env::Task& task : std::exchange(held_, {})) task();
}

void FakeApi::end_subscriptions(Errc code) {
  for (FakeSubscription* subscription : subscriptions_) {
    broker::SubscriptionEnd end;
    end.error = {code, "by the test"};
    subscription->finish(end);
  }
}

void FakeApi::pump_all() {
  for (FakeSubscription* subscription : subscriptions_) subscription->pump();
}

broker::StreamStatus FakeApi::status(StreamId id) const {
  broker::StreamStatus out;
  out.id = id;
  out.config = streams_.at(id);
  out.created = {123'456'789};
  out.warnings = {"made by a test"};
  for (uint32_t i = 0; i < out.config.partitions; ++i) {
    broker::PartitionStatus partition;
    partition.index = PartitionIndex(i);
    partition.leader = NodeId(1);
    partition.epoch = Epoch(1);
    partition.replicas = partition.isr = {NodeId(1)};
    partition.state = broker::PartitionState::online;
    partition.hw = Offset(5);
    out.partitions.push_back(std::move(partition));
  }
  return out;
}

void FakeApi::create_stream(const broker::Principal& who, broker::CreateStream request,
                            env::Done<broker::StreamStatus> done) {
  last_principal_ = who.name;
  last_create_ = request;
  const StreamId id = add_stream(request.config.name, request.config.partitions);
  streams_[id] = request.config;
  later<broker::StreamStatus>(std::move(done), status(id));
}

void FakeApi::list_streams(const broker::Principal&, broker::MetadataRead read,
                           env::Done<broker::StreamList> done) {
  max_ages.push_back(read.max_age);
  broker::StreamList out;
  out.as_of = as_of;
  for (const auto& [id, config] : streams_) out.streams.push_back(status(id));
  later<broker::StreamList>(std::move(done), std::move(out));
}

void FakeApi::describe_stream(const broker::Principal&, broker::StreamRef ref,
                              broker::MetadataRead read, env::Done<broker::DescribedStream> done) {
  max_ages.push_back(read.max_age);
  for (const auto& [id, config] : streams_) {
    if (id == ref.id || config.name == ref.name)
      return later<broker::DescribedStream>(std::move(done),
                                            broker::DescribedStream{status(id), as_of});
  }
  later<broker::DescribedStream>(std::move(done), fail(Errc::unknown_stream, ref.name));
}

void FakeApi::decide_cluster(const broker::Principal&, broker::ClusterDecision decision,
                             env::Done<void> done) {
  decisions.push_back(std::move(decision));
  later<void>(std::move(done), {});
}

void FakeApi::allocate_producer(const broker::Principal&, MonotonicTime,
                                env::Done<ProducerId> done) {
  later<ProducerId>(std::move(done), ProducerId(++last_producer_));
}

void FakeApi::read_events(const broker::Principal&, broker::ReadEvents request,
                          env::Done<broker::EventsPage> done) {
  last_read_events = request;
  later<broker::EventsPage>(std::move(done), events);
}

void FakeApi::delete_stream(const broker::Principal&, StreamId stream, env::Done<void> done) {
  const bool known = streams_.erase(stream) > 0;
  later<void>(std::move(done), known ? Status{} : Status(fail(Errc::unknown_stream)));
}

void FakeApi::cluster_status(const broker::Principal&, broker::MetadataRead read,
                             env::Done<broker::ClusterStatus> done) {
  max_ages.push_back(read.max_age);
  later<broker::ClusterStatus>(std::move(done), cluster);
}

void FakeApi::change_cluster(const broker::Principal&, broker::ClusterChange request,
                             env::Done<void> done) {
  cluster_changes.push_back(request);
  later<void>(std::move(done), request.node ? Status{} : Status(fail(Errc::not_found)));
}

void FakeApi::publish(const broker::Principal&, broker::Publish in,
                      env::Done<broker::PublishAck> done) {
  ++publishes_;
  if (!failures_.empty()) {
    const Errc code = failures_.front();
    failures_.pop_front();
    return later<broker::PublishAck>(std::move(done), fail(code, "by the test"));
  }
  const auto verified = model::verify_batch(in.batch, 0);
  if (!verified) return later<broker::PublishAck>(std::move(done), fail(verified.error()));
  if (!streams_.contains(in.stream))
    return later<broker::PublishAck>(std::move(done), fail(Errc::unknown_stream));
  Log& to = logs_[{in.stream, in.partition}];
  BufferRef copy = BufferRef::copy_of(in.batch);
  model::BatchHeader header = *verified;
  header.base_offset = to.next;
  header.epoch = to.epoch;
  header.append_time = loop_.wall();
  model::encode_batch_header(header, model::batch_crc_seed(log_id), copy.mutable_bytes());
  to.next = header.next_offset();
  to.headers.push_back(header);
  to.batches.push_back(Slice(std::move(copy)));
  ++batches_;
  const broker::PublishAck ack{
      {in.stream, in.partition}, header.epoch, header.base_offset, header.record_count, false};
  pump_all();
  if (holding_) {
    held_.push_back([this, ack, done = std::move(done)]() mutable {
      later<broker::PublishAck>(std::move(done), ack);
    });
  } else {
    later<broker::PublishAck>(std::move(done), ack);
  }
}

void FakeApi::subscribe(const broker::Principal&, broker::Subscribe request,
                        broker::Subscriber& subscriber, env::Done<broker::SubscribeStarted> done) {
  if (!streams_.contains(request.stream))
    return later<broker::SubscribeStarted>(std::move(done), fail(Errc::unknown_stream));
  const PartitionId partition{request.stream, request.partition};
  const Log& from = logs_[partition];
  Offset first;
  std::optional<Offset> valid_end;
  if (std::holds_alternative<broker::FromNew>(request.from)) {
    first = from.next;
  } else if (const auto* at = std::get_if<broker::FromOffset>(&request.from)) {
    first = at->offset;
    if (at->offset > from.next) valid_end = from.next;
    for (const model::BatchHeader& header : from.headers) {
      if (at->epoch_before && header.base_offset < first && first <= header.next_offset() &&
          header.epoch != *at->epoch_before)
        valid_end = header.base_offset;
    }
  }
  std::optional<Offset> stop;
  if (std::holds_alternative<broker::UntilLatest>(request.until)) stop = from.next;
  if (const auto* at = std::get_if<broker::UntilOffset>(&request.until)) stop = at->offset;
  auto subscription = std::make_unique<FakeSubscription>(*this, partition, first, stop,
                                                         request.credit_bytes, subscriber);
  if (valid_end) {
    broker::SubscriptionEnd end;
    end.error = {Errc::log_truncated, "by the test"};
    end.valid_end = valid_end;
    subscription->finish(end);
  }
  later<broker::SubscribeStarted>(
      std::move(done),
      broker::SubscribeStarted{std::move(subscription), from.epoch, first, stop, log_id});
}

}  // namespace bascule::rpc

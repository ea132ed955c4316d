// A broker in memory: streams, logs of decoded records, acks after a while, and errors on demand.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "src/base/assert.h"
#include "src/broker/api.h"
#include "src/env/world.h"
#include "src/model/record.h"

namespace bascule::nats {

class FakeBroker final : public broker::Api {
 public:
  explicit FakeBroker(env::World world) : world_(world) {}

  // --- For tests.
  StreamId add_stream(model::StreamConfig config) {
    const StreamId id(++last_stream_);
    streams_[id] = config;
    for (broker::StreamObserver* observer : observers_) observer->stream_changed({id, config});
    return id;
  }
  void change_stream(StreamId id, model::StreamConfig config) {
    streams_[id] = config;
    for (broker::StreamObserver* observer : observers_) observer->stream_changed({id, config});
  }
  void remove_stream(StreamId id) {
    streams_.erase(id);
    for (broker::StreamObserver* observer : observers_) observer->stream_removed(id);
  }
  const std::vector<model::Record>& log(StreamId stream, uint32_t partition = 0) {
    return logs_[{stream, PartitionIndex(partition)}];
  }
  // Publishes wait until release().
  void hold() { holding_ = true; }
  void release() {
    holding_ = false;
    for (auto& task : std::exchange(held_, {})) task();
  }
  // The next publishes end so, one each; the record is not in the log, unless the error says "perhaps".
  void fail_next(Errc code, int times = 1) {
    for (int i = 0; i < times; ++i) failures_.push_back(code);
  }
  void stop_accepting() { accepting_ = false; }
  int publishes() const { return publishes_; }
  size_t batches_in_flight_max() const { return in_flight_max_; }

  // --- broker::Api
  void create_stream(const broker::Principal&, broker::CreateStream request,
                     env::Done<broker::StreamStatus> done) override {
    const StreamId id = add_stream(request.config);
    later<broker::StreamStatus>(
        std::move(done),
        broker::StreamStatus{
            .id = id, .config = request.config, .created = {}, .partitions = {}, .warnings = {}});
  }
  void list_streams(const broker::Principal&, broker::MetadataRead,
                    env::Done<broker::StreamList> done) override {
    later<broker::StreamList>(std::move(done), broker::StreamList{});
  }
  void describe_stream(const broker::Principal&, broker::StreamRef, broker::MetadataRead,
                       env::Done<broker::DescribedStream> done) override {
    later<broker::DescribedStream>(std::move(done), fail(Errc::unknown_stream));
  }
  void delete_stream(const broker::Principal&, StreamId stream, env::Done<void> done) override {
    remove_stream(stream);
    later<void>(std::move(done), {});
  }
  void decide_cluster(const broker::Principal&, broker::ClusterDecision,
                      env::Done<void> done) override {
    later<void>(std::move(done), fail(Errc::not_leader));
  }
  void allocate_producer(const broker::Principal&, MonotonicTime,
                         env::Done<ProducerId> done) override {
    later<ProducerId>(std::move(done), fail(Errc::not_leader));
  }
  void read_events(const broker::Principal&, broker::ReadEvents,
                   env::Done<broker::EventsPage> done) override {
    later<broker::EventsPage>(std::move(done), fail(Errc::not_leader));
  }
  void cluster_status(const broker::Principal&, broker::MetadataRead,
                      env::Done<broker::ClusterStatus> done) override {
    later<broker::ClusterStatus>(std::move(done), broker::ClusterStatus{});
  }
  void change_cluster(const broker::Principal&, broker::ClusterChange,
                      env::Done<void> done) override {
    later<void>(std::move(done), fail(Errc::not_leader));
  }
  void publish(const broker::Principal&, broker::Publish request,
               env::Done<broker::PublishAck> done) override {
    ++publishes_;
    in_flight_max_ = std::max(in_flight_max_, ++in_flight_);
    const Bytes batch = to_bytes(request.batch);  // the view ends with the call
    auto act = [this, request, batch, done = std::move(done)]() mutable {
      world_.loop.after(
          ack_delay, [this, request, batch = std::move(batch), done = std::move(done)]() mutable {
            --in_flight_;
            done(append(request, batch));
          });
    };
    if (holding_) {
      held_.push_back(std::move(act));
    } else {
      act();
    }
  }
  void subscribe(const broker::Principal&, broker::Subscribe, broker::Subscriber&,
                 env::Done<broker::SubscribeStarted> done) override {
    later<broker::SubscribeStarted>(std::move(done), fail(Errc::unsupported));
  }
  void observe_streams(broker::StreamObserver& observer) override {
    observers_.push_back(&observer);
    for (const auto& entry : streams_) {
      world_.loop.post([this, &observer, id = entry.first] {
        if (std::ranges::find(observers_, &observer) != observers_.end() && streams_.contains(id))
          observer.stream_changed({id, streams_[id]});
      });
    }
  }
  void forget_observer(broker::StreamObserver& observer) override {
    std::erase(observers_, &observer);
  }
  bool accepting() const override { return accepting_; }

  Duration ack_delay = microseconds(200);

 private:
  template <class T>
  void later(env::Done<T> done, Result<T> result) {
    world_.loop.post([done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  }

  Result<broker::PublishAck> append(const broker::Publish& request, ByteView batch) {
    if (!failures_.empty()) {
      const Errc code = failures_.front();
      failures_.pop_front();
      return fail(code, "as the test asked");
    }
    const auto stream = streams_.find(request.stream);
    if (stream == streams_.end()) return fail(Errc::unknown_stream);
    if (request.partition.value >= stream->second.partitions) return fail(Errc::unknown_partition);
    const Result<model::BatchHeader> header = model::verify_batch(batch, 0);
    if (!header) return fail(header.error());
    BASCULE_TRY(model::validate_records(*header, batch));
    auto& log = logs_[{request.stream, request.partition}];
    const Offset base(log.size());
    Bytes scratch;
    const Result<ByteView> body = model::batch_body(*header, batch, scratch);
    model::RecordReader reader(*body, header->base_timestamp);
    for (model::RecordView view; reader.next(view);) log.push_back(view.to_record());
    EXPECT_TRUE(reader.status());
    return broker::PublishAck{
        {request.stream, request.partition}, Epoch(1), base, header->record_count, false};
  }

  env::World world_;
  uint64_t last_stream_ = 0;
  std::map<StreamId, model::StreamConfig> streams_;
  std::map<std::pair<StreamId, PartitionIndex>, std::vector<model::Record>> logs_;
  std::vector<broker::StreamObserver*> observers_;
  std::deque<Errc> failures_;
  std::vector<env::Task> held_;
  bool holding_ = false;
  bool accepting_ = true;
  int publishes_ = 0;
  size_t in_flight_ = 0;
  size_t in_flight_max_ = 0;
};

}  // namespace bascule::nats

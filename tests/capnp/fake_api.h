// A broker in memory for tests of the RPC path: streams, logs of sealed batches, subscriptions with
// credit, and errors on demand.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "src/broker/api.h"
#include "src/env/world.h"
#include "src/model/record.h"

namespace bascule::rpc {

class FakeSubscription;

class FakeApi final : public broker::Api {
 public:
  struct Log {
    Epoch epoch{1};
    Offset next;
    std::vector<Slice> batches;
    std::vector<model::BatchHeader> headers;
  };

  explicit FakeApi(env::Loop& loop) : loop_(loop) {}

  // --- For tests.
  StreamId add_stream(std::string name, uint32_t partitions = 1);
  Log& log(StreamId stream, uint32_t partition = 0) {
    return logs_[{stream, PartitionIndex(partition)}];
  }
  // Who asked last to create a stream.
  const std::string& last_principal() const { return last_principal_; }
  // All values of the log, in order.
  std::vector<std::string> values(StreamId stream, uint32_t partition = 0);
  // Adds a batch of these values as if it had been published.
  void append(StreamId stream, const std::vector<std::string>& values, uint32_t partition = 0);
  // Cuts the log and begins a new epoch.
  void truncate(StreamId stream, Offset at, uint32_t partition = 0);
  void remove_stream(StreamId stream);
  // Publishes are not answered until release().
  void hold() { holding_ = true; }
  void release();
  // The next publishes end so, one each.
  void fail_next(Errc code, int times = 1) {
    for (int i = 0; i < times; ++i) failures_.push_back(code);
  }
  // Every subscription ends so.
  void end_subscriptions(Errc code);
  int publishes() const { return publishes_; }
  size_t batches() const { return batches_; }
  size_t subscriptions() const { return subscriptions_.size(); }
  uint64_t delivered_bytes() const { return delivered_bytes_; }
  const std::optional<broker::CreateStream>& last_create() const { return last_create_; }
  const Uuid log_id{{7, 9}};

  broker::ClusterStatus cluster;                       // what cluster_status() answers
  std::vector<broker::ClusterChange> cluster_changes;  // as they came
  std::vector<broker::ClusterDecision> decisions;
  std::vector<Duration> max_ages;                    // of the reads of metadata, as they came
  broker::AsOf as_of{Index(17), milliseconds(250)};  // what those answer
  broker::EventsPage events;                         // what read_events() answers
  std::optional<broker::ReadEvents> last_read_events;

  // --- broker::Api
  void create_stream(const broker::Principal&, broker::CreateStream request,
                     env::Done<broker::StreamStatus> done) override;
  void list_streams(const broker::Principal&, broker::MetadataRead read,
                    env::Done<broker::StreamList> done) override;
  void describe_stream(const broker::Principal&, broker::StreamRef ref, broker::MetadataRead read,
                       env::Done<broker::DescribedStream> done) override;
  void delete_stream(const broker::Principal&, StreamId stream, env::Done<void> done) override;
  void cluster_status(const broker::Principal&, broker::MetadataRead read,
                      env::Done<broker::ClusterStatus> done) override;
  void decide_cluster(const broker::Principal&, broker::ClusterDecision decision,
                      env::Done<void> done) override;
  void allocate_producer(const broker::Principal&, MonotonicTime,
                         env::Done<ProducerId> done) override;
  void read_events(const broker::Principal&, broker::ReadEvents request,
                   env::Done<broker::EventsPage> done) override;
  void change_cluster(const broker::Principal&, broker::ClusterChange request,
                      env::Done<void> done) override;
  void publish(const broker::Principal&, broker::Publish request,
               env::Done<broker::PublishAck> done) override;
  void subscribe(const broker::Principal&, broker::Subscribe request,
                 broker::Subscriber& subscriber, env::Done<broker::SubscribeStarted> done) override;
  void observe_streams(broker::StreamObserver&) override {}
  void forget_observer(broker::StreamObserver&) override {}
  bool accepting() const override { return true; }

 private:
  friend class FakeSubscription;

  template <class T>
  void later(env::Done<T> done, Result<T> result) {
    loop_.post([done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  }
  broker::StreamStatus status(StreamId id) const;
  void pump_all();

  env::Loop& loop_;
  uint64_t last_stream_ = 0;
  uint64_t last_producer_ = 0;
  std::map<StreamId, model::StreamConfig> streams_;
  std::map<PartitionId, Log> logs_;
  bool holding_ = false;
  std::vector<env::Task> held_;
  std::deque<Errc> failures_;
  int publishes_ = 0;
  size_t batches_ = 0;
  uint64_t delivered_bytes_ = 0;
  std::set<FakeSubscription*> subscriptions_;
  std::optional<broker::CreateStream> last_create_;
  std::string last_principal_;
};

}  // namespace bascule::rpc

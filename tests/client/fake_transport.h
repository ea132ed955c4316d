// A transport without a wire: tests answer each request themselves.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/client/transport.h"

namespace bascule::client {

class FakeTransport;

struct PublishCall {
  env::Address to;
  PublishRequest request;
  Answer<broker::PublishAck> done;
};

struct SubscribeCall {
  env::Address to;
  broker::Subscribe request;
  broker::Subscriber* subscriber;
  Answer<broker::SubscribeStarted> done;
};

struct EventsCall {
  env::Address to;
  broker::ReadEvents request;
  Answer<broker::EventsPage> done;
};

class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(env::Loop& loop) : loop_(loop) {}

  // --- For tests.
  // Errors of connecting to this address, one each; afterwards it succeeds.
  void refuse(const env::Address& address, Errc code, int times) {
    refusals_[address] = {code, times};
  }
  // What describe_stream answers, by name; else unknown_stream.
  std::map<std::string, StreamInfo> streams;
  std::deque<PublishCall> publishes;
  std::deque<SubscribeCall> subscribes;
  std::deque<EventsCall> event_reads;
  // Errors of delete_stream, one each.
  std::deque<Errc> delete_failures;
  int describes = 0;
  int deletes = 0;
  std::vector<env::Address> connects;
  std::vector<uint64_t> credits;
  int open_subscriptions = 0;
  // All open connections to the address break.
  void break_off(const env::Address& address);

  void connect(env::Address server, std::string, Duration,
               env::Done<std::unique_ptr<Connection>> done) override;

 private:
  friend class FakeConnection;

  struct Refusal {
    Errc code = Errc::connection_refused;
    int times = 0;
  };

  env::Loop& loop_;
  std::map<env::Address, Refusal> refusals_;
  std::multimap<env::Address, class FakeConnection*> connections_;
};

class FakeConnection final : public Connection {
 public:
  FakeConnection(FakeTransport& transport, env::Address address)
      : transport_(transport), address_(std::move(address)) {
    transport_.connections_.emplace(address_, this);
  }
  ~FakeConnection() override {
    for (auto it = transport_.connections_.begin(); it != transport_.connections_.end(); ++it) {
      if (it->second != this) continue;
      transport_.connections_.erase(it);
      return;
    }
  }

  void create_stream(broker::CreateStream request, Answer<StreamInfo> done) override {
    StreamInfo info;
    info.status.config = request.config;
    transport_.streams[request.config.name] = info;
    post(std::move(done), std::expected<StreamInfo, Failure>(info));
  }
  void list_streams(broker::MetadataRead, Answer<broker::StreamList> done) override {
    broker::StreamList out;
    for (const auto& [name, info] : transport_.streams) out.streams.push_back(info.status);
    post(std::move(done), std::expected<broker::StreamList, Failure>(out));
  }
  void describe_stream(broker::StreamRef ref, broker::MetadataRead,
                       Answer<StreamInfo> done) override {
    ++transport_.describes;
    const auto it = transport_.streams.find(ref.name);
    std::expected<StreamInfo, Failure> result =
        std::unexpected(Failure{{Errc::unknown_stream, ""}, {}});
    if (it != transport_.streams.end()) result = it->second;
    post(std::move(done), std::move(result));
  }
  void delete_stream(StreamId, MonotonicTime, Answer<void> done) override {
    ++transport_.deletes;
    std::expected<void, Failure> result;
    if (!transport_.delete_failures.empty()) {
      result = std::unexpected(Failure{{transport_.delete_failures.front(), ""}, {}});
      transport_.delete_failures.pop_front();
    }
    post(std::move(done), std::move(result));
  }
  void decide_cluster(broker::ClusterDecision, MonotonicTime, Answer<void> done) override {
    post(std::move(done), std::expected<void, Failure>{});
  }
  void allocate_producer(MonotonicTime, Answer<ProducerId> done) override {
    post(std::move(done), std::expected<ProducerId, Failure>{ProducerId(1)});
  }
  void read_events(broker::ReadEvents request, Answer<broker::EventsPage> done) override {
    transport_.event_reads.push_back({address_, request, alive_.wrap(std::move(done))});
  }
  void cluster_status(broker::MetadataRead, Answer<broker::ClusterStatus> done) override {
    post(std::move(done), std::expected<broker::ClusterStatus, Failure>{broker::ClusterStatus{}});
  }
  void change_cluster(broker::ClusterChange, MonotonicTime, Answer<void> done) override {
    post(std::move(done), std::expected<void, Failure>{});
  }
  void publish(PublishRequest request, Answer<broker::PublishAck> done) override {
    transport_.publishes.push_back({address_, std::move(request), alive_.wrap(std::move(done))});
  }
  void subscribe(broker::Subscribe request, broker::Subscriber& subscriber,
                 Answer<broker::SubscribeStarted> done) override {
    transport_.subscribes.push_back(
        {address_, std::move(request), &subscriber, alive_.wrap(std::move(done))});
  }
  void on_closed(std::move_only_function<void(Error)> task) override { closed_ = std::move(task); }

  void break_off() {
    transport_.loop_.post(alive_.wrap([this] {
      if (auto task = std::exchange(closed_, {})) task({Errc::connection_lost, "by the test"});
    }));
  }

 private:
  template <class T>
  void post(Answer<T> done, std::expected<T, Failure> result) {
    transport_.loop_.post(
        alive_.wrap([done = std::move(done), result = std::move(result)]() mutable {
          done(std::move(result));
        }));
  }

  FakeTransport& transport_;
  env::Address address_;
  std::move_only_function<void(Error)> closed_;
  env::Scope alive_;
};

inline void FakeTransport::break_off(const env::Address& address) {
  const auto [begin, end] = connections_.equal_range(address);
  for (auto it = begin; it != end; ++it) it->second->break_off();
}

inline void FakeTransport::connect(env::Address server, std::string, Duration,
                                   env::Done<std::unique_ptr<Connection>> done) {
  connects.push_back(server);
  loop_.post([this, server = std::move(server), done = std::move(done)]() mutable {
    Refusal& refusal = refusals_[server];
    if (refusal.times > 0) {
      --refusal.times;
      return done(fail(refusal.code, "by the test"));
    }
    done(std::make_unique<FakeConnection>(*this, server));
  });
}

}  // namespace bascule::client

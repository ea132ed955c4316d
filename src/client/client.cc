#include "src/client/client.h"

#include <utility>

#include "src/base/assert.h"
#include "src/client/event_stream.h"
#include "src/client/metadata.h"
#include "src/client/publisher.h"
#include "src/client/requests.h"
#include "src/client/subscription.h"

namespace bascule::client {
namespace {

class ClientImpl final : public Client {
 public:
  ClientImpl(env::Loop& loop, Transport& transport, Prng& random, ClientOptions options)
      : shared_{loop, random, options,
                Connections(loop, transport, options.servers, options.token,
                            options.connect_timeout)},
        metadata_(shared_) {}

  void create_stream(model::StreamConfig config, Done<StreamStatus> done) override {
    request<StreamInfo>(
        [config = std::move(config)](Connection& to, MonotonicTime deadline,
                                     Answer<StreamInfo> answer) {
          to.create_stream({config, deadline}, std::move(answer));
        },
        status_of(std::move(done)), Effect::change);
  }

  using Client::cluster_status;
  using Client::describe_stream;
  using Client::list_streams;

  void describe_stream(std::string name, Duration max_age, Done<DescribedStream> done) override {
    request<StreamInfo>(
        [name = std::move(name), max_age](Connection& to, MonotonicTime deadline,
                                          Answer<StreamInfo> answer) {
          to.describe_stream({StreamId{}, name}, {max_age, deadline}, std::move(answer));
        },
        [done = std::move(done)](Result<StreamInfo> info) mutable {
          if (!info) return done(fail(std::move(info.error())));
          done(DescribedStream{std::move(info->status), info->as_of});
        });
  }

  void list_streams(Duration max_age, Done<StreamList> done) override {
    request<StreamList>(
        [max_age](Connection& to, MonotonicTime deadline, Answer<StreamList> answer) {
          to.list_streams({max_age, deadline}, std::move(answer));
        },
        std::move(done));
  }

  void delete_stream(std::string name, Done<void> done) override {
    metadata_.forget(name);
    metadata_.find(
        name, alive_.wrap([this, name, done = std::move(done)](Result<StreamInfoRef> info) mutable {
          if (!info) return done(fail(std::move(info.error())));
          metadata_.forget(name);
          delete_by_id((*info)->status.id, std::move(done));
        }));
  }

  void cluster_status(Duration max_age, Done<broker::ClusterStatus> done) override {
    request<broker::ClusterStatus>(
        [max_age](Connection& to, MonotonicTime deadline, Answer<broker::ClusterStatus> answer) {
          to.cluster_status({max_age, deadline}, std::move(answer));
        },
        std::move(done));
  }

  void change_cluster(broker::ClusterChange change, Done<void> done) override {
    request<void>(
        [change](Connection& to, MonotonicTime deadline, Answer<void> answer) {
          to.change_cluster(change, deadline, std::move(answer));
        },
        std::move(done), Effect::change);
  }

  void decide_cluster(broker::ClusterDecision decision, Done<void> done) override {
    request<void>(
        [decision = std::move(decision)](Connection& to, MonotonicTime deadline,
                                         Answer<void> answer) {
          to.decide_cluster(decision, deadline, std::move(answer));
        },
        std::move(done), Effect::change);
  }

  void read_events(broker::EventsStart from, ReadEventsOptions options,
                   Done<broker::EventsPage> done) override {
    client::read_events(shared_, from, options, std::move(done));
  }

  std::unique_ptr<EventStream> follow_events(broker::EventsStart from,
                                             EventReceiver& receiver) override {
    return make_event_stream(shared_, from, receiver);
  }

  void allocate_producer(Done<ProducerId> done) override {
    request<ProducerId>(
        [](Connection& to, MonotonicTime deadline, Answer<ProducerId> answer) {
          to.allocate_producer(deadline, std::move(answer));
        },
        std::move(done));
  }

  std::unique_ptr<Publisher> publisher(std::string stream, PublisherOptions options) override {
    return make_publisher(shared_, metadata_, std::move(stream), std::move(options));
  }

  std::unique_ptr<Subscription> subscribe(SubscribeOptions options, Receiver& receiver) override {
    return make_subscription(shared_, metadata_, std::move(options), receiver);
  }

 private:
  template <class T>
  void request(typename Request<T>::Make make, Done<T> done, Effect effect = Effect::none) {
    std::make_shared<Request<T>>(shared_, std::move(make), std::move(done), effect)->start();
  }

  static Done<StreamInfo> status_of(Done<StreamStatus> done) {
    return [done = std::move(done)](Result<StreamInfo> info) mutable {
      if (!info) return done(fail(std::move(info.error())));
      done(std::move(info->status));
    };
  }

  // A deletion whose answer was lost and that finds nothing on the second try has happened.
  void delete_by_id(StreamId id, Done<void> done) {
    const auto attempts = std::make_shared<uint32_t>(0);
    request<void>(
        [id, attempts](Connection& to, MonotonicTime deadline, Answer<void> answer) {
          ++*attempts;
          to.delete_stream(id, deadline, std::move(answer));
        },
        [attempts, done = std::move(done)](Result<void> result) mutable {
          if (!result && result.error().code == Errc::unknown_stream && *attempts > 1) result = {};
          done(std::move(result));
        },
        Effect::change);
  }

  Shared shared_;
  Metadata metadata_;
  env::Scope alive_;
};

}  // namespace

std::unique_ptr<Client> make_client(env::Loop& loop, Transport& transport, Prng& random,
                                    ClientOptions options) {
  REQUIRE(!options.servers.empty());
  return std::make_unique<ClientImpl>(loop, transport, random, std::move(options));
}

}  // namespace bascule::client

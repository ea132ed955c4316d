#include "capnp/rpc_transport.h"

#include <utility>

#include "capnp/cluster_values.h"
#include "capnp/event_values.h"
#include "capnp/rpc_wire.h"
#include "capnp/wire_values.h"

namespace bascule::rpc {
namespace {

using client::Answer;
using client::Failure;

std::expected<client::StreamInfo, Failure> info_of(wire::StreamInfo::Reader in) {
  auto out = read_info(in);
  if (!out) return std::unexpected(Failure{out.error(), {}});
  return std::move(*out);
}

// Ends the subscription when its owner drops it.
class SubscriptionHandle final : public broker::Subscription {
 public:
  explicit SubscriptionHandle(std::shared_ptr<ClientSubscription> to) : to_(std::move(to)) {}
  ~SubscriptionHandle() noexcept override { to_->drop(); }
  void add_credit(uint64_t bytes) override { to_->add_credit(bytes); }

 private:
  std::shared_ptr<ClientSubscription> to_;
};

class RpcConnection final : public client::Connection {
 public:
  explicit RpcConnection(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
  ~RpcConnection() noexcept override { wire_->close(); }

  void on_closed(std::move_only_function<void(Error)> task) override {
    wire_->on_lost(std::move(task));
  }

  void create_stream(broker::CreateStream in, Answer<client::StreamInfo> done) override {
    wire_->call<client::StreamInfo>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().admin.createStreamRequest();
          write_config(request.initConfig(), in.config);
          request.setBudgetNs(budget_of(in.deadline, wire_->now()));
          return request.send();
        },
        [](auto& response) { return info_of(response.getStream()); }, std::move(done));
  }

  void describe_stream(broker::StreamRef stream, broker::MetadataRead read,
                       Answer<client::StreamInfo> done) override {
    wire_->call<client::StreamInfo>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().admin.describeStreamRequest();
          write_ref(request.initStream(), stream);
          write_max_age(request.initMaxAge(), read.max_age);
          request.setBudgetNs(budget_of(read.deadline, wire_->now()));
          return request.send();
        },
        [](auto& response) { return info_of(response.getStream()); }, std::move(done));
  }

  void delete_stream(StreamId stream, MonotonicTime deadline, Answer<void> done) override {
    wire_->call<void>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().admin.deleteStreamRequest();
          request.setId(stream.value);
          request.setBudgetNs(budget_of(deadline, wire_->now()));
          return request.send();
        },
        [](auto&) { return std::expected<void, Failure>{}; }, std::move(done));
  }

  void list_streams(broker::MetadataRead read, Answer<broker::StreamList> done) override {
    list_more({}, read, std::move(done));
  }

  void cluster_status(broker::MetadataRead read, Answer<broker::ClusterStatus> done) override {
    wire_->call<broker::ClusterStatus>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().cluster.statusRequest();
          write_max_age(request.initMaxAge(), read.max_age);
          request.setBudgetNs(budget_of(read.deadline, wire_->now()));
          return request.send();
        },
        [](auto& response) -> std::expected<broker::ClusterStatus, Failure> {
          auto status = read_cluster(response.getStatus());
          if (!status) return std::unexpected(Failure{status.error(), {}});
          return std::move(*status);
        },
        std::move(done));
  }

  void change_cluster(broker::ClusterChange change, MonotonicTime deadline,
                      Answer<void> done) override {
    wire_->call<void>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().cluster.changeRequest();
          request.setVerb(write_verb(change.verb));
          request.setNode(change.node.value);
          request.setReplaces(change.replaces.value);
          request.setBudgetNs(budget_of(deadline, wire_->now()));
          return request.send();
        },
        [](auto&) -> std::expected<void, Failure> { return {}; }, std::move(done));
  }

  void decide_cluster(broker::ClusterDecision decision, MonotonicTime deadline,
                      Answer<void> done) override {
    wire_->call<void>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().cluster.decideRequest();
          write_decision(request.initDecision(), decision);
          request.setBudgetNs(budget_of(deadline, wire_->now()));
          return request.send();
        },
        [](auto&) -> std::expected<void, Failure> { return {}; }, std::move(done));
  }

  void allocate_producer(MonotonicTime deadline, Answer<ProducerId> done) override {
    wire_->call<ProducerId>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().publisher.allocateProducerRequest();
          request.setBudgetNs(budget_of(deadline, wire_->now()));
          return request.send();
        },
        [](auto& response) -> std::expected<ProducerId, Failure> {
          return ProducerId(response.getProducer());
        },
        std::move(done));
  }

  void read_events(broker::ReadEvents in, Answer<broker::EventsPage> done) override {
    wire_->call<broker::EventsPage>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().cluster.eventsRequest();
          write_events_start(request.initFrom(), in.from);
          request.setMax(in.max);
          write_max_age(request.initMaxAge(), in.max_age);
          request.setBudgetNs(budget_of(in.deadline, wire_->now()));
          return request.send();
        },
        [](auto& response) -> std::expected<broker::EventsPage, Failure> {
          return read_page(response);
        },
        std::move(done));
  }

  void publish(client::PublishRequest in, Answer<broker::PublishAck> done) override {
    wire_->call<broker::PublishAck>(
        [&](uint64_t& loan) {
          auto request =
              wire_->capabilities().publisher.publishRequest(::capnp::MessageSize{16, 0});
          request.setStream(in.stream.value);
          request.setPartition(in.partition.value);
          request.setEpoch(in.epoch.value);
          request.setAcks(write_acks(in.acks));
          request.setBudgetNs(budget_of(in.deadline, wire_->now()));
          const auto lent = wire_->stream().lend(std::move(in.batch));
          loan = lent.number;
          wire::Publisher::PublishParams::Builder params = request;
          params.adoptBatch(
              ::capnp::Orphanage::getForMessageContaining(params).referenceExternalData(lent.data));
          return request.send();
        },
        [partition = PartitionId{in.stream, in.partition}](
            auto& response) -> std::expected<broker::PublishAck, Failure> {
          return broker::PublishAck{partition, Epoch(response.getEpoch()),
                                    Offset(response.getBaseOffset()), response.getCount(),
                                    response.getDuplicate()};
        },
        std::move(done));
  }

  void subscribe(broker::Subscribe in, broker::Subscriber& subscriber,
                 Answer<broker::SubscribeStarted> done) override {
    auto subscription = std::make_shared<ClientSubscription>(wire_, subscriber);
    wire_->call<broker::SubscribeStarted>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().reader.subscribeRequest();
          request.setStream(in.stream.value);
          request.setPartition(in.partition.value);
          write_start(request.initFrom(), in.from);
          write_stop(request.initUntil(), in.until);
          request.setFilter(::capnp::Text::Reader(in.filter.c_str(), in.filter.size()));
          request.setCreditBytes(in.credit_bytes);
          request.setBudgetNs(budget_of(in.deadline, wire_->now()));
          request.setSubscriber(subscription->capability());
          return request.send();
        },
        [subscription](auto& response) -> std::expected<broker::SubscribeStarted, Failure> {
          subscription->begin(response.getSubscription());
          return broker::SubscribeStarted{
              std::make_unique<SubscriptionHandle>(subscription),
              Epoch(response.getEpoch()),
              Offset(response.getFirst()),
              read_optional(response.getUntil()),
              Uuid{{response.getLogIdLow(), response.getLogIdHigh()}},
          };
        },
        [subscription,
         done = std::move(done)](std::expected<broker::SubscribeStarted, Failure> result) mutable {
          const bool started = result.has_value();
          done(std::move(result));
          if (started) subscription->answered();
        });
  }

 private:
  void list_more(broker::StreamList so_far, broker::MetadataRead read,
                 Answer<broker::StreamList> done) {
    struct Page {
      broker::StreamList list;
      bool more;
    };
    const std::string after = so_far.streams.empty() ? "" : so_far.streams.back().config.name;
    wire_->call<Page>(
        [&](uint64_t&) {
          auto request = wire_->capabilities().admin.listStreamsRequest();
          request.setAfter(::capnp::Text::Reader(after.c_str(), after.size()));
          write_max_age(request.initMaxAge(), read.max_age);
          request.setBudgetNs(budget_of(read.deadline, wire_->now()));
          return request.send();
        },
        [](auto& response) -> std::expected<Page, Failure> {
          Page page{{{}, read_as_of(response.getAsOf())}, response.getMore()};
          for (const auto in : response.getStreams()) {
            auto status = read_status(in);
            if (!status) return std::unexpected(Failure{status.error(), {}});
            page.list.streams.push_back(std::move(*status));
          }
          return page;
        },
        [this, read, so_far = std::move(so_far),
         done = std::move(done)](std::expected<Page, Failure> page) mutable {
          if (!page) return done(std::unexpected(std::move(page.error())));
          // Of several pages the first is the oldest.
          if (so_far.streams.empty()) so_far.as_of = page->list.as_of;
          for (auto& status : page->list.streams) so_far.streams.push_back(std::move(status));
          // A broker that says "more" and gives nothing would be asked for ever.
          if (!page->more || page->list.streams.empty() ||
              so_far.streams.size() >= limits::k_streams_max)
            return done(std::move(so_far));
          list_more(std::move(so_far), read, std::move(done));
        });
  }

  std::shared_ptr<Wire> wire_;
};

// One connection on its way: connected, then logged in, both within the time given.
class Connecting final : public std::enable_shared_from_this<Connecting> {
 public:
  Connecting(std::shared_ptr<KjGuest> guest, env::TlsClient* tls, std::string token,
             env::Done<std::unique_ptr<client::Connection>> done)
      : guest_(std::move(guest)), tls_(tls), token_(std::move(token)), done_(std::move(done)) {}

  void start(env::Network& network, env::Address server, Duration timeout) {
    timer_ = guest_->loop().after(timeout, [self = shared_from_this()] {
      self->finish(fail(Errc::deadline_exceeded, "the broker did not answer in time"));
    });
    host_ = server.host;
    timeout_ = timeout;
    network.connect(std::move(server), timeout,
                    [self = shared_from_this()](Result<std::unique_ptr<env::Stream>> stream) {
                      self->connected(std::move(stream));
                    });
  }

  // The transport goes: nothing is called any more.
  void drop() {
    done_ = nullptr;
    finish(fail(Errc::cancelled));
  }

 private:
  void connected(Result<std::unique_ptr<env::Stream>> stream) {
    if (!done_) return;
    if (!stream) return finish(fail(std::move(stream.error())));
    if (tls_ == nullptr) return login(std::move(*stream));
    env::TlsHandshake handshake;
    handshake.timeout = timeout_;
    // Weak: the handshake is ours, and may be dropped with us.
    securing_ = tls_->connect(std::move(*stream), host_, std::move(handshake),
                              [weak = weak_from_this()](Status status) {
                                const auto self = weak.lock();
                                if (!self) return;
                                auto secured = std::exchange(self->securing_, nullptr);
                                if (!status) return self->finish(fail(std::move(status.error())));
                                self->login(std::move(secured));
                              });
  }

  void login(std::unique_ptr<env::Stream> stream) {
    if (!done_) return;
    wire_ = std::make_shared<Wire>(guest_, std::move(stream));
    wire_->login(token_, [self = shared_from_this()](std::expected<void, Failure> result) {
      if (!result) return self->finish(fail(self->refusal(std::move(result.error().error))));
      auto wire = std::exchange(self->wire_, nullptr);
      self->finish(std::make_unique<RpcConnection>(std::move(wire)));
    });
  }

  // Nothing but the login has been sent, so an end of the connection leaves nothing open.
  Error refusal(Error error) const {
    // Where the stream knows better: the other side speaks TLS, or does not take our certificate.
    if (auto known = wire_->stream().refusal()) return *std::move(known);
    if (error.code == Errc::outcome_unknown) error.code = Errc::connection_lost;
    if (error.code == Errc::internal) error.code = Errc::unsupported;
    return error;
  }

  void finish(Result<std::unique_ptr<client::Connection>> result) {
    guest_->loop().cancel(std::exchange(timer_, {}));
    securing_.reset();
    if (wire_) std::exchange(wire_, nullptr)->close();
    if (auto done = std::exchange(done_, {})) done(std::move(result));
  }

  std::shared_ptr<KjGuest> guest_;
  env::TlsClient* tls_;
  std::string token_;
  env::Done<std::unique_ptr<client::Connection>> done_;
  std::string host_;
  Duration timeout_;
  env::TimerId timer_;  // holds this until finish()
  std::unique_ptr<env::TlsStream> securing_;
  std::shared_ptr<Wire> wire_;
};

class RpcTransport final : public client::Transport {
 public:
  RpcTransport(env::Loop& loop, env::Network& network, env::TlsClient* tls)
      : network_(network), tls_(tls), guest_(std::make_shared<KjGuest>(loop)) {}
  ~RpcTransport() noexcept override {
    for (const auto& weak : connecting_) {
      if (const auto connecting = weak.lock()) connecting->drop();
    }
  }

  void connect(env::Address server, std::string token, Duration timeout,
               env::Done<std::unique_ptr<client::Connection>> done) override {
    std::erase_if(connecting_, [](const auto& weak) { return weak.expired(); });
    const auto connecting =
        std::make_shared<Connecting>(guest_, tls_, std::move(token), alive_.wrap(std::move(done)));
    connecting_.push_back(connecting);
    connecting->start(network_, std::move(server), timeout);
  }

 private:
  env::Network& network_;
  env::TlsClient* tls_;
  std::shared_ptr<KjGuest> guest_;
  std::vector<std::weak_ptr<Connecting>> connecting_;
  env::Scope alive_;
};

}  // namespace

std::unique_ptr<client::Transport> make_rpc_transport(env::Loop& loop, env::Network& network,
                                                      env::TlsClient* tls) {
  return std::make_unique<RpcTransport>(loop, network, tls);
}

}  // namespace bascule::rpc

// One connection of a client to the RPC port of a broker: what KJ touches of it. Private to the transport.
//
// Answers and subscribers are called outside of KJ (KjGuest::defer), where they may destroy the
// connection. Each call's answer is owned in one place, so it runs once whatever comes first: the
// response, the break of the connection, or close(), after which nothing is called any more.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <kj/async.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "capnp/bascule.capnp.h"
#include "capnp/kj_guest.h"
#include "capnp/kj_stream.h"
#include "capnp/wire_values.h"
#include "src/base/assert.h"
#include "src/client/transport.h"

namespace bascule::rpc {

class ClientSubscription;

class Wire final : public std::enable_shared_from_this<Wire> {
 public:
  // Of a login; all that a client holds.
  struct Capabilities {
    wire::Admin::Client admin;
    wire::Publisher::Client publisher;
    wire::Reader::Client reader;
    wire::Cluster::Client cluster;
  };

  Wire(std::shared_ptr<KjGuest> guest, std::unique_ptr<env::Stream> stream);
  ~Wire() noexcept;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  KjGuest& guest() { return *guest_; }
  KjStream& stream() { return stream_; }
  MonotonicTime now() { return guest_->loop().now(); }
  // Requires a login that succeeded.
  Capabilities& capabilities() { return *capabilities_; }

  void login(const std::string& token, client::Answer<void> done);
  // `f` runs once, outside of KJ, when the connection breaks.
  void on_lost(std::move_only_function<void(Error)> f) { on_lost_ = std::move(f); }
  // Ends everything; nothing is called any more.
  void close();

  // Gives the number that `remove` takes.
  uint64_t add(ClientSubscription& subscription) {
    subscriptions_.emplace(++subscriptions_begun_, &subscription);
    return subscriptions_begun_;
  }
  void remove(uint64_t number) { subscriptions_.erase(number); }

  // Sends the request that `make(loan)` builds, where `loan` takes the number of a loan that it refers
  // to. `read` turns its response, where that is not a failure, into what `done` is answered with.
  template <class T, class Make, class Read>
  void call(Make make, Read read, client::Answer<T> done) {
    auto answer = std::make_shared<client::Answer<T>>(std::move(done));
    ++open_calls_;
    if (!system_ || lost_) {
      return finish<T>(answer, std::unexpected(client::Failure{
                                   Error{Errc::connection_lost, "not connected"}, {}}));
    }
    const Status status = guest_->enter([&] {
      uint64_t loan = 0;
      auto promise = make(loan);
      tasks_->add(promise.then(
          [this, answer, read = std::move(read)](auto&& response) mutable {
            this->template finish<T>(answer, read_response<T>(response, read));
          },
          [this, answer, loan](kj::Exception&& exception) {
            finish<T>(answer, std::unexpected(failure_of(exception, loan)));
          }));
    });
    if (!status) finish<T>(answer, std::unexpected(client::Failure{status.error(), {}}));
  }

 private:
  struct Errors final : kj::TaskSet::ErrorHandler {
    void taskFailed(kj::Exception&&) override {}  // each task tells its own caller
  };

  template <class T, class Response, class Read>
  static std::expected<T, client::Failure> read_response(Response& response, Read& read) {
    if (response.hasFailure()) return std::unexpected(read_failure(response.getFailure()));
    std::expected<T, client::Failure> out;
    // A response that does not hold what it says it holds makes its readers throw.
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { out = read(response); }))
      out = std::unexpected(client::Failure{error_of(*exception), {}});
    return out;
  }

  template <class T>
  void finish(std::shared_ptr<client::Answer<T>> answer, std::expected<T, client::Failure> result) {
    guest_->defer([self = weak_from_this(), answer = std::move(answer),
                   result = std::move(result)]() mutable {
      const auto wire = self.lock();
      if (!wire || wire->closed_ || !*answer) return;
      auto done = std::exchange(*answer, {});
      done(std::move(result));
      --wire->open_calls_;
      if (wire->lost_) wire->tell_lost();
    });
  }

  client::Failure failure_of(const kj::Exception& exception, uint64_t loan) const;
  void lost();
  void tell_lost();

  std::shared_ptr<KjGuest> guest_;
  Errors errors_;
  bool lost_ = false;
  bool told_lost_ = false;
  uint32_t open_calls_ = 0;
  bool closed_ = false;
  std::move_only_function<void(Error)> on_lost_;
  // By number, given in the order of their beginning: the order in which they hear of a break.
  std::map<uint64_t, ClientSubscription*> subscriptions_;
  uint64_t subscriptions_begun_ = 0;
  KjStream stream_;
  std::optional<::capnp::TwoPartyVatNetwork> network_;
  std::optional<::capnp::RpcSystem<::capnp::rpc::twoparty::VatId>> system_;
  std::optional<wire::Bootstrap::Client> bootstrap_;
  std::optional<Capabilities> capabilities_;
  std::optional<kj::TaskSet> tasks_;
  std::optional<kj::Promise<void>> disconnect_;
};

// A subscription as the client library holds it. What the broker pushes before the answer to
// subscribe() has been given waits here; credit bounds it.
class ClientSubscription final : public std::enable_shared_from_this<ClientSubscription> {
 public:
  ClientSubscription(std::shared_ptr<Wire> wire, broker::Subscriber& subscriber);
  ~ClientSubscription() noexcept;

  // What is handed to the broker.
  wire::Subscriber::Client capability();
  // The answer: `remote` keeps the subscription alive at the broker.
  void begin(wire::Subscription::Client remote);
  // The owner of the subscription has had its answer: what waits is delivered, in later turns.
  void answered();
  void add_credit(uint64_t bytes);
  // The owner has dropped it: the subscriber is not called any more.
  void drop();

  // --- From the connection ---
  void connection_lost(const Error& why);
  // close(): inside KJ.
  void wire_closed();

  // --- From the broker, inside KJ ---
  void deliver(wire::Delivery::Reader in);
  void end(wire::SubscriptionEnd::Reader in);

 private:
  void hand_over_soon();
  void hand_over();

  std::shared_ptr<Wire> wire_;
  const uint64_t number_;           // among the connection's
  broker::Subscriber* subscriber_;  // null: dropped
  std::optional<wire::Subscription::Client> remote_;
  bool answered_ = false;
  Offset next_;
  std::vector<broker::Delivery> waiting_;
  std::optional<broker::SubscriptionEnd> end_;
};

}  // namespace bascule::rpc

// The Reader capability: subscriptions pushed to a capability of the client.
//
// Two bounds hold a slow client: the credit that it gives, and what of it is passed on to the broker.
// The rest of the credit is kept here while deliveries are under way or the connection's queue is long,
// so what a connection has on its way is bounded whatever the client grants.
#include <algorithm>
#include <utility>

#include "capnp/rpc_session.h"
#include "capnp/wire_values.h"
#include "src/base/assert.h"

namespace bascule::rpc {
namespace {

// Batches of at least this size go by reference; smaller ones are cheaper to copy.
constexpr size_t k_lend_bytes_min = 2 << 10;
// The library refuses messages of more than 512 segments, and each lent piece is one.
constexpr size_t k_lent_per_message_max = 256;
constexpr uint64_t k_credit_bytes_max = uint64_t{1} << 40;

class Deliveries final : public broker::Subscriber, public GatedSubscription {
 public:
  Deliveries(Session& session, wire::Subscriber::Client client, uint64_t credit)
      : session_(&session),
        client_(kj::mv(client)),
        bytes_max_(static_cast<int64_t>(session.options().limits.subscription_bytes_max)) {
    credit = std::min(credit, k_credit_bytes_max);
    const uint64_t granted = std::min(credit, static_cast<uint64_t>(bytes_max_));
    granted_ = static_cast<int64_t>(granted);
    reserve_ = credit - granted;
  }
  // KJ's members may throw as they go, which the base does not allow.
  ~Deliveries() noexcept override = default;

  // What the subscription begins with.
  uint64_t granted() const { return static_cast<uint64_t>(granted_); }

  // Takes the subscription over, unless the client has gone meanwhile.
  void begin(std::unique_ptr<broker::Subscription> subscription) {
    if (session_ == nullptr) return;
    subscription_ = std::move(subscription);
    top_up();
  }

  void add_credit(uint64_t bytes) {
    reserve_ = std::min(k_credit_bytes_max, reserve_ + std::min(bytes, k_credit_bytes_max));
    top_up();
  }

  // --- broker::Subscriber, outside of KJ ---
  void deliver(broker::Delivery delivery) override {
    granted_ -= static_cast<int64_t>(delivery.bytes);
    send([&] {
      auto request = client_->deliverRequest();
      write_delivery(request.initDelivery(), delivery);
      // What fails here is the connection, which ends the session, or a client that refuses what it
      // asked for and gives no more credit.
      request.send().detach([](kj::Exception&&) {});
    });
    top_up();
  }

  void end(broker::SubscriptionEnd end) override {
    send([&] {
      auto request = client_->endRequest();
      write_end(request.initEnd(), end);
      request.send().ignoreResult().detach([](kj::Exception&&) {});
    });
  }

  // --- GatedSubscription ---
  void writable() override { top_up(); }

  void drop() override {
    if (session_ == nullptr) return;
    session_->remove_subscription(*this);
    session_ = nullptr;
    client_.reset();
    subscription_.reset();
  }

 private:
  template <class F>
  void send(F f) {
    if (session_ == nullptr) return;
    // An exception means a broken connection, of which the session hears by itself.
    [[maybe_unused]] const Status status = session_->guest().enter(f);
  }

  void write_delivery(wire::Delivery::Builder out, const broker::Delivery& delivery) {
    out.setEpoch(delivery.epoch.value);
    out.setBaseOffset(delivery.base_offset.value);
    out.setNextOffset(delivery.next_offset.value);
    out.setHw(delivery.hw.value);
    out.setBytes(delivery.bytes);
    auto batches = out.initBatches(static_cast<kj::uint>(delivery.batches.size()));
    size_t lent = 0;
    for (kj::uint i = 0; i < batches.size(); ++i) {
      const Slice& batch = delivery.batches[i];
      if (batch.size() >= k_lend_bytes_min && lent < k_lent_per_message_max) {
        ++lent;
        batches.adopt(i, ::capnp::Orphanage::getForMessageContaining(out).referenceExternalData(
                             session_->stream().lend(batch).data));
      } else {
        batches.set(i, ::capnp::Data::Reader(batch.data(), batch.size()));
      }
    }
  }

  // Passes credit on while the queue is short; in large steps, for each wakes the broker's reader.
  void top_up() {
    if (session_ == nullptr || subscription_ == nullptr) return;
    if (reserve_ == 0 || granted_ > bytes_max_ / 2 || !session_->writable()) return;
    const uint64_t bytes = std::min(reserve_, static_cast<uint64_t>(bytes_max_ - granted_));
    reserve_ -= bytes;
    granted_ += static_cast<int64_t>(bytes);
    subscription_->add_credit(bytes);
  }

  Session* session_;  // null: the subscription was dropped
  std::optional<wire::Subscriber::Client> client_;
  const int64_t bytes_max_;
  // To the broker, and not delivered. Below 0 after a batch greater than what was left: the broker has
  // taken it on account, so it is granted back before anything new.
  int64_t granted_ = 0;
  uint64_t reserve_ = 0;  // by the client, and not granted to the broker
  std::unique_ptr<broker::Subscription> subscription_;
};

// Held by the client; when it is dropped, the subscription ends.
class SubscriptionImpl final : public wire::Subscription::Server {
 public:
  explicit SubscriptionImpl(std::shared_ptr<Deliveries> deliveries)
      : deliveries_(std::move(deliveries)) {}
  ~SubscriptionImpl() noexcept { deliveries_->drop(); }

  kj::Promise<void> addCredit(AddCreditContext context) override {
    context.allowCancellation();
    deliveries_->add_credit(context.getParams().getBytes());
    return kj::READY_NOW;
  }

 private:
  std::shared_ptr<Deliveries> deliveries_;
};

class ReaderImpl final : public wire::Reader::Server {
 public:
  explicit ReaderImpl(Session& session) : session_(session) {}

  kj::Promise<void> subscribe(SubscribeContext context) override {
    context.allowCancellation();
    const auto params = context.getParams();
    auto from = read_start(params.getFrom());
    if (!from) return refuse(context, from.error());
    auto until = read_stop(params.getUntil());
    if (!until) return refuse(context, until.error());
    if (!params.hasSubscriber()) return refuse(context, {Errc::invalid, "no subscriber is given"});
    const PartitionId partition{StreamId(params.getStream()),
                                PartitionIndex(params.getPartition())};

    auto deliveries =
        std::make_shared<Deliveries>(session_, params.getSubscriber(), params.getCreditBytes());
    if (!session_.add_subscription(*deliveries))
      return refuse(context, {Errc::overloaded, "too many subscriptions of one connection"});
    auto impl = kj::heap<SubscriptionImpl>(deliveries);
    auto call = session_.call<broker::SubscribeStarted>();
    Deliveries& subscriber = *deliveries;
    session_.api().subscribe(
        session_.who(),
        {
            .stream = partition.stream,
            .partition = partition.index,
            .from = *from,
            .until = *until,
            .filter = read_text(params.getFilter()),
            .credit_bytes = subscriber.granted(),
            .deadline = session_.deadline(params.getBudgetNs()),
        },
        subscriber,
        // Holds the subscriber until the broker has let go of it, also when the client is gone.
        [deliveries = std::move(deliveries),
         done = std::move(call.done)](Result<broker::SubscribeStarted> result) mutable {
          if (result) deliveries->begin(std::move(result->subscription));
          done(std::move(result));
        });
    context.releaseParams();
    return call.promise.then([this, context, partition, impl = kj::mv(impl)](
                                 Result<broker::SubscribeStarted> result) mutable {
      auto results = context.getResults();
      if (!result) {
        write_failure(results.initFailure(), result.error(),
                      session_.hint(result.error(), partition));
        return;
      }
      results.setSubscription(kj::mv(impl));
      results.setEpoch(result->epoch.value);
      results.setFirst(result->first.value);
      write_optional(results.initUntil(), result->until);
      results.setLogIdLow(result->log_id.words[0]);
      results.setLogIdHigh(result->log_id.words[1]);
    });
  }

 private:
  static kj::Promise<void> refuse(SubscribeContext context, const Error& error) {
    write_failure(context.getResults().initFailure(), error);
    return kj::READY_NOW;
  }

  Session& session_;
};

}  // namespace

wire::Reader::Client make_reader(Session& session) { return kj::heap<ReaderImpl>(session); }

}  // namespace bascule::rpc

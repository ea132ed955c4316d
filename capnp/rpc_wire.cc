#include "capnp/rpc_wire.h"

#include "src/model/limits.h"

namespace bascule::rpc {
namespace {

using ::capnp::rpc::twoparty::Side;
using ::capnp::rpc::twoparty::VatId;

::capnp::ReaderOptions reader_options() {
  ::capnp::ReaderOptions options;
  options.traversalLimitInWords = 2 * limits::k_message_bytes_max / sizeof(::capnp::word);
  options.nestingLimit = 32;
  return options;
}

class SubscriberImpl final : public wire::Subscriber::Server {
 public:
  explicit SubscriberImpl(std::weak_ptr<ClientSubscription> to) : to_(std::move(to)) {}

  kj::Promise<void> deliver(DeliverContext context) override {
    context.allowCancellation();
    if (const auto to = to_.lock()) to->deliver(context.getParams().getDelivery());
    return kj::READY_NOW;
  }
  kj::Promise<void> end(EndContext context) override {
    context.allowCancellation();
    if (const auto to = to_.lock()) to->end(context.getParams().getEnd());
    return kj::READY_NOW;
  }

 private:
  std::weak_ptr<ClientSubscription> to_;
};

}  // namespace

// --- Wire --------------------------------------------------------------------------------------------

Wire::Wire(std::shared_ptr<KjGuest> guest, std::unique_ptr<env::Stream> stream)
    : guest_(std::move(guest)), stream_(*guest_, std::move(stream), limits::k_message_bytes_max) {
  const Status status = guest_->enter([this] {
    tasks_.emplace(errors_);
    network_.emplace(stream_, Side::CLIENT, reader_options(), *guest_);
    system_.emplace(::capnp::makeRpcClient(*network_));
    ::capnp::word scratch[4] = {};
    ::capnp::MallocMessageBuilder message(scratch);
    auto vat = message.getRoot<VatId>();
    vat.setSide(Side::SERVER);
    bootstrap_ = system_->bootstrap(vat).castAs<wire::Bootstrap>();
    disconnect_ = network_->onDisconnect()
                      .then([this] { lost(); }, [this](kj::Exception&&) { lost(); })
                      .eagerlyEvaluate(nullptr);
  });
  ASSERT(status.has_value());
}

Wire::~Wire() noexcept { close(); }

void Wire::close() {
  if (std::exchange(closed_, true)) return;
  on_lost_ = nullptr;
  const Status status = guest_->enter([this] {
    for (const auto& [number, subscription] : std::exchange(subscriptions_, {}))
      subscription->wire_closed();
    tasks_.reset();
    disconnect_.reset();
    capabilities_.reset();
    bootstrap_.reset();
    system_.reset();
  });
  ASSERT(status.has_value());
  guest_->settle();
  const Status gone = guest_->enter([this] { network_.reset(); });
  ASSERT(gone.has_value());
  stream_.abort();
}

void Wire::login(const std::string& token, client::Answer<void> done) {
  call<void>(
      [&](uint64_t&) {
        auto request = bootstrap_->loginRequest();
        if (!token.empty()) {
          const ByteView bytes = as_bytes(token);
          request.initCredentials().setToken(::capnp::Data::Reader(bytes.data(), bytes.size()));
        }
        request.setClientName("bascule C++");
        return request.send();
      },
      [this](auto& response) -> std::expected<void, client::Failure> {
        const auto session = response.getSession();
        capabilities_.emplace(session.getAdmin(), session.getPublisher(), session.getReader(),
                              session.getCluster());
        return {};
      },
      std::move(done));
}

// A broken connection leaves it open what became of a request, unless nothing of it had left.
client::Failure Wire::failure_of(const kj::Exception& exception, uint64_t loan) const {
  Error error = error_of(exception);
  const bool unsent = loan != 0 && loan > stream_.last_loan_written();
  if (error.code == Errc::connection_lost && !unsent) error.code = Errc::outcome_unknown;
  return {std::move(error), {}};
}

void Wire::lost() {
  if (std::exchange(lost_, true)) return;
  guest_->defer([self = weak_from_this()] {
    const auto wire = self.lock();
    if (wire) wire->tell_lost();
  });
}

// Once, when every call has had its answer: whoever hears it may destroy the connection.
void Wire::tell_lost() {
  if (closed_ || told_lost_ || open_calls_ > 0) return;
  told_lost_ = true;
  const Error why =
      stream_.broken().value_or(Error{Errc::connection_lost, "the broker closed the connection"});
  // Subscriptions may go while they are told, so they are walked by number.
  const uint64_t last = subscriptions_begun_;
  for (auto it = subscriptions_.begin(); it != subscriptions_.end() && it->first <= last;) {
    const uint64_t number = it->first;
    it->second->connection_lost(why);
    it = subscriptions_.upper_bound(number);
  }
  if (auto f = std::exchange(on_lost_, {})) f(why);
}

// --- ClientSubscription --------------------------------------------------------------------------------

ClientSubscription::ClientSubscription(std::shared_ptr<Wire> wire, broker::Subscriber& subscriber)
    : wire_(std::move(wire)), number_(wire_->add(*this)), subscriber_(&subscriber) {}

ClientSubscription::~ClientSubscription() noexcept {
  drop();
  wire_->remove(number_);
}

wire::Subscriber::Client ClientSubscription::capability() {
  return kj::heap<SubscriberImpl>(weak_from_this());
}

void ClientSubscription::begin(wire::Subscription::Client remote) {
  if (subscriber_ != nullptr) remote_ = kj::mv(remote);
}

void ClientSubscription::answered() {
  answered_ = true;
  hand_over_soon();
}

void ClientSubscription::add_credit(uint64_t bytes) {
  if (!remote_) return;
  // An exception means a broken connection, which ends the subscription.
  [[maybe_unused]] const Status status = wire_->guest().enter([&] {
    auto request = remote_->addCreditRequest();
    request.setBytes(bytes);
    request.send().ignoreResult().detach([](kj::Exception&&) {});
  });
}

void ClientSubscription::drop() {
  subscriber_ = nullptr;
  waiting_.clear();
  if (!remote_) return;
  const Status status = wire_->guest().enter([this] { remote_.reset(); });
  ASSERT(status.has_value());
}

// Outside of KJ, and at once: whoever hears of the break afterwards may destroy the connection, which
// ends all calls.
void ClientSubscription::connection_lost(const Error& why) {
  if (!end_) {
    end_ = broker::SubscriptionEnd{
        .error = {Errc::connection_lost, why.context}, .next_offset = next_, .valid_end = {}};
  }
  const auto self = shared_from_this();
  if (answered_) hand_over();
}

void ClientSubscription::wire_closed() {
  subscriber_ = nullptr;
  waiting_.clear();
  remote_.reset();
}

void ClientSubscription::deliver(wire::Delivery::Reader in) {
  if (subscriber_ == nullptr || end_) return;
  broker::Delivery out;
  out.epoch = Epoch(in.getEpoch());
  out.base_offset = Offset(in.getBaseOffset());
  out.next_offset = Offset(in.getNextOffset());
  out.hw = Offset(in.getHw());
  out.bytes = in.getBytes();
  for (const auto batch : in.getBatches())
    out.batches.push_back(wire_->stream().slice_of({batch.begin(), batch.size()}));
  next_ = out.next_offset;
  waiting_.push_back(std::move(out));
  hand_over_soon();
}

void ClientSubscription::end(wire::SubscriptionEnd::Reader in) {
  if (subscriber_ == nullptr || end_) return;
  end_ = read_end(in);
  hand_over_soon();
}

void ClientSubscription::hand_over_soon() {
  if (!answered_) return;
  wire_->guest().defer([self = weak_from_this()] {
    if (const auto subscription = self.lock()) subscription->hand_over();
  });
}

// The subscriber may drop the subscription in each call; `self` of the caller keeps this alive.
void ClientSubscription::hand_over() {
  for (broker::Delivery& delivery : std::exchange(waiting_, {})) {
    if (subscriber_ == nullptr) return;
    subscriber_->deliver(std::move(delivery));
  }
  if (subscriber_ == nullptr || !end_ || !waiting_.empty()) return;
  broker::Subscriber& last = *std::exchange(subscriber_, nullptr);
  last.end(*end_);
}

}  // namespace bascule::rpc

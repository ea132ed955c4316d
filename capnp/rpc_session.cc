#include "capnp/rpc_session.h"

#include <algorithm>
#include <utility>

#include "capnp/wire_values.h"
#include "src/base/assert.h"
#include "src/model/limits.h"

namespace bascule::rpc {
namespace {

using ::capnp::rpc::twoparty::Side;
using ::capnp::rpc::twoparty::VatId;

// How long a refused client has to read why.
constexpr Duration k_refusal_time = milliseconds(500);

// Readers may walk a message of the greatest size twice: once to use it, once to spare.
::capnp::ReaderOptions reader_options() {
  ::capnp::ReaderOptions options;
  options.traversalLimitInWords = 2 * limits::k_message_bytes_max / sizeof(::capnp::word);
  options.nestingLimit = 32;
  return options;
}

// Takes as long for every wrong token of one length.
bool same_secret(ByteView given, std::string_view wanted) {
  if (given.size() != wanted.size()) return false;
  uint8_t difference = 0;
  for (size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<uint8_t>(given[i] ^ static_cast<uint8_t>(wanted[i]));
  return difference == 0;
}

class BootstrapImpl final : public wire::Bootstrap::Server {
 public:
  explicit BootstrapImpl(Session& session) : session_(session) {}

  kj::Promise<void> login(LoginContext context) override {
    context.allowCancellation();
    const Status status = session_.login(context.getParams().getCredentials());
    if (!status) {
      write_failure(context.getResults().initFailure(), status.error());
      return kj::READY_NOW;
    }
    auto session = context.getResults().initSession();
    session.setAdmin(make_admin(session_));
    session.setPublisher(make_publisher(session_));
    session.setReader(make_reader(session_));
    session.setCluster(make_cluster(session_));
    session.setNode(session_.options().node.value);
    session.setMessageBytesMax(limits::k_message_bytes_max);
    session.setBatchBytesMax(limits::k_batch_bytes_max);
    return kj::READY_NOW;
  }

 private:
  Session& session_;
};

}  // namespace

wire::Bootstrap::Client make_bootstrap(Session& session) {
  return kj::heap<BootstrapImpl>(session);
}

Session::Session(ServerContext& context, std::unique_ptr<env::Stream> stream, broker::Principal who)
    : context_(context),
      who_(std::move(who)),
      stream_(context.guest, std::move(stream), limits::k_message_bytes_unauthenticated_max) {}

Session::~Session() noexcept {
  context_.guest.loop().cancel(login_timer_);
  const Status status = context_.guest.enter([this] {
    while (!subscriptions_.empty()) subscriptions_.begin()->second->drop();
    disconnect_.reset();
    system_.reset();
  });
  ASSERT(status.has_value());
  // The calls that were open refer to this session until they have seen that they are cancelled.
  context_.guest.settle();
  const Status gone = context_.guest.enter([this] { network_.reset(); });
  ASSERT(gone.has_value());
}

void Session::start(env::Task ended) {
  on_ended_ = std::move(ended);
  login_timer_ = context_.guest.loop().after(context_.options.limits.login_timeout,
                                             alive_.wrap([this] { break_off(); }));
  stream_.on_drained(alive_.wrap([this] { drained(); }));
  const Status status = context_.guest.enter([this] {
    network_.emplace(stream_, Side::SERVER, reader_options(), context_.guest);
    system_.emplace(::capnp::makeRpcServer(*network_, make_bootstrap(*this)));
    system_->setFlowLimit(context_.options.limits.call_bytes_in_flight_max / sizeof(::capnp::word));
    disconnect_ = network_->onDisconnect()
                      .then([this] { finish(); }, [this](kj::Exception&&) { finish(); })
                      .eagerlyEvaluate(nullptr);
  });
  ASSERT(status.has_value());
}

void Session::break_off() {
  stream_.abort();
  finish();
}

void Session::finish() {
  if (std::exchange(ended_, true)) return;
  context_.guest.defer(alive_.wrap([this] {
    env::Task ended = std::move(on_ended_);
    ended();  // destroys this
  }));
}

Status Session::login(wire::Credentials::Reader credentials) {
  const std::string& token = context_.options.token;
  Status status;
  if (authenticated_) {
    status = fail(Errc::invalid, "the session is open already");
  } else if (!token.empty()) {
    if (!credentials.isToken()) {
      status = fail(Errc::unauthenticated, "this port wants a token");
    } else {
      const auto given = credentials.getToken();
      if (!same_secret({given.begin(), given.size()}, token))
        status = fail(Errc::unauthenticated, "the token is not this port's");
    }
  }
  context_.guest.loop().cancel(std::exchange(login_timer_, {}));
  if (!status) {
    context_.trace.probe("rpc.login_refused");
    login_timer_ =
        context_.guest.loop().after(k_refusal_time, alive_.wrap([this] { break_off(); }));
    return status;
  }
  authenticated_ = true;
  stream_.set_message_bytes_max(limits::k_message_bytes_max);
  return {};
}

MonotonicTime Session::deadline(uint64_t budget_ns) const {
  return deadline_of(budget_ns, context_.guest.loop().now(),
                     context_.options.limits.request_budget_max);
}

std::optional<client::LeaderHint> Session::hint(const Error& error, PartitionId partition) const {
  if (error.code != Errc::not_leader && error.code != Errc::fenced) return std::nullopt;
  return context_.options.leader ? context_.options.leader(partition) : std::nullopt;
}

std::shared_ptr<void> Session::admit_call() {
  if (calls_ >= context_.options.limits.calls_in_flight_max) {
    context_.trace.probe("rpc.calls_full");
    return nullptr;
  }
  ++calls_;
  return std::shared_ptr<void>(this, [](void* self) { --static_cast<Session*>(self)->calls_; });
}

bool Session::add_subscription(GatedSubscription& subscription) {
  if (subscriptions_.size() >= context_.options.limits.subscriptions_max) {
    context_.trace.probe("rpc.subscriptions_full");
    return false;
  }
  subscription.number = ++subscriptions_begun_;
  subscriptions_.emplace(subscription.number, &subscription);
  return true;
}

void Session::remove_subscription(GatedSubscription& subscription) {
  subscriptions_.erase(subscription.number);
}

bool Session::writable() { return queued_bytes() <= context_.options.limits.queued_bytes_max / 2; }

// KjStream's queue is short, but the RPC system's, which feeds it, may not be yet: then the next
// time. Subscriptions may go while they are told, so they are walked by number.
void Session::drained() {
  if (subscriptions_.empty() || !writable()) return;
  const uint64_t last = subscriptions_begun_;
  for (auto it = subscriptions_.begin(); it != subscriptions_.end() && it->first <= last;) {
    const uint64_t number = it->first;
    it->second->writable();
    it = subscriptions_.upper_bound(number);
  }
}

}  // namespace bascule::rpc

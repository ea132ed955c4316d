#include "src/nats/server.h"

#include "src/nats/json.h"

namespace bascule::nats {
namespace {

// Clients turn features on by the server's version: headers and JetStream publishing are in 2.2 and later.
constexpr std::string_view k_version = "2.9.0-bascule";

// "N" and 55 characters of base 32, as nats-server's ids look.
std::string make_server_id(Prng& random) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string out = "N";
  for (int i = 0; i < 55; ++i) out += alphabet[static_cast<size_t>(random.below(alphabet.size()))];
  return out;
}

// Takes the same time wherever the two differ.
bool equal_secret(std::string_view given, std::string_view expected) {
  unsigned difference = given.size() == expected.size() ? 0 : 1;
  for (size_t i = 0; i < expected.size(); ++i) {
    const char c = i < given.size() ? given[i] : '\0';
    difference |= static_cast<unsigned char>(c ^ expected[i]);
  }
  return difference == 0;
}

}  // namespace

Server::Server(env::World world, ServerOptions options, Recorder& recorder)
    : world_(world),
      options_(std::move(options)),
      recorder_(recorder),
      id_(make_server_id(world.random)),
      router_(world.random.next()) {
  if (options_.name.empty()) options_.name = id_;
  recorder_.attach(*this);
}

Server::~Server() {
  world_.loop.cancel(stop_timer_);
  connections_.clear();
  recorder_.detach();
}

void Server::start(env::Done<void> done) {
  REQUIRE((options_.tls_mode == env::TlsMode::off) == (options_.tls == nullptr));
  if (!options_.auth_token.empty() && !options_.user.empty()) {
    world_.loop.post([done = std::move(done)]() mutable {
      done(fail(Errc::invalid, "nats: a token and a user exclude each other"));
    });
    return;
  }
  world_.network.listen(
      options_.listen,
      scope_.wrap([this](std::unique_ptr<env::Stream> stream) { accept(std::move(stream)); }),
      scope_.wrap(
          [this, done = std::move(done)](Result<std::unique_ptr<env::Listener>> result) mutable {
            if (!result) return done(fail(std::move(result.error())));
            listener_ = *std::move(result);
            done({});
          }));
}

const env::Address& Server::address() const {
  REQUIRE(listener_ != nullptr);
  return listener_->address();
}

void Server::accept(std::unique_ptr<env::Stream> stream) {
  const bool full = connections_.size() >= options_.connections_max;
  // A crowd that only comes to be refused is not even told so.
  if (stopping_ || connections_.size() >= options_.connections_max + 64u) {
    ++stats_.connections_refused;
    return;
  }
  ++stats_.connections_total;
  last_id_ = last_id_.next();
  auto& connection = connections_[last_id_];
  connection =
      std::make_unique<Connection>(static_cast<Hub&>(*this), world_, last_id_, std::move(stream));
  stats_.connections = connections_.size();
  connection->start();
  if (full) {
    ++stats_.connections_refused;
    connection->close("maximum connections exceeded");
  }
}

std::string Server::info_json(const Connection& connection) const {
  JsonWriter out;
  out.string("server_id", id_)
      .string("server_name", options_.name)
      .string("version", k_version)
      .number("proto", 1)
      .string("host", options_.listen.host)
      .number("port", listener_ ? listener_->address().port : options_.listen.port)
      .boolean("headers", true)
      .number("max_payload", options_.payload_max)
      .number("client_id", connection.id().value)
      .string("client_ip", connection.peer().host);
  if (!options_.auth_token.empty() || !options_.user.empty()) out.boolean("auth_required", true);
  if (options_.tls != nullptr) {
    // Client libraries take the first for "must" and the second for "may".
    if (options_.tls_mode == env::TlsMode::require) out.boolean("tls_required", true);
    if (options_.tls->requires_identity()) out.boolean("tls_verify", true);
    out.boolean("tls_available", true);
  }
  if (stopping_) out.boolean("ldm", true);
  return out.finish();
}

bool Server::may_connect(const ConnectOptions& connect) const {
  if (!options_.auth_token.empty()) return equal_secret(connect.auth_token, options_.auth_token);
  if (options_.user.empty()) return true;
  const bool user = equal_secret(connect.user, options_.user);
  return equal_secret(connect.password, options_.password) && user;
}

bool Server::may_subscribe() const {
  return stats_.subscriptions < options_.subscriptions_total_max;
}

std::vector<std::string> Server::creation_warnings(const model::StreamConfig& config) const {
  std::vector<std::string> out;
  if (!model::answers_publishers(config)) return out;
  for (const std::string& subject : config.subjects) {
    const size_t interest = interest_on(subject);
    if (interest == 0) continue;
    out.push_back(std::to_string(interest) + (interest == 1 ? " subscription" : " subscriptions") +
                  " match \"" + subject +
                  "\" now: if a service answers requests there, requesters may take the stream's "
                  "acknowledgement for its answer; turn answers off if so");
  }
  return out;
}

// --- Messages -------------------------------------------------------------------------------------

Hub::Published Server::publish(Connection& from, const Message& message) {
  Published out;
  const Router::Outcome routed = router_.publish(message, &from);
  out.valid = routed.valid;
  out.delivered = routed.delivered;
  if (!routed.valid) return out;
  const Recorder::Verdict verdict = recorder_.record(message, from.id());
  out.answered = verdict.answered;
  out.pause = verdict.pause;
  return out;
}

void Server::answer(std::string_view subject, std::string_view payload) {
  Message message;
  message.subject = subject;
  message.payload = as_bytes(payload);
  router_.publish(message, nullptr);
}

void Server::resume(ConnectionId publisher) {
  const auto found = connections_.find(publisher);
  if (found == connections_.end()) return;
  // Its next messages may pause it again, inside the recorder's call: a turn of its own.
  world_.loop.post(scope_.wrap([this, publisher] {
    const auto again = connections_.find(publisher);
    if (again != connections_.end() && !stopping_) again->second->resume();
  }));
}

// --- Turns ----------------------------------------------------------------------------------------

void Server::wants_flush(Connection& connection) {
  to_flush_.push_back(connection.id());
  wake_at_turn_end();
}

void Server::closed(Connection& connection) {
  to_destroy_.push_back(connection.id());
  wake_at_turn_end();
}

void Server::wake_at_turn_end() {
  if (std::exchange(wake_pending_, true)) return;
  world_.loop.at_turn_end(scope_.wrap([this] { flush_all(); }));
}

void Server::flush_all() {
  wake_pending_ = false;
  for (const ConnectionId id : std::exchange(to_flush_, {})) {
    const auto found = connections_.find(id);
    if (found != connections_.end()) found->second->flush();
  }
  destroy_closed();
}

void Server::destroy_closed() {
  for (const ConnectionId id : std::exchange(to_destroy_, {})) connections_.erase(id);
  stats_.connections = connections_.size();
  if (stopping_ && connections_.empty()) stopped();
}

// --- The end --------------------------------------------------------------------------------------

void Server::stop(Duration timeout, env::Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  stop_done_ = std::move(done);
  listener_.reset();
  for (const auto& [id, connection] : connections_) {
    connection->pause();
    connection->send_info();
  }
  stop_timer_ = world_.loop.after(timeout, scope_.wrap([this] { close_all(); }));
  recorder_.drain(scope_.wrap([this](const Status&) { close_all(); }));
}

void Server::close_all() {
  for (const auto& [id, connection] : connections_) connection->close("");
  if (connections_.empty()) stopped();
}

void Server::stopped() {
  world_.loop.cancel(std::exchange(stop_timer_, {}));
  if (!stop_done_) return;
  world_.loop.post([done = std::exchange(stop_done_, nullptr)]() mutable { done({}); });
}

}  // namespace bascule::nats

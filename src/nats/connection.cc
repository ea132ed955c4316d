#include "src/nats/connection.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace bascule::nats {
namespace {

constexpr size_t k_buffer_bytes_min = 4096;
constexpr size_t k_buffer_bytes_max = 64 << 10;
// From this size a payload is sent on from the buffer that it was received in: below, a copy is cheaper
// than another piece, and would keep a whole buffer for little.
constexpr size_t k_shared_payload_bytes_min = 16 << 10;
// What any client may hold even when all together hold too much.
constexpr size_t k_fair_pending_bytes_min = 4 << 10;

// More than the fixed parts of a message's line: verb, blanks, two sizes, its end.
constexpr size_t k_message_line_overhead = 64;

char* put(char* to, std::string_view text) {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}
char* put_decimal(char* to, size_t n) { return std::to_chars(to, to + 20, n).ptr; }

// Writes the line to `to`, which has room for it; gives its end.
char* write_message_line(char* to, const Subscription& subscription, const Message& message,
                         bool headers) {
  to = put(to, headers ? "HMSG " : "MSG ");
  to = put(to, message.subject);
  *to++ = ' ';
  to = put(to, subscription.sid);
  *to++ = ' ';
  if (!message.reply.empty()) {
    to = put(to, message.reply);
    *to++ = ' ';
  }
  if (headers) {
    to = put_decimal(to, message.headers.size());
    *to++ = ' ';
  }
  to = put_decimal(to, headers ? message.bytes() : message.payload.size());
  return put(to, "\r\n");
}

Parser::Limits parser_limits(const ServerOptions& options) {
  return {.control_line_max = options.control_line_max, .payload_max = options.payload_max};
}

bool asks_for_authentication(const ServerOptions& options) {
  return !options.auth_token.empty() || !options.user.empty();
}

}  // namespace

Connection::Connection(Hub& hub, env::World world, ConnectionId id,
                       std::unique_ptr<env::Stream> stream)
    : hub_(hub),
      world_(world),
      id_(id),
      stream_(std::move(stream)),
      connected_(!asks_for_authentication(hub.options())),
      upgrade_(hub.options().tls != nullptr ? Upgrade::first_byte : Upgrade::none),
      parser_(parser_limits(hub.options())),
      buffer_bytes_(k_buffer_bytes_min) {}

Connection::~Connection() {
  world_.loop.cancel(timer_);
  for (const auto& [sid, subscription] : subscriptions_) hub_.router().remove(*subscription);
  hub_.stats().subscriptions -= subscriptions_.size();
  hub_.pending_bytes_total() -= writing_bytes_ + output_.bytes();
}

void Connection::start() {
  send_info();
  const ServerOptions& options = hub_.options();
  // Where TLS is a client's choice, silence may be a client that has nothing to say.
  schedule_tick(options.tls_mode == env::TlsMode::require ? options.tls_timeout
                : connected_                              ? options.ping_interval
                                                          : options.auth_timeout);
  read();
}

// --- In -------------------------------------------------------------------------------------------

void Connection::make_room() {
  const size_t unread = end_ - begin_;
  if (unread == 0 && buffer_.unique() && buffer_.size() <= k_buffer_bytes_max) begin_ = end_ = 0;
  const size_t wanted = std::max(needed_, unread + 1);
  if (buffer_.unique() && buffer_.size() - begin_ >= wanted && buffer_.size() > end_) return;
  // Grows with what has come, not with what was announced: an announcement costs a client nothing.
  const size_t size =
      std::max(buffer_bytes_, std::min(wanted, std::max(k_buffer_bytes_max, unread * 2)));
  if (buffer_.unique() && buffer_.size() == size) {
    std::memmove(buffer_.mutable_bytes().data(), buffer_.data() + begin_, unread);
  } else {
    BufferRef next = BufferRef::allocate(size);
    if (unread > 0) std::memcpy(next.mutable_bytes().data(), buffer_.data() + begin_, unread);
    buffer_ = std::move(next);
  }
  begin_ = 0;
  end_ = unread;
}

void Connection::read() {
  if (reading_ || paused_ || state_ == State::closed) return;
  if (upgrade_ == Upgrade::handshake && state_ == State::open) return;
  make_room();
  reading_ = true;
  stream_->read(buffer_.mutable_bytes().subspan(end_),
                scope_.wrap([this](Result<size_t> result) { on_read(std::move(result)); }));
}

void Connection::on_read(Result<size_t> result) {
  reading_ = false;
  if (!result || *result == 0) return end();
  if (state_ != State::open) return read();  // what still comes is dropped until the client ends
  heard_ = true;
  end_ += *result;
  if (upgrade_ == Upgrade::first_byte) return choose_encryption();
  if (end_ == buffer_.size()) buffer_bytes_ = std::min(buffer_bytes_ * 2, k_buffer_bytes_max);
  process();
}

void Connection::process() {
  Command command;
  needed_ = 1;
  while (begin_ < end_ && !paused_) {
    if (!connected_ && (buffer_.data()[begin_] | 0x20) != 'c') {
      // Nothing else of a stranger is even looked at.
      ++hub_.stats().auth_failures;
      close("Authorization Violation");
      break;
    }
    const Parser::Step step = parser_.parse(buffer_.view().subspan(begin_, end_ - begin_), command);
    if (step.outcome == Parser::Outcome::need_more) {
      needed_ = step.needed;
      break;
    }
    if (step.outcome == Parser::Outcome::error) {
      ++hub_.stats().protocol_errors;
      // As nats-server: who has not authenticated learns nothing about the protocol.
      close(connected_ ? parse_error_text(step.error) : "Authorization Violation");
      break;
    }
    begin_ += step.consumed;
    if (!handle(command)) break;
  }
  if (state_ != State::open) begin_ = end_ = 0, buffer_ = BufferRef();
  read();
}

void Connection::resume() {
  if (!std::exchange(paused_, false) || state_ != State::open || reading_) return;
  if (upgrade_ != Upgrade::none) return read();
  process();
}

// --- Out ------------------------------------------------------------------------------------------

void Connection::send(std::string_view text) {
  output_.append(text);
  hub_.pending_bytes_total() += text.size();
  if (!std::exchange(flush_pending_, true)) hub_.wants_flush(*this);
  // Who asks without end and does not read the answers is slow, too.
  if (state_ == State::open) check_pending();
}

void Connection::send_info() { send("INFO " + hub_.info_json(*this) + "\r\n"); }
void Connection::send_error(std::string_view text) { send("-ERR '" + std::string(text) + "'\r\n"); }

void Connection::deliver(const Subscription& subscription, const Message& message) {
  const size_t before = output_.bytes();
  append_message(subscription, message);
  hub_.pending_bytes_total() += output_.bytes() - before;
  ServerStats& stats = hub_.stats();
  ++stats.messages_out;
  stats.bytes_out += message.bytes();
  if (!std::exchange(flush_pending_, true)) hub_.wants_flush(*this);
  check_pending();
}

// "MSG subject sid [reply] size", or "HMSG subject sid [reply] header-size size", and the bytes.
void Connection::append_message(const Subscription& subscription, const Message& message) {
  const bool headers_too = client_.headers && !message.headers.empty();
  const size_t line_bytes_max = k_message_line_overhead + message.subject.size() +
                                subscription.sid.size() + message.reply.size();
  if (line_bytes_max <= Output::k_claim_bytes_max) {
    char* const line = output_.claim(line_bytes_max);
    char* const end = write_message_line(line, subscription, message, headers_too);
    output_.commit(static_cast<size_t>(end - line));
  } else {
    std::string line(line_bytes_max, '\0');
    char* const end = write_message_line(line.data(), subscription, message, headers_too);
    output_.append(std::string_view(line.data(), static_cast<size_t>(end - line.data())));
  }
  if (headers_too) output_.append(message.headers);
  if (message.buffer != nullptr && message.payload.size() >= k_shared_payload_bytes_min) {
    output_.append_shared(*message.buffer, message.payload);
  } else {
    output_.append(message.payload);
  }
  output_.append("\r\n");
}

size_t Connection::fair_share() const {
  const size_t clients = std::max<size_t>(hub_.stats().connections, 1);
  return std::max(hub_.options().pending_bytes_total_max / clients, k_fair_pending_bytes_min);
}

void Connection::check_pending() {
  const size_t pending = output_.bytes() + writing_bytes_;
  const ServerOptions& options = hub_.options();
  const bool crowded = hub_.pending_bytes_total() > options.pending_bytes_total_max;
  if (pending <= options.pending_bytes_max && !(crowded && pending > fair_share())) return;
  ++hub_.stats().slow_consumers;
  world_.trace.probe("nats.connection.slow_consumer");
  if (world_.trace.wants(TraceLevel::warning))
    world_.trace.message(TraceLevel::warning, "nats",
                         "slow consumer " + peer().to_string() + ": cut with " +
                             std::to_string(pending) + " bytes pending");
  // What waits is of no use to it any more, and is what has to go. This runs inside a delivery, perhaps one
  // of this client's own messages: the connection ends in the turn's end.
  state_ = State::closing;
  hub_.pending_bytes_total() -= output_.bytes();
  output_.take();
  send_error("Slow Consumer");
}

void Connection::flush() {
  if (upgrade_ == Upgrade::handshake && state_ == State::open) return;  // upgraded() goes on
  flush_pending_ = false;
  if (state_ == State::closed) return;
  if (const size_t bytes = output_.bytes(); bytes > 0) {
    writing_bytes_ += bytes;
    stream_->write(output_.take(),
                   scope_.wrap([this, bytes](const Status& status) { on_written(bytes, status); }));
  }
  if (state_ != State::closing) return;
  // The last bytes. A client that does not read them is not waited for.
  stream_->shutdown();
  world_.loop.cancel(timer_);
  timer_ = world_.loop.after(hub_.options().close_timeout, scope_.wrap([this] { end(); }));
  paused_ = false;
  read();
}

void Connection::on_written(size_t bytes, const Status& status) {
  writing_bytes_ -= bytes;
  hub_.pending_bytes_total() -= bytes;
  if (!status) end();
}

void Connection::close(std::string_view error) {
  if (state_ != State::open) return;
  if (!error.empty()) send_error(error);
  state_ = State::closing;
  if (!std::exchange(flush_pending_, true)) hub_.wants_flush(*this);
}

void Connection::end() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  hub_.closed(*this);
}

// --- Time -----------------------------------------------------------------------------------------

void Connection::schedule_tick(Duration delay) {
  timer_ = world_.loop.after(delay, scope_.wrap([this] { on_tick(); }));
}

void Connection::on_tick() {
  if (state_ != State::open) return;
  if (upgrade_ == Upgrade::first_byte && hub_.options().tls_mode == env::TlsMode::require)
    return tls_failed("no TLS handshake was begun in time");
  if (!connected_) {
    ++hub_.stats().auth_failures;
    return close("Authentication Timeout");
  }
  if (std::exchange(heard_, false) || paused_) {
    pings_out_ = 0;
  } else if (pings_out_ >= hub_.options().pings_out_max) {
    ++hub_.stats().stale_connections;
    return close("Stale Connection");
  } else {
    ++pings_out_;
    send("PING\r\n");
  }
  schedule_tick(hub_.options().ping_interval);
}

}  // namespace bascule::nats

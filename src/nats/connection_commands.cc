// What each command of a client does. The texts of -ERR are nats-server's: clients look for them.
#include "src/model/subject.h"
#include "src/nats/connection.h"

namespace bascule::nats {

bool Connection::handle(const Command& command) {
  if (!connected_ && command.verb != Verb::connect) {
    ++hub_.stats().auth_failures;
    close("Authorization Violation");
    return false;
  }
  switch (command.verb) {
    case Verb::pub:
    case Verb::hpub: return handle_publish(command);
    case Verb::sub: return handle_sub(command);
    case Verb::unsub: return handle_unsub(command);
    case Verb::ping: send("PONG\r\n"); return true;
    case Verb::pong: pings_out_ = 0; return true;
    case Verb::connect: return handle_connect(command);
    // A client may say these, and they mean nothing.
    case Verb::ok:
    case Verb::err:
    case Verb::info: return true;
    case Verb::msg:
    case Verb::hmsg: break;
  }
  ++hub_.stats().protocol_errors;
  close(parse_error_text(ParseError::unknown_operation));
  return false;
}

bool Connection::handle_connect(const Command& command) {
  std::optional<ConnectOptions> options = parse_connect_options(command.argument);
  if (!options) {
    ++hub_.stats().protocol_errors;
    close("Invalid JSON in CONNECT");
    return false;
  }
  if (!hub_.may_connect(*options)) {
    ++hub_.stats().auth_failures;
    close("Authorization Violation");
    return false;
  }
  if (options->no_responders && !options->headers) {
    close("no responders requires headers support");
    return false;
  }
  // Not needed any more.
  options->password.clear();
  options->auth_token.clear();
  client_ = std::move(*options);
  if (!std::exchange(connected_, true)) {
    world_.loop.cancel(timer_);
    schedule_tick(hub_.options().ping_interval);
  }
  acknowledge();
  return true;
}

bool Connection::handle_publish(const Command& command) {
  if (command.verb == Verb::hpub && !client_.headers) {
    ++hub_.stats().protocol_errors;
    close("message headers not supported");
    return false;
  }
  const Message message{command.subject, command.reply, command.headers, command.payload, &buffer_};
  ServerStats& stats = hub_.stats();
  ++stats.messages_in;
  stats.bytes_in += message.bytes();
  acknowledge();
  const Hub::Published published = hub_.publish(*this, message);
  if (!published.valid) [[unlikely]] {
    ++stats.invalid_subjects;
    if (client_.pedantic) send_error("Invalid Publish Subject");
  }
  if (published.delivered == 0 && !published.answered && client_.no_responders &&
      !command.reply.empty())
    no_responders(command.reply);
  if (published.pause) paused_ = true;
  // It may have been its own slow consumer.
  return state_ == State::open;
}

// Tells the requester at once that nobody will answer, on its own subscription for the answer.
void Connection::no_responders(std::string_view reply) {
  static constexpr std::string_view k_status = "NATS/1.0 503\r\n\r\n";
  for (const auto& [sid, subscription] : subscriptions_) {
    if (!model::subject_matches(subscription->subject, reply)) continue;
    Message status;
    status.subject = reply;
    status.headers = as_bytes(k_status);
    deliver(*subscription, status);
    ++subscription->delivered;
    if (subscription->delivered == subscription->max) drop_subscription(*subscription);
    return;
  }
}

bool Connection::handle_sub(const Command& command) {
  const bool queue_valid = command.queue.empty() || model::valid_subject(command.queue);
  if (!model::valid_subject_filter(command.subject) || !queue_valid) {
    send_error("Invalid Subject");
    return true;
  }
  if (subscriptions_.size() >= hub_.options().subscriptions_max || !hub_.may_subscribe()) {
    send_error("maximum subscriptions exceeded");
    return true;
  }
  const auto [place, added] = subscriptions_.try_emplace(std::string(command.sid));
  if (added) {
    auto subscription = std::make_unique<Subscription>();
    subscription->receiver = this;
    subscription->subject = command.subject;
    subscription->queue = command.queue;
    subscription->sid = command.sid;
    hub_.router().add(*subscription);
    ++hub_.stats().subscriptions;
    place->second = std::move(subscription);
  }
  acknowledge();
  return true;
}

bool Connection::handle_unsub(const Command& command) {
  const auto found = subscriptions_.find(command.sid);
  if (found != subscriptions_.end()) {
    Subscription& subscription = *found->second;
    subscription.max = command.max;
    if (command.max == 0 || subscription.delivered >= command.max) drop_subscription(subscription);
  }
  acknowledge();
  return true;
}

void Connection::exhausted(Subscription& subscription) { drop_subscription(subscription); }

void Connection::drop_subscription(Subscription& subscription) {
  hub_.router().remove(subscription);
  --hub_.stats().subscriptions;
  const auto found = subscriptions_.find(subscription.sid);
  ASSERT(found != subscriptions_.end(), subscription.sid);
  subscriptions_.erase(found);
}

}  // namespace bascule::nats

#include "src/nats/router.h"

#include "src/model/subject.h"

namespace bascule::nats {
namespace {
constexpr size_t k_cache_slots = 4096;
// A wider route is not kept, so that the cache's memory is bounded. To collect it costs no more than to
// deliver the message to all of it.
constexpr size_t k_kept_subscriptions_max = 256;
}  // namespace

Router::Router(uint64_t seed) : cache_(k_cache_slots), random_(seed) {}

void Router::add(Subscription& subscription) {
  REQUIRE(model::valid_subject_filter(subscription.subject), subscription.subject);
  index_.insert(subscription.subject, &subscription);
  ++generation_;
}

void Router::remove(Subscription& subscription) {
  const bool removed = index_.remove(subscription.subject, &subscription);
  REQUIRE(removed, subscription.subject);
  ++generation_;
}

void Router::collect(std::string_view subject, Route& out) const {
  out.plain.clear();
  out.groups.clear();
  out.valid = model::valid_subject(subject);
  if (!out.valid) return;
  index_.match(subject, [&](Subscription* subscription) {
    if (subscription->queue.empty()) {
      out.plain.push_back(subscription);
      return;
    }
    for (Group& group : out.groups) {
      if (group.queue == subscription->queue) {
        group.members.push_back(subscription);
        return;
      }
    }
    out.groups.push_back({subscription->queue, {subscription}});
  });
}

const Router::Route& Router::route(std::string_view subject) {
  const Route& kept = cache_.get(subject, generation_, [&](Route& out) {
    collect(subject, out);
    size_t count = out.plain.size();
    for (const Group& group : out.groups) count += group.members.size();
    out.wide = count > k_kept_subscriptions_max;
    if (out.wide) out = Route{.valid = out.valid, .wide = true, .plain = {}, .groups = {}};
  });
  if (!kept.wide) return kept;
  collect(subject, wide_);
  return wide_;
}

bool Router::eligible(const Subscription& subscription, const Receiver* origin) {
  if (subscription.max != 0 && subscription.delivered >= subscription.max) return false;
  const Receiver& receiver = *subscription.receiver;
  return receiver.receives() && (&receiver != origin || receiver.echo());
}

void Router::deliver(Subscription& subscription, const Message& message) {
  ++subscription.delivered;
  subscription.receiver->deliver(subscription, message);
  if (subscription.delivered == subscription.max) exhausted_.push_back(&subscription);
}

bool Router::deliver_to_group(const Group& group, const Message& message, const Receiver* origin) {
  const size_t count = group.members.size();
  const size_t start = count == 1 ? 0 : static_cast<size_t>(random_.below(count));
  for (size_t i = 0; i < count; ++i) {
    Subscription& member = *group.members[(start + i) % count];
    if (!eligible(member, origin)) continue;
    deliver(member, message);
    return true;
  }
  return false;
}

Router::Outcome Router::publish(const Message& message, const Receiver* origin) {
  const Route& to = route(message.subject);
  Outcome out{to.valid, 0};
  for (Subscription* subscription : to.plain) {
    if (!eligible(*subscription, origin)) continue;
    deliver(*subscription, message);
    ++out.delivered;
  }
  for (const Group& group : to.groups) {
    if (deliver_to_group(group, message, origin)) ++out.delivered;
  }
  while (!exhausted_.empty()) {
    Subscription* const subscription = exhausted_.back();
    exhausted_.pop_back();
    subscription->receiver->exhausted(*subscription);
  }
  return out;
}

size_t Router::interest_on(std::string_view filter) const {
  size_t count = 0;
  index_.for_each([&](const Subscription* subscription) {
    if (model::filters_overlap(subscription->subject, filter)) ++count;
  });
  return count;
}

}  // namespace bascule::nats

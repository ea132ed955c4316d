// Begins subscriptions: finds the partition, resolves where they start and stop, and hands them over.
#pragma once

#include <optional>

#include "src/broker/api.h"
#include "src/broker/replicas.h"
#include "src/broker/subscription.h"
#include "src/env/world.h"

namespace bascule::broker {

class Subscriptions {
 public:
  // Both outlive this.
  Subscriptions(env::World& world, Replicas& replicas);

  // As Api::subscribe.
  void subscribe(Subscribe request, Subscriber& subscriber, Done<SubscribeStarted> done);
  uint64_t count() const { return *count_; }

 private:
  struct Request {
    Subscribe subscribe;
    Subscriber& subscriber;
    Done<SubscribeStarted> done;
  };

  void start(Request request);
  void start_at_time(Request request, SubscriptionStart start, WallTime time);
  void begin(Request request, partition::Partition& partition, SubscriptionStart start);

  env::World& world_;
  Replicas& replicas_;
  SubscriptionCount count_;
  env::Scope scope_;
};

}  // namespace bascule::broker

#include "src/broker/subscriptions.h"

#include <memory>
#include <utility>
#include <variant>

#include "src/broker/bounds.h"
#include "src/broker/position.h"
#include "src/model/subject.h"

namespace bascule::broker {
namespace {

void resolve_stop(const StopPosition& until, Offset hw, SubscriptionStart& start) {
  if (std::holds_alternative<UntilLatest>(until)) start.until = hw;
  if (const auto* offset = std::get_if<UntilOffset>(&until)) start.until = offset->offset;
  if (const auto* time = std::get_if<UntilTime>(&until)) start.until_time = time->time;
}

}  // namespace

Subscriptions::Subscriptions(env::World& world, Replicas& replicas)
    : world_(world), replicas_(replicas), count_(std::make_shared<uint64_t>(0)) {}

void Subscriptions::subscribe(Subscribe request, Subscriber& subscriber,
                              Done<SubscribeStarted> done) {
  world_.loop.post(scope_.wrap(
      [this, held = Request{std::move(request), subscriber, std::move(done)}]() mutable {
        start(std::move(held));
      }));
}

void Subscriptions::start(Request request) {
  const Subscribe& wanted = request.subscribe;
  if (!wanted.filter.empty() && !model::valid_subject_filter(wanted.filter))
    return request.done(fail(Errc::invalid, "filter: not a NATS subject"));
  if (wanted.deadline <= world_.loop.now()) return request.done(fail(Errc::deadline_exceeded));
  if (*count_ >= bounds::k_subscriptions_max)
    return request.done(fail(Errc::overloaded, "too many subscriptions"));
  const Result<partition::Partition*> found =
      replicas_.ready_leader_of(wanted.stream, wanted.partition);
  if (!found) return request.done(fail(found.error()));
  partition::Partition& partition = **found;
  const VisibleLog visible{.log_start = partition.log().log_start(),
                           .hw = partition.hw(),
                           .wall = world_.loop.wall(),
                           .epochs = partition.log().epochs()};
  const ResolvedStart resolved = resolve_start(wanted.from, visible);
  SubscriptionStart start{.first = resolved.first,
                          .until = {},
                          .until_time = {},
                          .filter = wanted.filter,
                          .credit_bytes = wanted.credit_bytes,
                          .diverged_at = resolved.diverged_at};
  resolve_stop(wanted.until, visible.hw, start);
  if (resolved.time) return start_at_time(std::move(request), std::move(start), *resolved.time);
  begin(std::move(request), partition, std::move(start));
}

void Subscriptions::start_at_time(Request request, SubscriptionStart start, WallTime time) {
  const Result<partition::Partition*> found =
      replicas_.ready_leader_of(request.subscribe.stream, request.subscribe.partition);
  if (!found) return request.done(fail(found.error()));
  partition::Partition& partition = **found;
  partition.find_time(
      time, scope_.wrap([this, request = std::move(request), start = std::move(start),
                         epoch = partition.epoch()](Result<Offset> at) mutable {
        if (!at) return request.done(fail(std::move(at.error())));
        if (request.subscribe.deadline <= world_.loop.now())
          return request.done(fail(Errc::deadline_exceeded));
        // Looked up again: it may have been deleted, or lead another epoch, meanwhile.
        const Result<partition::Partition*> now =
            replicas_.ready_leader_of(request.subscribe.stream, request.subscribe.partition);
        if (!now) return request.done(fail(now.error()));
        if ((*now)->epoch() != epoch) return request.done(fail(Errc::not_yet, "a new epoch began"));
        start.first = *at;
        begin(std::move(request), **now, std::move(start));
      }));
}

void Subscriptions::begin(Request request, partition::Partition& partition,
                          SubscriptionStart start) {
  auto subscription =
      std::make_unique<ActiveSubscription>(world_.loop, world_.trace, request.subscriber, count_);
  const Offset first = start.first;
  const std::optional<Offset> until = start.until;
  if (Status begun = subscription->begin(partition, std::move(start)); !begun)
    return request.done(fail(std::move(begun.error())));
  request.done(SubscribeStarted{.subscription = std::move(subscription),
                                .epoch = partition.epoch(),
                                .first = first,
                                .until = until,
                                .log_id = partition.log().id()});
}

}  // namespace bascule::broker

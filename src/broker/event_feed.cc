#include "src/broker/event_feed.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "src/broker/bounds.h"

namespace bascule::broker {

using controller::EventLog;
using model::EventPosition;

namespace {

// For a read that would not wait for events, until it is known that there is none.
constexpr Duration k_currency_patience = seconds(2);

}  // namespace

EventFeed::EventFeed(env::World& world, const controller::Controller& controller,
                     MetadataReads& reads)
    : world_(world), controller_(controller), reads_(reads) {}

void EventFeed::read(ReadEvents request, Done<EventsPage> done) {
  if (stopping_ || reading_ >= bounds::k_event_readers_max) {
    return world_.loop.post(scope_.wrap([stopping = stopping_, done = std::move(done)]() mutable {
      done(stopping ? fail(Errc::stopping)
                    : fail(Errc::overloaded, "too many wait for events at this broker"));
    }));
  }
  ++reading_;
  begin(std::move(request),
        scope_.wrap([this, done = std::move(done)](Result<EventsPage> page) mutable {
          --reading_;
          done(std::move(page));
        }));
}

void EventFeed::begin(ReadEvents request, Done<EventsPage> done) {
  const EventLog& log = controller_.table().state().events;
  request.max = std::clamp<uint32_t>(request.max, 1, bounds::k_events_per_page_max);
  const bool from_now = std::holds_alternative<EventsFromNow>(request.from);
  EventPosition after;
  if (std::holds_alternative<EventsFromKept>(request.from)) after = before_oldest(log);
  if (const auto* position = std::get_if<EventPosition>(&request.from)) after = *position;
  if (auto page = from_now ? std::nullopt : page_after(after, request.max)) {
    return world_.loop.post(scope_.wrap(
        [page = std::move(*page), done = std::move(done)]() mutable { done(std::move(page)); }));
  }
  const MonotonicTime until = std::max(request.deadline, world_.loop.now() + k_currency_patience);
  reads_.when_fresh(
      {request.max_age, until},
      scope_.wrap([this, request, from_now, after, done = std::move(done)](Status fresh) mutable {
        if (!fresh && fresh.error().code == Errc::deadline_exceeded)
          fresh = fail(Errc::not_leader, std::move(fresh.error().context));
        if (!fresh) return done(fail(std::move(fresh.error())));
        if (!from_now) return wait(after, request, std::move(done));
        EventsPage page;
        page.next = latest_event(controller_.table().state().events);
        done(std::move(page));
      }));
}

std::optional<EventsPage> EventFeed::page_after(EventPosition after, uint32_t max) const {
  const EventLog& log = controller_.table().state().events;
  EventsPage page;
  page.next = after;
  if (after < log.dropped) {
    page.next = log.dropped;
    page.lost = EventsLost{log.dropped, std::nullopt};
    if (!log.kept.empty()) page.lost->first_kept = log.kept.front().position;
    return page;
  }
  auto events = controller::events_after(log, after, max);
  if (!events || events->empty()) return std::nullopt;
  page.events = std::move(*events);
  page.next = page.events.back().position;
  return page;
}

void EventFeed::wait(EventPosition after, const ReadEvents& request, Done<EventsPage> done) {
  if (auto page = page_after(after, request.max)) return done(std::move(*page));
  if (stopping_) return done(fail(Errc::stopping));
  EventsPage nothing;
  nothing.next = after;
  if (request.deadline <= world_.loop.now()) return done(std::move(nothing));
  const uint64_t number = ++last_number_;
  Waiting& waiting = waiting_[number];
  waiting.after = after;
  waiting.max = request.max;
  waiting.done = std::move(done);
  if (request.deadline == MonotonicTime::never()) return;
  waiting.timer = world_.loop.schedule(
      request.deadline, scope_.wrap([this, number, nothing] { answer(number, nothing); }));
}

void EventFeed::answer(uint64_t number, Result<EventsPage> page) {
  auto node = waiting_.extract(number);
  if (node.empty()) return;
  world_.loop.cancel(node.mapped().timer);
  node.mapped().done(std::move(page));
}

void EventFeed::happened() {
  std::vector<uint64_t> numbers;
  for (const auto& [number, waiting] : waiting_) numbers.push_back(number);
  for (const uint64_t number : numbers) {
    const auto at = waiting_.find(number);
    if (at == waiting_.end()) continue;
    if (auto page = page_after(at->second.after, at->second.max)) answer(number, std::move(*page));
  }
}

void EventFeed::stop() {
  stopping_ = true;
  while (!waiting_.empty()) answer(waiting_.begin()->first, fail(Errc::stopping));
}

}  // namespace bascule::broker

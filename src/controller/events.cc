#include "src/controller/events.h"

#include <algorithm>
#include <utility>

#include "src/base/assert.h"

namespace bascule::controller {

EventPosition latest_event(const EventLog& log) {
  return log.kept.empty() ? log.dropped : log.kept.back().position;
}

size_t event_cost(const Event& event) {
  return k_event_cost_min + event.nodes.size() + event.name.size() + event.detail.size();
}

void append_event(EventLog& log, Event event, size_t cost_max) {
  REQUIRE(event.position > latest_event(log));
  log.cost += event_cost(event);
  log.kept.push_back(std::move(event));
  while (log.cost > cost_max) {
    log.dropped = log.kept.front().position;
    log.cost -= event_cost(log.kept.front());
    log.kept.pop_front();
  }
}

Result<std::vector<Event>> events_after(const EventLog& log, EventPosition position, size_t max) {
  if (position < log.dropped) {
    return fail(Errc::log_truncated,
                "events after " + position.to_string() + " are gone: the oldest that is kept is " +
                    (log.kept.empty() ? "none" : log.kept.front().position.to_string()));
  }
  auto at = std::ranges::upper_bound(log.kept, position, {}, &Event::position);
  std::vector<Event> out;
  for (; at != log.kept.end() && out.size() < max; ++at) out.push_back(*at);
  return out;
}

bool is_sound(const EventLog& log) {
  EventPosition last = log.dropped;
  size_t cost = 0;
  for (const Event& e : log.kept) {
    if (e.position <= last || e.position.ordinal == 0) return false;
    last = e.position;
    cost += event_cost(e);
  }
  return cost == log.cost && cost <= k_event_bytes_kept;
}

}  // namespace bascule::controller

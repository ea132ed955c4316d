// The activity log: the latest events of the metadata, kept in the table's state, so that they are in every
// snapshot, survive restarts and are the same on all brokers.
//
// Bounded by bytes, so that a burst fits many times: the death of a broker that led 10,000 partitions makes some
// 20,000 events. Who follows it closely misses nothing (each applied command also hands its events to the
// observers, however many they are); who asks for what is no longer kept is told so by name.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "src/base/result.h"
#include "src/model/event.h"

namespace bascule::controller {

using model::Event;
using model::EventKind;
using model::EventPosition;

// What the events that are kept may cost together (event_cost), about as many bytes of a snapshot.
inline constexpr size_t k_event_bytes_kept = 1'280 << 10;
inline constexpr size_t k_event_cost_min = 12;

// Its share of the bound.
size_t event_cost(const Event& event);

struct EventLog {
  std::deque<Event> kept;  // ascending
  EventPosition dropped;   // the last one that is not kept any more; {}: all are
  size_t cost = 0;         // of all kept ones

  bool operator==(const EventLog&) const = default;
};

// Requires a position above all that are there.
void append_event(EventLog& log, Event event, size_t cost_max = k_event_bytes_kept);

// At most `max` events after `position`, ascending. `log_truncated`: some after it are gone; the context
// names the oldest that is kept.
Result<std::vector<Event>> events_after(const EventLog& log, EventPosition position, size_t max);
// From where events_after gives all that is kept.
inline EventPosition before_oldest(const EventLog& log) { return log.dropped; }
// The position of the latest event; {}: there was none.
EventPosition latest_event(const EventLog& log);

// Ascending positions, none at or below `dropped`; the cost is that of all, and no more than is kept.
bool is_sound(const EventLog& log);

}  // namespace bascule::controller

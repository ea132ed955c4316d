// The activity log: the latest events of the metadata, kept in the table's state, so that they are in every
// snapshot, survive restarts and are the same on all brokers.
//
// It is short. Who follows it closely misses nothing (each applied command also hands its events to the
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

inline constexpr size_t k_events_kept = 1000;

struct EventLog {
  std::deque<Event> kept;  // ascending
  EventPosition dropped;   // the last one that is not kept any more; {}: all are

  bool operator==(const EventLog&) const = default;
};

// Requires a position above all that are there.
void append_event(EventLog& log, Event event, size_t kept_max = k_events_kept);

// At most `max` events after `position`, ascending. `log_truncated`: some after it are gone; the context
// names the oldest that is kept.
Result<std::vector<Event>> events_after(const EventLog& log, EventPosition position, size_t max);
// From where events_after gives all that is kept.
inline EventPosition before_oldest(const EventLog& log) { return log.dropped; }
// The position of the latest event; {}: there was none.
EventPosition latest_event(const EventLog& log);

// Ascending positions, none at or below `dropped`, no more than are kept.
bool is_sound(const EventLog& log);

}  // namespace bascule::controller

// Events of the metadata, as people and programs read them, and where a reader begins.
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"
#include "src/broker/api.h"

namespace bascule::cli {

// "earliest", "now", or a position: "12.3" is after that event, "12" before all of entry 12. `invalid`.
Result<broker::EventsStart> parse_events_start(std::string_view text);

// "12.3 leader_changed partition 4/0, node 2, epoch 5"
std::string event_line(const model::Event& event);
// One object: position, event, and the fields that its kind fills.
std::string event_json(const model::Event& event);
// In the place of what is not kept any more: {"event":"events_lost","first_kept":"12.3"}.
std::string lost_json(const broker::EventsLost& lost);

}  // namespace bascule::cli

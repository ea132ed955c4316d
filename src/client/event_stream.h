// The EventStream of client.h: reads page after page, from whichever broker answers.
//
// The position of the last event that was handed over is all that it keeps, so that a broker that dies, or one
// that lags, costs time and no event.
#pragma once

#include <memory>

#include "src/client/client.h"
#include "src/client/requests.h"

namespace bascule::client {

// One page, as Client::read_events.
void read_events(Shared& shared, const broker::EventsStart& from, const ReadEventsOptions& options,
                 Done<broker::EventsPage> done);

std::unique_ptr<EventStream> make_event_stream(Shared& shared, const broker::EventsStart& from,
                                               EventReceiver& receiver);

}  // namespace bascule::client

// Events of the metadata, and reads of them, between Cap'n Proto and ours.
#pragma once

#include "capnp/bascule.capnp.h"
#include "src/base/result.h"
#include "src/broker/api.h"

namespace bascule::rpc {

void write_events_start(wire::EventsStart::Builder out, const broker::EventsStart& start);
// `unsupported`: a word of a later program.
Result<broker::EventsStart> read_events_start(wire::EventsStart::Reader in);

void write_page(wire::Cluster::EventsResults::Builder out, const broker::EventsPage& page);
// An event of a kind that this program has no name for is kept.
broker::EventsPage read_page(wire::Cluster::EventsResults::Reader in);

}  // namespace bascule::rpc

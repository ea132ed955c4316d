// The activity log in a snapshot: one column per field.
#pragma once

#include <deque>

#include "capnp/metadata.capnp.h"
#include "src/base/result.h"
#include "src/model/event.h"

namespace bascule::capnp_codec {

void write_events(metadata_schema::Snapshot::Events::Builder out,
                  const std::deque<model::Event>& events);
// At most `max` of them. `corrupt`: columns that do not fit each other; `unsupported`: an event of a later
// program. Positions are the caller's to judge.
Result<std::deque<model::Event>> read_events(metadata_schema::Snapshot::Events::Reader in,
                                             size_t max);

}  // namespace bascule::capnp_codec

// What an observer of the table has to be told when a snapshot takes the place of the commands in between:
// the difference of two states, in the form that applying commands gives.
//
// Streams that are gone come first, with what they were, so that names and directories are free before
// anything new is told. What is deleted of a broker's disk is judged by the index of the new state, like
// any deletion (REPLICATION, rule 26).
#pragma once

#include <vector>

#include "src/controller/metadata_table.h"

namespace bascule::controller {

// Requires states of one cluster, `before` not beyond `after`.
std::vector<Change> table_difference(const MetadataState& before, const MetadataState& after);

// The events that an observer of `before` has not seen. `gap`: some of them are gone, up to
// after.events.dropped.
struct MissedEvents {
  std::vector<Event> events;
  bool gap = false;
};
MissedEvents missed_events(const MetadataState& before, const MetadataState& after);

}  // namespace bascule::controller

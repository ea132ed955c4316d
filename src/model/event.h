// One change of the cluster's metadata, as the activity log tells it.
//
// Events are derived from applied commands, so every broker has the same ones under the same positions.
// A reader that keeps the position of the last event it has handled gets each one exactly once, in order,
// from any broker.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/ids.h"
#include "src/base/result.h"

namespace bascule::model {

// (index of the entry in the metadata log, number of the event among that entry's, from 1). {}: before
// the first; {index, 0}: before all events of the entry.
struct EventPosition {
  Index index;
  uint32_t ordinal = 0;

  constexpr auto operator<=>(const EventPosition&) const = default;
  std::string to_string() const { return index.to_string() + "." + std::to_string(ordinal); }
};

// "12.3", or "12" for all of entry 12 and what follows. `invalid` says why.
Result<EventPosition> parse_event_position(std::string_view text);

// Numbers are kept in snapshots and travel to clients: never reused. Beside each, the fields that it fills.
enum class EventKind : uint8_t {
  broker_registered = 1,     // node, incarnation; name: its host label
  broker_unfenced = 2,       // node, incarnation
  broker_fenced = 3,         // node, incarnation
  broker_removed = 4,        // node, incarnation
  storage_lost = 5,          // node, incarnation; detail: the storage id
  stream_created = 6,        // partition.stream, name; number: partitions
  stream_deleted = 7,        // partition.stream, name
  leader_changed = 8,        // partition, epoch; node and incarnation: 0 where nobody leads
  isr_changed = 9,           // partition, epoch; nodes: the ISR
  data_lost = 10,            // partition, epoch: its last holder has lost it, the operator decides
  unclean_election = 11,     // partition, epoch, node: leads by the operator's choice
  recovered_with_loss = 12,  // partition, epoch, node: a `memory` partition after a crash of all
  feature_level = 13,        // number: the finalized level
  setting_changed = 14,      // name; detail: its value, empty: the default again
  // A majority of the controllers was lost for good, and this node went on alone: what had been decided after
  // entry `number` is forgotten. node; name: the cluster's id before; detail: its id from here on.
  rescued = 15,
};
inline constexpr uint8_t k_event_kinds = 15;

// "leader_changed"; "unknown" for a number that this program has no name for.
std::string_view event_kind_name(EventKind kind);

struct Event {
  EventPosition position = {};
  EventKind kind = {};
  NodeId node = {};
  Incarnation incarnation = {};
  PartitionId partition = {};
  Epoch epoch = {};
  uint64_t number = 0;
  std::vector<NodeId> nodes = {};
  std::string name = {};
  std::string detail = {};

  bool operator==(const Event&) const = default;
};

}  // namespace bascule::model

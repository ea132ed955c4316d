#include "src/controller/rescued_state.h"

#include <utility>

#include "src/base/assert.h"

namespace bascule::controller {
namespace {

// More ids, epochs or incarnations than were given in any time that a rescue forgets.
constexpr uint64_t k_leap = 1'000'000'000;

template <class Id>
Id leap(Id id) {
  return Id(id.value + k_leap);
}

// As after the loss of every leader: an epoch without one, and no report counts.
void end_leadership(PartitionEntry& p) {
  p.leader = {};
  p.leader_incarnation = {};
  p.epoch = leap(p.epoch);
  p.version = leap(p.version);
  for (ReplicaEntry& r : p.replicas) r.report.reset();
}

}  // namespace

Result<MetadataState> rescued_state(MetadataState known, const RescueFacts& facts) {
  REQUIRE(known.applied <= facts.last_known && facts.cluster);
  if (known.rescues.size() >= k_rescues_max)
    return fail(Errc::too_large, "this cluster was rescued as often as can be remembered");
  const Index first(facts.last_known.value + k_rescue_index_leap);
  known.rescues.push_back({facts.last_known, first, facts.node, known.cluster, facts.decided});
  append_event(known.events, {.position = {first, 1},
                              .kind = EventKind::rescued,
                              .node = facts.node,
                              .number = facts.last_known.value,
                              .name = known.cluster.to_string(),
                              .detail = facts.cluster.to_string()});
  known.cluster = facts.cluster;
  known.applied = first;
  known.next_stream = leap(known.next_stream);
  known.next_assignment = leap(known.next_assignment);
  known.next_producer = leap(known.next_producer);
  known.removed = leap(known.removed);
  for (auto& [node, broker] : known.brokers) broker.fenced = true;
  for (auto& [id, stream] : known.streams) {
    for (PartitionEntry& p : stream.partitions) end_leadership(p);
  }
  return known;
}

}  // namespace bascule::controller

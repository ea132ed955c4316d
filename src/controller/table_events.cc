// The events of one applied command: first what brokers, streams and the cluster went through, in the order
// of applying, then the partitions, ascending, each compared with what it was before.
#include <utility>

#include "src/controller/change_set.h"
#include "src/controller/metadata_table.h"

namespace bascule::controller {
namespace {

void tell_loss(const PartitionEntry& p, std::vector<Event>& out) {
  out.push_back(
      {.kind = p.loss->by_operator ? EventKind::unclean_election : EventKind::recovered_with_loss,
       .node = p.loss->node,
       .incarnation = p.leader_incarnation,
       .partition = p.id,
       .epoch = p.loss->epoch});
}

}  // namespace

std::vector<Event> MetadataTable::log_events(Index index, ChangeSet& changes) {
  std::vector<Event> out = changes.take_events();
  for (const auto& [id, before] : changes.befores()) {
    const PartitionEntry* p = partition(id);
    if (p == nullptr) continue;
    if (p->data_lost && !before.data_lost)
      out.push_back({.kind = EventKind::data_lost, .partition = id, .epoch = p->epoch});
    if (p->loss && p->loss->epoch != before.loss) tell_loss(*p, out);
    if (p->leader != before.leader || p->epoch != before.epoch)
      out.push_back({.kind = EventKind::leader_changed,
                     .node = p->leader,
                     .incarnation = p->leader_incarnation,
                     .partition = id,
                     .epoch = p->epoch});
    if (p->isr != before.isr)
      out.push_back(
          {.kind = EventKind::isr_changed, .partition = id, .epoch = p->epoch, .nodes = p->isr});
  }
  uint32_t ordinal = 0;
  for (Event& event : out) event.position = {index, ++ordinal};
  for (const Event& event : out) append_event(state_.events, event);
  return out;
}

}  // namespace bascule::controller

// The in-sync set, as its leader wishes it to be.
//
// A change that takes the set below min_isr moves those it removes into the ELR: they hold everything that
// was acknowledged, since nothing more is acknowledged until min_isr is restored (KIP-966). The change that
// restores it empties the ELR. Who joins has been seen by the leader, in this very life, to hold all that is
// committed: a mark of doubt goes with it.
#include <algorithm>
#include <iterator>

#include "src/controller/change_set.h"
#include "src/controller/metadata_table.h"

namespace bascule::controller {

bool MetadataTable::may_join(const PartitionEntry& p, const BrokerLife& life) const {
  const ReplicaEntry* r = p.replica(life.node);
  const BrokerEntry* b = broker(life.node);
  return r != nullptr && !r->damaged && !r->diverged && b != nullptr && !b->fenced &&
         b->incarnation == life.incarnation;
}

// False: a member may not be in it, and nothing but the version has changed.
bool MetadataTable::change_isr(PartitionEntry& p, const std::vector<BrokerLife>& isr,
                               ChangeSet& changes) {
  changes.before(p);
  touch(p, changes);
  const bool sound =
      std::ranges::adjacent_find(isr, std::greater_equal<>{}, &BrokerLife::node) == isr.end() &&
      std::ranges::any_of(isr, [&](const BrokerLife& l) { return l.node == p.leader; }) &&
      std::ranges::all_of(isr,
                          [&](const BrokerLife& l) { return p.in_isr(l.node) || may_join(p, l); });
  if (!sound) return false;
  std::vector<NodeId> next;
  for (const BrokerLife& l : isr) next.push_back(l.node);
  std::vector<NodeId> removed;
  std::ranges::set_difference(p.isr, next, std::back_inserter(removed));
  for (const NodeId node : next) {
    if (!p.in_isr(node)) p.replica(node)->suspect = false;
  }
  p.isr = std::move(next);
  if (p.isr.size() >= min_isr(p)) {
    p.elr.clear();
    return true;
  }
  std::vector<NodeId> elr;
  std::ranges::set_union(p.elr, removed, std::back_inserter(elr));
  p.elr.clear();
  std::ranges::set_difference(elr, p.isr, std::back_inserter(p.elr));
  return true;
}

Result<Outcome> MetadataTable::apply_one(Index, const ChangeIsr& c, ChangeSet& changes) {
  if (c.items.size() > k_command_items_max) return fail(Errc::invalid, "too many items");
  ChangeIsrOutcome outcome;
  for (size_t i = 0; i < c.items.size(); ++i) {
    const ChangeIsrItem& item = c.items[i];
    PartitionEntry* p = find_partition(item.partition);
    const bool current = p != nullptr && p->leader && p->leader == c.leader &&
                         p->leader_incarnation == c.leader_incarnation &&
                         p->version == item.version;
    if (!current || !change_isr(*p, item.isr, changes))
      outcome.refused.push_back(static_cast<uint32_t>(i));
  }
  return outcome;
}

}  // namespace bascule::controller

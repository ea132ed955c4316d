#include "src/controller/table_difference.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "tests/controller/generators.h"

namespace bascule::controller {
namespace {

// An observer that keeps what it was told of, read from the table as it is then.
struct Mirror {
  std::map<NodeId, BrokerEntry> brokers;
  std::map<PartitionId, PartitionEntry> partitions;
  std::set<StreamId> streams;
  SettingValues settings;
  std::vector<Event> events;

  void told(const std::vector<Change>& changes, const MetadataTable& table) {
    bool deletions = true;
    for (const Change& change : changes) {
      if (const auto* d = std::get_if<StreamDeleted>(&change)) {
        RC_ASSERT(deletions);
        RC_ASSERT(streams.erase(d->stream.id) == 1);
        for (const PartitionEntry& p : d->stream.partitions) {
          RC_ASSERT(partitions.at(p.id) == p);
          partitions.erase(p.id);
        }
        continue;
      }
      deletions = false;
      if (const auto* b = std::get_if<BrokerChanged>(&change)) {
        const BrokerEntry* now = table.broker(b->node);
        brokers.erase(b->node);
        if (now != nullptr) brokers.emplace(b->node, *now);
      }
      if (const auto* s = std::get_if<StreamCreated>(&change))
        RC_ASSERT(streams.insert(s->stream).second);
      if (const auto* p = std::get_if<PartitionChanged>(&change))
        partitions.insert_or_assign(p->partition, *table.partition(p->partition));
      if (std::holds_alternative<ClusterChanged>(change)) settings = table.state().settings;
    }
  }
  bool operator==(const Mirror&) const = default;
};

RC_GTEST_PROP(TableDifferenceProperty,
              who_follows_differences_sees_the_same_as_who_follows_every_command, ()) {
  Prng random(*rc::gen::arbitrary<uint64_t>());
  MetadataTable table(cluster_id());
  MetadataState seen = table.state();
  CommandGenerator generator(Prng(random.next()), 4);
  Mirror each;
  Mirror jumps;
  for (uint64_t i = 1; i <= 120; ++i) {
    const Applied applied = table.apply(Index(i), generator.next(table));
    each.told(applied.changes, table);
    each.events.insert(each.events.end(), applied.events.begin(), applied.events.end());
    if (!random.chance(1, 6)) continue;
    jumps.told(table_difference(seen, table.state()), table);
    const MissedEvents missed = missed_events(seen, table.state());
    RC_ASSERT(!missed.gap);
    jumps.events.insert(jumps.events.end(), missed.events.begin(), missed.events.end());
    seen = table.state();
    RC_ASSERT(jumps == each);
  }
}

TEST(TableDifference, equal_states_differ_in_nothing) {
  MetadataTable table(cluster_id());
  CommandGenerator generator(Prng(3), 3);
  for (uint64_t i = 1; i <= 40; ++i) (void)table.apply(Index(i), generator.next(table));
  EXPECT_TRUE(table_difference(table.state(), table.state()).empty());
  EXPECT_TRUE(missed_events(table.state(), table.state()).events.empty());
}

TEST(TableDifference, events_that_no_snapshot_keeps_are_told_as_a_gap) {
  MetadataState before;
  MetadataState after;
  constexpr size_t k_fit = k_event_bytes_kept / k_event_cost_min;
  for (uint32_t i = 1; i <= k_fit + 5; ++i)
    append_event(after.events, {.position = {Index(i), 1}, .kind = EventKind::broker_fenced});
  EXPECT_TRUE(missed_events(before, after).gap);
  EXPECT_EQ(missed_events(before, after).events.size(), k_fit);
}

}  // namespace
}  // namespace bascule::controller

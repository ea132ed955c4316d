#include "src/controller/metadata_table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "tests/controller/table_cluster.h"

namespace bascule::controller {
namespace {

// --- The state machine -----------------------------------------------------------------------------

RC_GTEST_PROP(MetadataTableProperty, apply_is_deterministic_and_keeps_every_invariant, ()) {
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  const auto nodes = *rc::gen::inRange<uint32_t>(1, 5);
  MetadataTable first(cluster_id());
  MetadataTable second(cluster_id());
  CommandGenerator generator(Prng(seed), nodes);
  std::map<PartitionId, std::pair<Epoch, Version>> seen;
  std::map<std::pair<PartitionId, Epoch>, std::pair<NodeId, Incarnation>> leaders;
  for (uint64_t i = 1; i <= 120; ++i) {
    const Command command = generator.next(first);
    const MetadataState before = first.state();
    const Applied a = first.apply(Index(i), command);
    const Applied b = second.apply(Index(i), command);
    RC_ASSERT(a.outcome.has_value() == b.outcome.has_value());
    const bool same_outcome =
        a.outcome ? *a.outcome == *b.outcome : a.outcome.error() == b.outcome.error();
    RC_ASSERT(same_outcome);
    RC_ASSERT(a.changes == b.changes);
    RC_ASSERT(first.hash() == second.hash());
    const Status sound = first.find_broken_invariant();
    RC_ASSERT(sound.has_value());
    if (!a.outcome) {
      MetadataState same = first.state();
      same.applied = before.applied;
      RC_ASSERT(same == before);
    }
    for (const auto& [id, s] : first.state().streams) {
      for (const PartitionEntry& p : s.partitions) {
        auto& [epoch, version] = seen[p.id];
        RC_ASSERT(p.epoch >= epoch);
        RC_ASSERT(p.version >= version);
        epoch = p.epoch;
        version = p.version;
        if (!p.leader) continue;
        // One leadership per epoch: node and incarnation of an epoch never change.
        const auto at =
            leaders.emplace(std::pair(p.id, p.epoch), std::pair(p.leader, p.leader_incarnation));
        RC_ASSERT(at.first->second == std::pair(p.leader, p.leader_incarnation));
      }
    }
  }
}

RC_GTEST_PROP(MetadataTableProperty, what_is_not_listed_as_changed_is_as_it_was, ()) {
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  MetadataTable table(cluster_id());
  CommandGenerator generator(Prng(seed), 3);
  for (uint64_t i = 1; i <= 80; ++i) {
    const MetadataState before = table.state();
    const Applied a = table.apply(Index(i), generator.next(table));
    std::set<PartitionId> partitions;
    std::set<NodeId> brokers;
    for (const Change& change : a.changes) {
      if (const auto* p = std::get_if<PartitionChanged>(&change)) partitions.insert(p->partition);
      if (const auto* b = std::get_if<BrokerChanged>(&change)) brokers.insert(b->node);
    }
    for (const auto& [node, b] : table.state().brokers) {
      const auto old = before.brokers.find(node);
      const bool same = old != before.brokers.end() && old->second == b;
      RC_ASSERT(same != brokers.contains(node));
    }
    for (const auto& [id, s] : table.state().streams) {
      const auto old = before.streams.find(id);
      for (size_t k = 0; k < s.partitions.size(); ++k) {
        const bool same =
            old != before.streams.end() && old->second.partitions[k] == s.partitions[k];
        RC_ASSERT(same != partitions.contains(s.partitions[k].id));
      }
    }
  }
}

RC_GTEST_PROP(MetadataTableProperty, the_hash_tells_any_two_states_of_a_history_apart, ()) {
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  MetadataTable table(cluster_id());
  CommandGenerator generator(Prng(seed), 3);
  std::set<Uuid> hashes{table.hash()};
  for (uint64_t i = 1; i <= 60; ++i) {
    (void)table.apply(Index(i), generator.next(table));
    RC_ASSERT(hashes.insert(table.hash()).second);
  }
}

TEST(MetadataTable, the_hash_is_the_same_on_every_machine_and_compiler) {
  Cluster c;
  c.start(1);
  c.create(stream_config("orders", 2));
  EXPECT_EQ(c.table.hash().to_string(), "acafd4d0704b6fd0586dea945d0da3a5");
}

TEST(MetadataTable, restoring_its_own_state_gives_the_same_table_and_a_broken_one_is_corrupt) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders", 2));
  auto copy = MetadataTable::restore(c.table.state());
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(copy->hash(), c.table.hash());
  EXPECT_EQ(copy->stream_named("orders")->id, s);
  EXPECT_EQ(copy->partition_count(), 2u);

  const auto breaks = [&](auto change) {
    MetadataState state = c.table.state();
    change(state);
    const auto r = MetadataTable::restore(std::move(state));
    return !r.has_value() && r.error().code == Errc::corrupt;
  };
  EXPECT_TRUE(breaks([&](auto& m) { m.streams.at(s).partitions[0].isr = nodes({2}); }));
  EXPECT_TRUE(breaks([&](auto& m) { m.streams.at(s).partitions[0].isr.clear(); }));
  EXPECT_TRUE(breaks([&](auto& m) { m.streams.at(s).partitions[0].elr = nodes({1}); }));
  EXPECT_TRUE(breaks([&](auto& m) { m.streams.at(s).partitions.pop_back(); }));
  EXPECT_TRUE(breaks([&](auto& m) { m.streams.at(s).partitions[0].replicas.clear(); }));
  EXPECT_TRUE(breaks([&](auto& m) { m.streams.at(s).partitions[1].id.index = {}; }));
  EXPECT_TRUE(breaks([&](auto& m) { m.streams.at(s).config.name = "-"; }));
  EXPECT_TRUE(breaks([&](auto& m) { m.brokers.at(NodeId(1)).incarnation = Incarnation(8); }));
  EXPECT_TRUE(breaks([&](auto& m) { m.brokers.at(NodeId(1)).fenced = true; }));
  EXPECT_TRUE(breaks([&](auto& m) { m.brokers.clear(); }));
  EXPECT_TRUE(breaks([&](auto& m) { m.next_stream = s; }));
  EXPECT_TRUE(breaks([&](auto& m) { m.next_assignment = AssignmentId(1); }));
  EXPECT_TRUE(breaks([&](auto& m) { m.cluster = {}; }));
}

}  // namespace
}  // namespace bascule::controller

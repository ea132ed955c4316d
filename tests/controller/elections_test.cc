#include "src/controller/metadata_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/controller/table_cluster.h"

namespace bascule::controller {
namespace {

// --- Fencing and elections -------------------------------------------------------------------------

TEST(MetadataTable, fencing_the_leader_elects_an_isr_member_that_is_up_at_a_higher_epoch) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  const NodeId old = c.p(s).leader;
  const Epoch epoch = c.p(s).epoch;
  c.fence({old.value});
  EXPECT_TRUE(c.p(s).leader);
  EXPECT_NE(c.p(s).leader, old);
  EXPECT_GT(c.p(s).epoch, epoch);
  EXPECT_FALSE(c.p(s).in_isr(old));
  EXPECT_TRUE(c.p(s).elr.empty()) << "two of min_isr two remain";
}

TEST(MetadataTable, a_shrink_below_min_isr_keeps_the_removed_as_eligible) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  const uint32_t a = c.p(s).leader.value;
  const uint32_t b = a % 3 + 1;
  const uint32_t d = b % 3 + 1;
  c.fence({b, d});
  EXPECT_EQ(c.p(s).isr, nodes({a}));
  EXPECT_EQ(c.p(s).elr.size(), 2u);
  c.fence({a});
  EXPECT_EQ(c.p(s).isr, nodes({a})) << "the last one stays, and nobody leads";
  EXPECT_FALSE(c.p(s).leader);
  c.unfence(b);  // the same life: wrongly fenced
  EXPECT_EQ(c.p(s).leader, NodeId(b));
  EXPECT_EQ(c.p(s).isr, nodes({b}));
  EXPECT_EQ(c.p(s).elr.size(), 2u);
}

TEST(MetadataTable, fencing_all_at_once_leaves_the_sets_as_they_are) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  c.fence({1, 2, 3});
  EXPECT_EQ(c.p(s).isr, nodes({1, 2, 3}));
  EXPECT_TRUE(c.p(s).elr.empty());
  EXPECT_FALSE(c.p(s).leader);
}

TEST(MetadataTable, after_a_power_loss_the_furthest_of_enough_reports_leads) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  c.fence({1, 2, 3});
  c.start(1, {c.suspect(s, 1, 1, 10)});
  EXPECT_FALSE(c.p(s).leader) << "one of two needed";
  c.start(2, {c.suspect(s, 2, 1, 12)});
  EXPECT_FALSE(c.p(s).leader) << "the third may still come";
  EXPECT_EQ(c.table.waiting_elections().size(), 1u);

  Cluster over = c;
  over.must(EndElectionWait{over.table.waiting_elections()});
  EXPECT_EQ(over.p(s).leader, NodeId(2));
  EXPECT_FALSE(over.p(s).replica(NodeId(2))->suspect);
  EXPECT_TRUE(over.p(s).replica(NodeId(1))->suspect);

  c.start(3, {c.suspect(s, 3, 0, 40)});
  EXPECT_EQ(c.p(s).leader, NodeId(2)) << "the last epoch weighs more than the end";
}

TEST(MetadataTable, equal_reports_elect_the_lowest_id) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  c.fence({1, 2, 3});
  for (uint32_t n : {3, 2, 1}) c.start(n, {c.suspect(s, n, 1, 10)});
  EXPECT_EQ(c.p(s).leader, NodeId(1));
}

TEST(MetadataTable, a_report_of_an_earlier_leaderless_epoch_counts_no_more) {
  Cluster c;
  for (uint32_t n : {1, 2}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 2, 2));
  c.fence({1, 2});
  c.start(1, {c.suspect(s, 1, 1, 10)});
  ASSERT_TRUE(c.p(s).replica(NodeId(1))->report);
  c.start(2);  // clean: it leads, the partition is no longer leaderless
  ASSERT_EQ(c.p(s).leader, NodeId(2));
  const Epoch led = c.p(s).epoch;
  c.fence({2});
  EXPECT_FALSE(c.p(s).leader);
  EXPECT_FALSE(c.p(s).replica(NodeId(1))->report);
  EXPECT_EQ(
      c.refused(ReportReplica{NodeId(1), c.recorded(1), c.p(s).id, led, Epoch(1), Offset(10)}),
      Errc::fenced);
  c.must(ReportReplica{NodeId(1), c.recorded(1), c.p(s).id, c.p(s).epoch, Epoch(1), Offset(10)});
  EXPECT_FALSE(c.p(s).leader) << "one of the two that hold every acknowledged record";
}

TEST(MetadataTable,
     memory_partitions_drop_the_crashed_while_another_is_up_and_record_the_loss_else) {
  Cluster c;
  for (uint32_t n : {1, 2}) c.start(n);
  model::StreamConfig config = stream_config("fast", 1, 2, 1);
  config.durability = model::DurabilityMode::memory;
  const StreamId s = c.create(config);
  const uint32_t a = c.p(s).leader.value;
  const uint32_t b = 3 - a;
  Cluster killed = c;
  killed.register_only(b, {killed.suspect(s, b, 1, 3)});
  EXPECT_TRUE(killed.p(s).in_isr(NodeId(b))) << "its page cache has everything";
  Cluster one = c;
  ReplicaReport crashed = one.suspect(s, b, 1, 3);
  crashed.cache_lost = true;
  one.register_only(b, {crashed});
  EXPECT_FALSE(one.p(s).in_isr(NodeId(b)));
  EXPECT_EQ(one.p(s).leader, NodeId(a));

  c.fence({1, 2});
  c.start(a, {c.suspect(s, a, 1, 7)});
  EXPECT_FALSE(c.p(s).leader);
  c.start(b, {c.suspect(s, b, 1, 9)});
  EXPECT_EQ(c.p(s).leader, NodeId(b));
  ASSERT_TRUE(c.p(s).loss.has_value());
  EXPECT_FALSE(c.p(s).loss->by_operator);
}

TEST(MetadataTable,
     marks_are_cleared_for_the_leader_version_and_incarnation_that_were_meant_alone) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  const NodeId a = c.p(s).leader;
  const uint32_t b = a.value % 3 + 1;
  const uint32_t d = b % 3 + 1;
  c.start(b, {c.suspect(s, b, 1, 4)});
  c.start(d, {c.suspect(s, d, 1, 4)});
  const PartitionId id = c.p(s).id;
  const Version v = c.p(s).version;
  const auto item = [&](uint32_t node) {
    return ClearSuspectItem{id, v, NodeId(node), c.recorded(node)};
  };
  ClearSuspectItem stale = item(b);
  stale.replica_incarnation = Incarnation(1);
  ClearSuspectItem old = item(b);
  old.version = Version(v.value - 1);
  Applied none = c.apply(ClearSuspect{a, c.recorded(a.value), {stale, old}});
  EXPECT_EQ(std::get<ClearSuspectOutcome>(*none.outcome).refused, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(c.p(s).version, v);
  none = c.apply(ClearSuspect{a, c.recorded(a.value).next(), {item(b)}});
  EXPECT_EQ(std::get<ClearSuspectOutcome>(*none.outcome).refused.size(), 1u);

  c.must(ClearSuspect{a, c.recorded(a.value), {item(b), item(d)}});
  EXPECT_FALSE(c.p(s).replica(NodeId(b))->suspect);
  EXPECT_FALSE(c.p(s).replica(NodeId(d))->suspect);
  EXPECT_EQ(c.p(s).version, v.next());
}

TEST(ResignLeaderships,
     what_another_in_sync_broker_could_lead_is_led_by_that_one_and_the_rest_stays) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId shared = c.create(stream_config("shared", 1, 3, 2));
  const NodeId stuck = c.p(shared).leader;
  // Only the stuck one is left in the ISR of this one.
  StreamId alone;
  for (int i = 0; !alone && i < 3; ++i) {
    const StreamId s = c.create(stream_config("alone" + std::to_string(i), 1, 1, 1));
    if (c.p(s).leader == stuck) alone = s;
  }
  ASSERT_TRUE(alone);
  const uint32_t next = stuck.value % 3 + 1;
  c.start(next, {c.suspect(shared, next, 1, 4)});  // it may lack something
  const NodeId good(next % 3 + 1);
  const Epoch epoch = c.p(shared).epoch;
  const std::vector<NodeId> isr = c.p(shared).isr;

  EXPECT_TRUE(c.table.can_resign(stuck));
  const Applied a = c.apply(ResignLeaderships{stuck, c.recorded(stuck.value)});
  EXPECT_EQ(std::get<ResignLeadershipsOutcome>(*a.outcome).moved, 1u);
  EXPECT_EQ(c.p(shared).leader, good);
  EXPECT_GT(c.p(shared).epoch, epoch);
  EXPECT_EQ(c.p(shared).isr, isr) << "what it holds is still needed";
  EXPECT_EQ(c.p(alone).leader, stuck) << "nobody else has it";
  EXPECT_FALSE(c.table.can_resign(stuck));
  EXPECT_EQ(c.refused(ResignLeaderships{good, c.recorded(good.value).next()}), Errc::fenced);
}

}  // namespace
}  // namespace bascule::controller

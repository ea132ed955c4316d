#include "src/controller/metadata_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/controller/table_cluster.h"

namespace bascule::controller {
namespace {

// --- The lone broker -------------------------------------------------------------------------------

TEST(MetadataTable, a_new_stream_is_led_by_the_lone_broker_in_its_incarnation) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders", 3));
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(c.p(s, i).leader, NodeId(1));
    EXPECT_EQ(c.p(s, i).leader_incarnation, Incarnation(1));
    EXPECT_EQ(c.p(s, i).epoch, Epoch(1));
    EXPECT_EQ(c.p(s, i).isr, nodes({1}));
  }
  EXPECT_NE(c.p(s, 0).log_id, c.p(s, 1).log_id);
  EXPECT_NE(c.p(s, 0).replicas[0].assignment, c.p(s, 1).replicas[0].assignment);
}

TEST(MetadataTable, a_restart_raises_incarnation_and_epoch_and_nobody_leads_before_it_is_unfenced) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders"));
  const Epoch before = c.p(s).epoch;
  c.register_only(1);
  EXPECT_EQ(c.p(s).leader, NodeId(0));
  EXPECT_GT(c.p(s).epoch, before);
  const Epoch leaderless = c.p(s).epoch;
  c.unfence(1);
  EXPECT_EQ(c.p(s).leader, NodeId(1));
  EXPECT_EQ(c.p(s).leader_incarnation, Incarnation(2));
  EXPECT_GT(c.p(s).epoch, leaderless);
}

TEST(MetadataTable, a_suspect_sole_member_leads_with_its_mark_cleared_by_the_electing_command) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders"));
  c.register_only(1, {c.suspect(s, 1, 1, 10)});
  EXPECT_TRUE(c.p(s).replica(NodeId(1))->suspect);
  EXPECT_TRUE(c.p(s).replica(NodeId(1))->report.has_value());
  c.unfence(1);
  EXPECT_EQ(c.p(s).leader, NodeId(1));
  EXPECT_FALSE(c.p(s).replica(NodeId(1))->suspect);
  EXPECT_FALSE(c.p(s).loss.has_value());
}

TEST(MetadataTable, another_storage_of_the_sole_holder_is_data_lost_until_the_operator_decides) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders"));
  RegisterBroker r = c.registration(1);
  r.storage = storage_id(77);
  c.must(r);
  c.unfence(1);
  EXPECT_TRUE(c.p(s).data_lost);
  EXPECT_EQ(c.p(s).leader, NodeId(0));
  c.start(1 + 1);  // another broker changes nothing
  RegisterBroker again = c.registration(1);
  again.storage = storage_id(77);
  c.must(again);
  c.unfence(1);
  EXPECT_EQ(c.p(s).leader, NodeId(0))
      << "a clean restart of the empty disk must not make it leader";

  c.must(ElectUnclean{c.p(s).id, c.p(s).epoch, NodeId(1), WallTime{9}});
  EXPECT_EQ(c.p(s).leader, NodeId(1));
  EXPECT_FALSE(c.p(s).data_lost);
  ASSERT_TRUE(c.p(s).loss.has_value());
  EXPECT_TRUE(c.p(s).loss->by_operator);
  EXPECT_EQ(c.p(s).loss->epoch, c.p(s).epoch);
}

TEST(MetadataTable, a_missing_directory_of_the_sole_holder_is_data_lost_and_a_damaged_one_leads) {
  Cluster c;
  c.start(1);
  const StreamId a = c.create(stream_config("a"));
  const StreamId b = c.create(stream_config("b"));
  ReplicaReport missing = c.suspect(a, 1, 0, 0);
  missing.missing = true;
  ReplicaReport damaged = c.suspect(b, 1, 1, 5);
  damaged.damaged = true;
  c.start(1, {missing, damaged});
  EXPECT_TRUE(c.p(a).data_lost);
  EXPECT_EQ(c.p(a).leader, NodeId(0));
  EXPECT_FALSE(c.p(b).data_lost);
  EXPECT_EQ(c.p(b).leader, NodeId(1));
  EXPECT_TRUE(c.p(b).replica(NodeId(1))->damaged);
}

// --- Registration ----------------------------------------------------------------------------------

TEST(MetadataTable, a_retried_registration_is_answered_as_the_first_and_changes_nothing) {
  Cluster c;
  c.start(1);
  c.start(2);
  const StreamId s = c.create(stream_config("orders", 1, 2, 1));
  RegisterBroker r = c.registration(2);
  r.rolled_back = true;
  c.must(r);
  const StreamEntry before = *c.table.stream(s);
  const Applied again = c.apply(r);
  ASSERT_TRUE(again.outcome.has_value());
  EXPECT_EQ(std::get<RegisterBrokerOutcome>(*again.outcome).incarnation, r.incarnation);
  EXPECT_TRUE(again.changes.empty());
  EXPECT_EQ(*c.table.stream(s), before);
}

TEST(MetadataTable, a_registration_that_replaces_another_than_the_recorded_incarnation_is_fenced) {
  Cluster c;
  c.start(1);
  RegisterBroker late = c.registration(1);
  c.register_only(1);
  late.incarnation = Incarnation(9);
  EXPECT_EQ(c.refused(late), Errc::fenced);
  EXPECT_EQ(c.recorded(1), Incarnation(2));
}

TEST(MetadataTable, a_copied_directory_under_another_node_id_is_refused) {
  Cluster c;
  c.start(1);
  RegisterBroker clone = c.registration(2);
  clone.storage = storage_id(1);
  EXPECT_EQ(c.refused(clone), Errc::fenced);
}

TEST(MetadataTable, a_rolled_back_or_swapped_disk_leaves_every_set_and_the_healthy_lead) {
  for (const bool swapped : {false, true}) {
    Cluster c;
    for (uint32_t n : {1, 2, 3}) c.start(n);
    const StreamId s = c.create(stream_config("orders", 1, 3, 2));
    const NodeId leader = c.p(s).leader;
    RegisterBroker r = c.registration(leader.value);
    r.rolled_back = !swapped;
    if (swapped) r.storage = storage_id(50);
    const Version before = c.p(s).version;
    c.must(r);
    EXPECT_FALSE(c.p(s).in_isr(leader));
    EXPECT_FALSE(c.p(s).in_elr(leader));
    EXPECT_TRUE(c.p(s).leader);
    EXPECT_NE(c.p(s).leader, leader);
    EXPECT_GT(c.p(s).version, before);
    c.unfence(leader.value);
    EXPECT_FALSE(c.p(s).in_isr(leader));
  }
}

TEST(MetadataTable, suspect_members_stay_and_damaged_ones_leave_but_never_the_last) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  const uint32_t leader = c.p(s).leader.value;
  const uint32_t b = leader % 3 + 1;
  const uint32_t d = b % 3 + 1;
  c.register_only(b, {c.suspect(s, b, 1, 4)});
  EXPECT_TRUE(c.p(s).in_isr(NodeId(b)));
  EXPECT_FALSE(c.p(s).replica(NodeId(b))->report) << "a report beside a leader counts for nothing";
  ReplicaReport damaged = c.suspect(s, d, 1, 4);
  damaged.damaged = true;
  c.register_only(d, {damaged});
  EXPECT_FALSE(c.p(s).in_isr(NodeId(d)));
}

TEST(MetadataTable, a_report_of_an_earlier_assignment_is_ignored) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders"));
  ReplicaReport r = c.suspect(s, 1, 1, 1);
  r.assignment = AssignmentId(99);
  r.missing = true;
  c.start(1, {r});
  EXPECT_FALSE(c.p(s).data_lost);
  EXPECT_EQ(c.p(s).leader, NodeId(1));
}

TEST(MetadataTable, the_elr_member_leads_when_the_sole_isr_member_lost_its_storage) {
  Cluster c;
  c.start(1);
  c.start(2);
  const StreamId s = c.create(stream_config("orders", 1, 2, 2));
  const uint32_t a = c.p(s).leader.value;
  const uint32_t b = 3 - a;
  c.fence({b});
  ASSERT_EQ(c.p(s).isr, nodes({a}));
  ASSERT_EQ(c.p(s).elr, nodes({b}));
  RegisterBroker swapped = c.registration(a);
  swapped.storage = storage_id(60);
  c.must(swapped);
  EXPECT_FALSE(c.p(s).leader);
  EXPECT_FALSE(c.p(s).data_lost);
  c.unfence(b);
  EXPECT_EQ(c.p(s).leader, NodeId(b));
  EXPECT_EQ(c.p(s).isr, nodes({b}));
}

}  // namespace
}  // namespace bascule::controller

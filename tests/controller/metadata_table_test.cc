#include "src/controller/metadata_table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "tests/controller/generators.h"

namespace bascule::controller {
namespace {

// A table with a running index, and the commands of everyday life.
class Cluster {
 public:
  MetadataTable table{cluster_id()};

  Applied apply(const Command& c) {
    index_ = index_.next();
    Applied a = table.apply(index_, c);
    table.check_invariants();
    return a;
  }
  void must(const Command& c) {
    const Applied a = apply(c);
    ASSERT_TRUE(a.outcome.has_value()) << a.outcome.error().to_string();
  }
  Errc refused(const Command& c) {
    const Applied a = apply(c);
    EXPECT_FALSE(a.outcome.has_value());
    return a.outcome ? Errc{} : a.outcome.error().code;
  }
  Incarnation recorded(uint32_t node) const {
    const BrokerEntry* b = table.broker(NodeId(node));
    return b == nullptr ? Incarnation{} : b->incarnation;
  }
  RegisterBroker registration(uint32_t node, std::vector<ReplicaReport> reports = {}) const {
    RegisterBroker c;
    c.node = NodeId(node);
    c.storage = storage_id(node);
    c.replaces = recorded(node);
    c.incarnation = c.replaces.next();
    c.reports = std::move(reports);
    return c;
  }
  void register_only(uint32_t node, std::vector<ReplicaReport> reports = {}) {
    must(registration(node, std::move(reports)));
  }
  void unfence(uint32_t node) { must(UnfenceBroker{NodeId(node), recorded(node)}); }
  void start(uint32_t node, std::vector<ReplicaReport> reports = {}) {
    register_only(node, std::move(reports));
    unfence(node);
  }
  void fence(const std::vector<uint32_t>& nodes) {
    FenceBrokers c;
    for (uint32_t n : nodes) c.brokers.push_back({NodeId(n), recorded(n)});
    must(c);
  }
  StreamId create(const model::StreamConfig& config) {
    const Applied a = apply(CreateStream{config, Uuid{{1, 2}}, WallTime{3}});
    EXPECT_TRUE(a.outcome.has_value());
    return std::get<CreateStreamOutcome>(*a.outcome).stream;
  }
  const PartitionEntry& p(StreamId stream, uint32_t index = 0) const {
    return *table.partition({stream, PartitionIndex(index)});
  }
  ReplicaReport suspect(StreamId stream, uint32_t node, uint64_t epoch, uint64_t leo) const {
    ReplicaReport r;
    r.partition = p(stream).id;
    r.assignment = p(stream).replica(NodeId(node))->assignment;
    r.suspect = true;
    r.last_epoch = Epoch(epoch);
    r.leo = Offset(leo);
    return r;
  }

 private:
  Index index_;
};

std::vector<NodeId> nodes(std::initializer_list<uint32_t> list) {
  std::vector<NodeId> out;
  for (uint32_t n : list) out.emplace_back(n);
  return out;
}

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
  Cluster one = c;
  one.register_only(b, {one.suspect(s, b, 1, 3)});
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

// --- Streams ---------------------------------------------------------------------------------------

TEST(MetadataTable, an_equal_stream_is_the_existing_one_and_a_different_one_is_refused) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders"));
  const Applied again = c.apply(CreateStream{stream_config("orders"), Uuid{{4, 4}}, WallTime{8}});
  const auto& outcome = std::get<CreateStreamOutcome>(*again.outcome);
  EXPECT_TRUE(outcome.existed);
  EXPECT_EQ(outcome.stream, s);
  EXPECT_TRUE(again.changes.empty());
  EXPECT_EQ(c.refused(CreateStream{stream_config("orders", 2), Uuid{{4, 4}}, WallTime{8}}),
            Errc::stream_exists);
}

TEST(MetadataTable, ids_of_streams_and_assignments_are_never_given_twice) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders"));
  const AssignmentId a = c.p(s).replicas[0].assignment;
  const Applied gone = c.apply(DeleteStream{s});
  ASSERT_EQ(gone.changes.size(), 1u);
  EXPECT_EQ(std::get<StreamDeleted>(gone.changes[0]).stream.id, s);
  EXPECT_EQ(c.table.stream_named("orders"), nullptr);
  EXPECT_EQ(c.refused(DeleteStream{s}), Errc::unknown_stream);
  const StreamId t = c.create(stream_config("orders"));
  EXPECT_GT(t, s);
  EXPECT_GT(c.p(t).replicas[0].assignment, a);
}

TEST(MetadataTable, more_replicas_than_brokers_are_invalid_and_than_brokers_up_are_retryable) {
  Cluster c;
  c.start(1);
  EXPECT_EQ(c.refused(CreateStream{stream_config("a", 1, 2), Uuid{{1, 1}}, {}}), Errc::invalid);
  c.register_only(2);
  EXPECT_EQ(c.refused(CreateStream{stream_config("a", 1, 2), Uuid{{1, 1}}, {}}),
            Errc::not_enough_replicas);
  c.unfence(2);
  c.create(stream_config("a", 4, 2));
}

TEST(MetadataTable, replicas_and_leaders_are_spread_over_the_brokers) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("wide", 6, 2));
  std::map<NodeId, int> led;
  std::map<NodeId, int> held;
  for (uint32_t i = 0; i < 6; ++i) {
    ++led[c.p(s, i).leader];
    for (NodeId n : c.p(s, i).isr) ++held[n];
  }
  for (uint32_t n : {1, 2, 3}) {
    EXPECT_EQ(led[NodeId(n)], 2);
    EXPECT_EQ(held[NodeId(n)], 4);
  }
}

TEST(MetadataTable, two_streams_that_would_answer_one_publisher_are_refused) {
  Cluster c;
  c.start(1);
  model::StreamConfig a = stream_config("a");
  a.answers = model::AnswerMode::on;
  a.subjects = {"x.>"};
  c.create(a);
  model::StreamConfig b = stream_config("b");
  b.answers = model::AnswerMode::on;
  b.subjects = {"x.y"};
  EXPECT_EQ(c.refused(CreateStream{b, Uuid{{1, 1}}, {}}), Errc::invalid);
}

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
  EXPECT_EQ(c.table.hash().to_string(), "802a7754654fc8c9c728c2560488824f");
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

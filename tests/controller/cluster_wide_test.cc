#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "capnp/command_codec.h"
#include "src/controller/metadata_table.h"
#include "tests/controller/table_cluster.h"

namespace bascule::controller {
namespace {

// --- Brokers that go -------------------------------------------------------------------------------

TEST(UnregisterBroker, it_is_refused_while_the_broker_holds_replicas_and_says_how_many) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders", 3));
  c.fence({1});
  const Applied a = c.apply(UnregisterBroker{NodeId(1), c.recorded(1)});
  ASSERT_FALSE(a.outcome.has_value());
  EXPECT_EQ(a.outcome.error().code, Errc::busy);
  EXPECT_NE(a.outcome.error().context.find("3 replicas"), std::string::npos);
  c.must(DeleteStream{s});
  EXPECT_EQ(c.refused(UnregisterBroker{NodeId(1), c.recorded(1).next()}), Errc::fenced);
  EXPECT_EQ(c.refused(UnregisterBroker{NodeId(2), Incarnation(1)}), Errc::not_found);
  c.must(UnregisterBroker{NodeId(1), c.recorded(1)});
  EXPECT_EQ(c.table.broker(NodeId(1)), nullptr);
}

TEST(UnregisterBroker, one_that_is_up_is_refused) {
  Cluster c;
  c.start(1);
  EXPECT_EQ(c.refused(UnregisterBroker{NodeId(1), c.recorded(1)}), Errc::busy);
}

TEST(UnregisterBroker, rule_10_incarnations_of_a_removed_node_never_repeat) {
  Cluster c;
  for (int i = 0; i < 4; ++i) c.start(1);
  RegisterBroker late = c.registration(1);
  c.fence({1});
  c.must(UnregisterBroker{NodeId(1), Incarnation(4)});
  EXPECT_EQ(c.table.recorded_incarnation(NodeId(1)), Incarnation(4));
  late.replaces = Incarnation(0);
  EXPECT_EQ(c.refused(late), Errc::fenced);
  late.replaces = Incarnation(4);
  late.incarnation = Incarnation(5);
  late.storage = storage_id(9);
  c.must(late);
}

TEST(DeclareStorageLost, rule_11d_it_acts_as_rule_10_and_the_storage_is_refused_for_good) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  const NodeId a = c.p(s).leader;
  c.must(DeclareStorageLost{storage_id(a.value)});
  EXPECT_FALSE(c.p(s).in_isr(a));
  EXPECT_FALSE(c.p(s).in_elr(a));
  EXPECT_TRUE(c.p(s).leader);
  EXPECT_EQ(c.refused(UnfenceBroker{a, c.recorded(a.value)}), Errc::fenced);
  EXPECT_EQ(c.refused(c.registration(a.value)), Errc::fenced);
  const Version before = c.p(s).version;
  c.must(DeclareStorageLost{storage_id(a.value)});
  EXPECT_EQ(c.p(s).version, before) << "said again, it changes nothing";
  RegisterBroker fresh = c.registration(a.value);
  fresh.storage = storage_id(50);
  c.must(fresh);
  EXPECT_EQ(c.refused(DeclareStorageLost{storage_id(77)}), Errc::not_found);
}

TEST(DeclareStorageLost, rule_11d_the_reports_of_those_that_are_left_are_then_all) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  c.fence({1, 2, 3});
  c.start(1, {c.suspect(s, 1, 1, 10)});
  c.start(2, {c.suspect(s, 2, 1, 12)});
  ASSERT_FALSE(c.p(s).leader);
  c.must(DeclareStorageLost{storage_id(3)});
  EXPECT_EQ(c.p(s).leader, NodeId(2));
}

TEST(DeclareStorageLost, rule_10_the_last_holder_makes_the_partition_data_lost) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders"));
  c.must(DeclareStorageLost{storage_id(1)});
  EXPECT_TRUE(c.p(s).data_lost);
  EXPECT_FALSE(c.p(s).leader);
}

// --- Feature level, settings, producer ids ---------------------------------------------------------

TEST(FinalizeFeatureLevel, it_is_refused_unless_every_registered_broker_can_work_at_it) {
  Cluster c;
  RegisterBroker r = c.registration(1);
  r.features = {1, 2};
  c.must(r);
  c.register_only(2);
  const Applied a = c.apply(FinalizeFeatureLevel{2});
  ASSERT_FALSE(a.outcome.has_value());
  EXPECT_EQ(a.outcome.error().code, Errc::unsupported);
  EXPECT_EQ(c.refused(FinalizeFeatureLevel{0}), Errc::invalid);
  c.must(UnregisterBroker{NodeId(2), c.recorded(2)});
  c.must(FinalizeFeatureLevel{2});
  EXPECT_EQ(c.table.state().feature_level, 2u);
  EXPECT_EQ(c.refused(FinalizeFeatureLevel{1}), Errc::invalid) << "it never falls";
  EXPECT_EQ(c.refused(c.registration(2)), Errc::unsupported) << "an older program stays out";
}

TEST(FinalizeFeatureLevel, a_program_that_sees_a_level_beyond_its_own_is_stopped_by_name) {
  Cluster c;
  RegisterBroker r = c.registration(1);
  r.features = {1, k_feature_level + 1};
  c.must(r);
  EXPECT_TRUE(c.table.check_feature_level().has_value());
  c.must(FinalizeFeatureLevel{k_feature_level + 1});
  ASSERT_FALSE(c.table.check_feature_level().has_value());
  EXPECT_EQ(c.table.check_feature_level().error().code, Errc::unsupported);
  const auto restored = MetadataTable::restore(c.table.state());
  ASSERT_FALSE(restored.has_value());
  EXPECT_EQ(restored.error().code, Errc::unsupported);
}

TEST(SetSetting, names_and_values_are_checked_and_an_empty_value_is_the_default_again) {
  Cluster c;
  EXPECT_EQ(c.refused(SetSetting{"colour", "red"}), Errc::invalid);
  EXPECT_EQ(c.refused(SetSetting{"session_timeout", "soon"}), Errc::invalid);
  EXPECT_EQ(c.refused(SetSetting{"session_timeout", "1ms"}), Errc::invalid);
  EXPECT_EQ(c.refused(SetSetting{"default_replicas", "16"}), Errc::invalid);
  c.must(SetSetting{"session_timeout", "1500ms"});
  c.must(SetSetting{"default_replicas", "3"});
  EXPECT_EQ(c.table.settings().session_timeout, milliseconds(1500));
  EXPECT_EQ(c.table.settings().default_replicas, 3u);
  c.must(SetSetting{"session_timeout", ""});
  EXPECT_EQ(c.table.settings().session_timeout, Settings{}.session_timeout);
  EXPECT_TRUE(c.apply(SetSetting{"session_timeout", ""}).changes.empty());
}

TEST(AllocateProducerIds, blocks_are_never_given_twice_and_only_to_the_present_life) {
  Cluster c;
  c.start(1);
  const auto first = [&](uint64_t count) {
    const Applied a = c.apply(AllocateProducerIds{NodeId(1), c.recorded(1), count});
    return std::get<AllocateProducerIdsOutcome>(*a.outcome).first;
  };
  EXPECT_EQ(first(100), ProducerId(1));
  EXPECT_EQ(first(1), ProducerId(101));
  EXPECT_EQ(first(5), ProducerId(102));
  EXPECT_EQ(c.refused(AllocateProducerIds{NodeId(1), Incarnation(9), 1}), Errc::fenced);
  EXPECT_EQ(c.refused(AllocateProducerIds{NodeId(1), c.recorded(1), 0}), Errc::invalid);
}

// --- Events ----------------------------------------------------------------------------------------

std::vector<EventKind> kinds(const Applied& a) {
  std::vector<EventKind> out;
  for (const Event& e : a.events) out.push_back(e.kind);
  return out;
}

TEST(Events, a_life_of_a_stream_is_told_change_by_change) {
  using enum EventKind;
  Cluster c;
  EXPECT_EQ(kinds(c.apply(c.registration(1))), (std::vector{broker_registered}));
  c.unfence(1);
  c.start(2);
  const Applied made =
      c.apply(CreateStream{stream_config("orders", 1, 2, 1), Uuid{{1, 2}}, WallTime{}});
  EXPECT_EQ(kinds(made), (std::vector{stream_created}));
  EXPECT_EQ(made.events[0].name, "orders");
  const StreamId s = std::get<CreateStreamOutcome>(*made.outcome).stream;
  const NodeId a = c.p(s).leader;
  const Applied fenced = c.apply(FenceBrokers{{{a, c.recorded(a.value)}}});
  EXPECT_EQ(kinds(fenced), (std::vector{broker_fenced, leader_changed, isr_changed}));
  EXPECT_EQ(fenced.events[1].node, c.p(s).leader);
  EXPECT_EQ(fenced.events[1].epoch, c.p(s).epoch);
  EXPECT_EQ(fenced.events[2].nodes, c.p(s).isr);
  const Applied lost = c.apply(DeclareStorageLost{storage_id(c.p(s).leader.value)});
  EXPECT_EQ(kinds(lost), (std::vector{storage_lost, broker_fenced, data_lost, leader_changed}));
  c.unfence(a.value);
  const Applied unclean = c.apply(ElectUnclean{c.p(s).id, c.p(s).epoch, a, WallTime{1}});
  EXPECT_EQ(kinds(unclean), (std::vector{unclean_election, leader_changed, isr_changed}));
  EXPECT_EQ(kinds(c.apply(DeleteStream{s})), (std::vector{stream_deleted}));
  EXPECT_TRUE(c.apply(DeleteStream{s}).events.empty());
}

TEST(Events, who_asks_for_what_is_no_longer_kept_is_told_the_oldest_position) {
  EventLog log;
  for (uint32_t i = 1; i <= 5; ++i)
    append_event(log, {.position = {Index(i), 1}, .kind = EventKind::broker_fenced},
                 3 * k_event_cost_min);
  EXPECT_EQ(log.kept.size(), 3u);
  const auto gone = events_after(log, {Index(1), 1}, 10);
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().code, Errc::log_truncated);
  EXPECT_NE(gone.error().context.find("3.1"), std::string::npos);
  EXPECT_EQ(events_after(log, {Index(2), 1}, 10)->size(), 3u);
  EXPECT_EQ(events_after(log, before_oldest(log), 2)->size(), 2u);
  EXPECT_TRUE(events_after(log, latest_event(log), 10)->empty());
  EXPECT_TRUE(events_after(log, {Index(99), 0}, 10)->empty());
}

RC_GTEST_PROP(EventsProperty, a_reader_that_resumes_anywhere_sees_each_event_once_and_in_order,
              ()) {
  Prng random(*rc::gen::arbitrary<uint64_t>());
  MetadataTable table(cluster_id());
  CommandGenerator generator(Prng(random.next()), 4);
  std::vector<Event> all;
  std::vector<Event> read;
  EventPosition position;
  for (uint64_t i = 1; i <= 100; ++i) {
    const Applied a = table.apply(Index(i), generator.next(table));
    all.insert(all.end(), a.events.begin(), a.events.end());
    if (random.chance(1, 8) && table.check_feature_level())
      table = *MetadataTable::restore(table.state());
    for (uint64_t n = random.below(4); n > 0; --n) {
      const auto page = events_after(table.state().events, position, random.between(1, 5));
      RC_ASSERT(page.has_value());
      for (const Event& e : *page) {
        read.push_back(e);
        position = e.position;
      }
    }
  }
  const auto rest = events_after(table.state().events, position, all.size());
  read.insert(read.end(), rest->begin(), rest->end());
  RC_ASSERT(read == all);
}

// --- Size ------------------------------------------------------------------------------------------

TEST(Snapshot, ten_thousand_partitions_of_three_replicas_are_at_most_four_mebibytes) {
  MetadataTable table(cluster_id());
  uint64_t index = 0;
  for (uint32_t n = 1; n <= 5; ++n) {
    RegisterBroker r;
    r.node = NodeId(n);
    r.storage = storage_id(n);
    r.incarnation = Incarnation(1);
    r.host = "host-" + std::to_string(n);
    ASSERT_TRUE(table.apply(Index(++index), r).outcome.has_value());
    ASSERT_TRUE(
        table.apply(Index(++index), UnfenceBroker{NodeId(n), Incarnation(1)}).outcome.has_value());
  }
  Prng random(1);
  for (int i = 0; i < 1000; ++i) {
    const CreateStream c{stream_config("stream-" + std::to_string(i), 10, 3, 2), random.uuid(),
                         WallTime{1'700'000'000'000'000'000}};
    ASSERT_TRUE(table.apply(Index(++index), c).outcome.has_value());
  }
  // The event log is full too: brokers die and come back.
  const auto fence = [&](uint32_t n) {
    return table.apply(Index(++index),
                       FenceBrokers{{{NodeId(n), table.recorded_incarnation(NodeId(n))}}});
  };
  // Each partition that a dead broker led makes two events; there is room for four brokers that led all 10,000.
  const std::vector<Event> death = fence(1).events;
  for (const EventKind kind : {EventKind::leader_changed, EventKind::isr_changed})
    ASSERT_NE(std::ranges::find(death, kind, &Event::kind), death.end());
  const size_t led =
      event_cost(*std::ranges::find(death, EventKind::leader_changed, &Event::kind)) +
      event_cost(*std::ranges::find(death, EventKind::isr_changed, &Event::kind));
  EXPECT_GE(k_event_bytes_kept, 4 * 10'000 * led);
  for (uint32_t n = 2; !table.state().events.dropped.index; n = n % 5 + 1) {
    ASSERT_TRUE(
        table.apply(Index(++index), UnfenceBroker{NodeId(n), Incarnation(1)}).outcome.has_value());
    ASSERT_TRUE(fence(n).outcome.has_value());
  }
  const capnp_codec::MetadataCodec codec;
  const auto bytes = codec.encode_snapshot(table.state());
  ASSERT_TRUE(bytes.has_value());
  EXPECT_LE(bytes->size(), size_t{4} << 20);
  RecordProperty("bytes", static_cast<int>(bytes->size()));
  const auto back = codec.decode_snapshot(*bytes);
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(*back == table.state());
}

}  // namespace
}  // namespace bascule::controller

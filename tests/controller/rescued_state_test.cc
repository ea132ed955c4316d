#include "src/controller/rescued_state.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "src/controller/metadata_table.h"
#include "tests/controller/generators.h"

namespace bascule::controller {
namespace {

const Uuid k_next_cluster{{77, 78}};

MetadataState rescued(const MetadataState& known) {
  auto state = rescued_state(known, {.node = NodeId(3),
                                     .cluster = k_next_cluster,
                                     .last_known = Index(known.applied.value + 2),
                                     .decided = WallTime{5}});
  EXPECT_TRUE(state.has_value());
  return *state;
}

RC_GTEST_PROP(RescuedStateProperty, nothing_that_a_forgotten_entry_may_have_given_is_given_again,
              ()) {
  MetadataTable known(cluster_id());
  CommandGenerator generator(Prng(*rc::gen::arbitrary<uint64_t>()), 4);
  const auto steps = *rc::gen::inRange<uint64_t>(1, 80);
  for (uint64_t i = 1; i <= steps; ++i) (void)known.apply(Index(i), generator.next(known));
  if (!known.check_feature_level()) return;
  // What the lost ones went on to decide.
  MetadataTable lost = *MetadataTable::restore(known.state());
  for (uint64_t i = steps + 1; i <= steps + 60; ++i)
    (void)lost.apply(Index(i), generator.next(lost));

  const MetadataState state = rescued(known.state());
  const auto table = MetadataTable::restore(state);
  RC_ASSERT(table.has_value());
  RC_ASSERT(state.cluster == k_next_cluster);
  RC_ASSERT(state.applied > lost.applied());
  RC_ASSERT(state.next_stream > lost.state().next_stream);
  RC_ASSERT(state.next_assignment > lost.state().next_assignment);
  RC_ASSERT(state.next_producer > lost.state().next_producer);
  RC_ASSERT(latest_event(state.events) > latest_event(lost.state().events));
  for (const auto& [id, stream] : state.streams) {
    for (const PartitionEntry& p : stream.partitions) {
      const PartitionEntry* other = lost.partition(p.id);
      RC_ASSERT(!p.leader);
      if (other != nullptr) RC_ASSERT(p.epoch > other->epoch && p.version > other->version);
      RC_ASSERT(p.isr == known.partition(p.id)->isr);
    }
  }
  for (const auto& [node, broker] : state.brokers) {
    RC_ASSERT(broker.fenced);
    RC_ASSERT(broker.incarnation == known.broker(node)->incarnation);
  }
}

TEST(RescuedState, it_is_told_as_an_event_and_what_it_forgot_is_remembered_as_forgotten) {
  MetadataTable known(cluster_id());
  ASSERT_TRUE(known.apply(Index(1), SetSetting{"session_timeout", "2s"}).outcome.has_value());
  const MetadataState state = rescued(known.state());
  const Event& event = state.events.kept.back();
  EXPECT_EQ(event.kind, EventKind::rescued);
  EXPECT_EQ(event.node, NodeId(3));
  EXPECT_EQ(event.number, 3u);
  EXPECT_EQ(event.name, cluster_id().to_string());
  EXPECT_EQ(event.detail, k_next_cluster.to_string());
  EXPECT_FALSE(state.forgotten(Index(3)));
  EXPECT_TRUE(state.forgotten(Index(4)));
  EXPECT_FALSE(state.forgotten(state.applied));
  EXPECT_FALSE(state.forgotten(state.applied.next()));
}

TEST(RescuedState, a_broker_leads_again_once_it_is_back) {
  MetadataTable known(cluster_id());
  RegisterBroker r;
  r.node = NodeId(3);
  r.storage = storage_id(3);
  r.incarnation = Incarnation(1);
  ASSERT_TRUE(known.apply(Index(1), r).outcome.has_value());
  ASSERT_TRUE(known.apply(Index(2), UnfenceBroker{NodeId(3), Incarnation(1)}).outcome.has_value());
  const auto made =
      known.apply(Index(3), CreateStream{stream_config("s"), Uuid{{1, 2}}, WallTime{}});
  const PartitionId id{std::get<CreateStreamOutcome>(*made.outcome).stream, {}};
  const Epoch before = known.partition(id)->epoch;

  MetadataTable table = *MetadataTable::restore(rescued(known.state()));
  r.replaces = Incarnation(1);
  r.incarnation = Incarnation(2);
  const Index at = table.applied();
  ASSERT_TRUE(table.apply(Index(at.value + 1), r).outcome.has_value());
  ASSERT_TRUE(table.apply(Index(at.value + 2), UnfenceBroker{NodeId(3), Incarnation(2)})
                  .outcome.has_value());
  EXPECT_EQ(table.partition(id)->leader, NodeId(3));
  EXPECT_GT(table.partition(id)->epoch, before);
  table.check_invariants();
}

TEST(RescuedState, a_cluster_is_not_rescued_more_often_than_is_remembered) {
  MetadataState state = MetadataTable(cluster_id()).state();
  for (size_t i = 0; i < k_rescues_max; ++i) state = rescued(state);
  const auto refused = rescued_state(
      state,
      {.node = NodeId(1), .cluster = cluster_id(), .last_known = state.applied, .decided = {}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::too_large);
}

}  // namespace
}  // namespace bascule::controller

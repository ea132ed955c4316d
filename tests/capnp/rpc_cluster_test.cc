// The cluster over RPC: how old answers may be, decisions, events, producer ids.
#include <gtest/gtest.h>

#include "tests/capnp/rpc_world.h"

namespace bascule::rpc {
namespace {

using broker::ClusterStatus;
using broker::EventsPage;
using model::Event;
using model::EventKind;
using model::EventPosition;

TEST(RpcCluster, the_age_that_an_answer_may_have_arrives_and_the_one_that_it_has_comes_back) {
  RpcWorld world;
  const std::vector<Duration> ages{Duration{}, milliseconds(1500), Duration::max()};
  for (const Duration age : ages) {
    const auto got = world.wait<broker::StreamList>(
        [&](auto done) { world.client().list_streams(age, std::move(done)); });
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(got->as_of, world.api().as_of);
  }
  EXPECT_EQ(world.api().max_ages, ages);
  world.api().as_of.age.reset();
  world.api().cluster.as_of = world.api().as_of;
  const auto status = world.wait<ClusterStatus>(
      [&](auto done) { world.client().cluster_status(seconds(2), std::move(done)); });
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->as_of, world.api().as_of);
  EXPECT_EQ(world.api().max_ages.back(), seconds(2));
}

TEST(RpcCluster, a_status_comes_back_whole) {
  RpcWorld world;
  ClusterStatus& sent = world.api().cluster;
  sent.cluster = Uuid{{1, 2}};
  sent.answered_by = NodeId(1);
  sent.controller = NodeId(2);
  sent.term = Term(7);
  sent.feature_level = 3;
  sent.partitions = 10;
  sent.partitions_offline = 1;
  sent.problems = {"something is wrong"};
  sent.settings = {{"session_timeout", "3s", true}, {"default_replicas", "2", false}};
  sent.as_of = {Index(99), seconds(1)};
  broker::MemberStatus member;
  member.node = NodeId(2);
  member.storage = Uuid{{3, 4}};
  member.role = broker::MemberRole::voter;
  member.state = broker::BrokerState::up;
  member.reachable = true;
  member.behind = 5;
  member.incarnation = Incarnation(6);
  member.host = "rack";
  member.peers = "a:1";
  member.rpc = "a:2";
  member.feature_least = 1;
  member.feature_most = 4;
  member.oldest_unsynced = milliseconds(1300);
  sent.members = {member};
  const auto got =
      world.wait<ClusterStatus>([&](auto done) { world.client().cluster_status(std::move(done)); });
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(*got, sent);
}

TEST(RpcCluster, every_decision_arrives_as_it_was_made) {
  RpcWorld world;
  for (const broker::ClusterDecision& decision :
       {broker::ClusterDecision(broker::FinalizeFeatureLevel{7}),
        broker::ClusterDecision(broker::SetSetting{"session_timeout", "2s"}),
        broker::ClusterDecision(broker::DeclareStorageLost{Uuid{{8, 9}}})}) {
    ASSERT_TRUE(world.wait<void>(
        [&](auto done) { world.client().decide_cluster(decision, std::move(done)); }));
  }
  const auto& got = world.api().decisions;
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(std::get<broker::FinalizeFeatureLevel>(got[0]).level, 7u);
  EXPECT_EQ(std::get<broker::SetSetting>(got[1]).name, "session_timeout");
  EXPECT_EQ(std::get<broker::SetSetting>(got[1]).value, "2s");
  EXPECT_EQ(std::get<broker::DeclareStorageLost>(got[2]).storage, (Uuid{{8, 9}}));
}

TEST(RpcCluster, events_and_where_they_are_asked_from_cross_the_wire_whole) {
  RpcWorld world;
  EventsPage& sent = world.api().events;
  sent.events = {{.position = {Index(3), 1},
                  .kind = EventKind::isr_changed,
                  .node = NodeId(2),
                  .incarnation = Incarnation(4),
                  .partition = {StreamId(5), PartitionIndex(6)},
                  .epoch = Epoch(7),
                  .number = 8,
                  .nodes = {NodeId(1), NodeId(2)},
                  .name = "name",
                  .detail = "detail"},
                 {.position = {Index(3), 2}, .kind = EventKind::stream_deleted}};
  sent.next = {Index(3), 2};
  const auto read = [&](broker::EventsStart from) {
    return world.wait<EventsPage>([&](auto done) {
      world.client().read_events(from, {.max = 12, .max_age = seconds(3), .wait = seconds(4)},
                                 std::move(done));
    });
  };
  auto got = read(EventPosition{Index(2), 9});
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->events, sent.events);
  EXPECT_EQ(got->next, sent.next);
  EXPECT_FALSE(got->lost.has_value());
  const broker::ReadEvents& asked = *world.api().last_read_events;
  EXPECT_EQ(std::get<EventPosition>(asked.from), (EventPosition{Index(2), 9}));
  EXPECT_EQ(asked.max, 12u);
  EXPECT_EQ(asked.max_age, seconds(3));

  sent = {};
  sent.next = {Index(70), 5};
  sent.lost = broker::EventsLost{{Index(70), 5}, EventPosition{Index(71), 1}};
  got = read(broker::EventsFromKept{});
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->lost, sent.lost);
  EXPECT_TRUE(std::holds_alternative<broker::EventsFromKept>(world.api().last_read_events->from));
  sent.lost->first_kept.reset();
  got = read(broker::EventsFromNow{});
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->lost, sent.lost);
  EXPECT_TRUE(std::holds_alternative<broker::EventsFromNow>(world.api().last_read_events->from));
}

TEST(RpcCluster, producer_ids_come_from_the_broker) {
  RpcWorld world;
  for (const uint64_t expected : {1, 2, 3}) {
    const auto id = world.wait<ProducerId>(
        [&](auto done) { world.client().allocate_producer(std::move(done)); });
    ASSERT_TRUE(id.has_value());
    EXPECT_EQ(*id, ProducerId(expected));
  }
}

}  // namespace
}  // namespace bascule::rpc

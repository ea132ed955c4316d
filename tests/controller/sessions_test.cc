#include "src/controller/sessions.h"

#include <gtest/gtest.h>

#include "tests/controller/table_cluster.h"

namespace bascule::controller {
namespace {

MonotonicTime at(int64_t ms) { return MonotonicTime{} + seconds(1000) + milliseconds(ms); }

// Three brokers that are up, and a controller that begins to lead at 0.
struct World {
  Cluster c;
  Sessions sessions{at(0)};

  World() {
    for (uint32_t n : {1, 2, 3}) c.start(n);
  }
  void beat(uint32_t node, int64_t ms, Duration unsynced = {}, bool ready = true) {
    sessions.heartbeat({NodeId(node), c.recorded(node), ready, unsynced}, at(ms));
  }
  SessionActions tick(int64_t ms) { return sessions.tick(at(ms), c.table); }
};

std::vector<uint32_t> fenced(const SessionActions& actions) {
  std::vector<uint32_t> out;
  for (const BrokerLife& life : actions.fence.brokers) out.push_back(life.node.value);
  return out;
}

TEST(Sessions, a_new_controller_fences_none_before_a_full_session_timeout_after_it_began) {
  World w;
  EXPECT_TRUE(fenced(w.tick(0)).empty());
  EXPECT_TRUE(fenced(w.tick(2999)).empty());
  EXPECT_EQ(w.sessions.next_deadline(w.c.table), at(3000));
  EXPECT_EQ(fenced(w.tick(3000)), (std::vector<uint32_t>{1, 2, 3}));
}

TEST(Sessions, rule_14_one_command_fences_all_whose_sessions_are_over) {
  World w;
  w.beat(2, 1000);
  w.beat(1, 100);
  EXPECT_EQ(fenced(w.tick(3500)), (std::vector<uint32_t>{1, 3}));
  w.c.must(w.tick(3500).fence);
  EXPECT_TRUE(fenced(w.tick(3500)).empty()) << "it was applied";
  EXPECT_EQ(fenced(w.tick(4000)), (std::vector<uint32_t>{2}));
}

TEST(Sessions, a_process_that_is_proven_dead_is_fenced_at_once_also_by_a_new_controller) {
  World w;
  w.sessions.process_gone(NodeId(2), w.c.recorded(2), at(5));
  EXPECT_EQ(fenced(w.tick(5)), (std::vector<uint32_t>{2}));
  EXPECT_LE(w.sessions.next_deadline(w.c.table), at(5));
  w.beat(2, 6);  // it was not dead
  EXPECT_TRUE(fenced(w.tick(6)).empty());
}

TEST(Sessions, the_death_of_an_earlier_life_says_nothing_of_the_present_one) {
  World w;
  const Incarnation old = w.c.recorded(2);
  w.c.start(2);
  w.beat(2, 3);
  w.sessions.process_gone(NodeId(2), old, at(5));
  EXPECT_TRUE(fenced(w.tick(5)).empty());
  w.sessions.heartbeat({NodeId(2), old, true, {}}, at(2000));
  EXPECT_EQ(fenced(w.tick(3003)), (std::vector<uint32_t>{1, 2, 3}))
      << "a late heartbeat of the old life keeps nobody";
}

TEST(Sessions, a_fenced_broker_that_beats_in_the_same_life_is_unfenced_once_it_is_ready) {
  World w;
  w.c.fence({3});
  EXPECT_TRUE(w.tick(1).unfence.empty()) << "it has not been heard";
  w.beat(3, 10, {}, false);
  EXPECT_TRUE(w.tick(11).unfence.empty()) << "its logs are not recovered";
  w.beat(3, 20);
  const SessionActions actions = w.tick(20);
  ASSERT_EQ(actions.unfence.size(), 1u);
  EXPECT_EQ(actions.unfence[0].incarnation, w.c.recorded(3));
  w.c.must(actions.unfence[0]);
  EXPECT_TRUE(w.tick(21).unfence.empty());
  w.c.must(DeclareStorageLost{storage_id(3)});
  w.beat(3, 30);
  EXPECT_TRUE(w.tick(30).unfence.empty()) << "its storage is refused for good";
}

TEST(Sessions, a_broker_whose_oldest_write_stays_unsynced_should_resign) {
  World w;
  w.beat(1, 10, milliseconds(999));
  w.beat(2, 10, seconds(1));
  const SessionActions actions = w.tick(11);
  ASSERT_EQ(actions.resign.size(), 1u);
  EXPECT_EQ(actions.resign[0].node, NodeId(2));
  w.beat(2, 20);
  EXPECT_TRUE(w.tick(20).resign.empty());
}

TEST(Sessions, the_timeout_is_the_clusters_setting) {
  World w;
  w.c.must(SetSetting{"session_timeout", "500ms"});
  EXPECT_TRUE(fenced(w.tick(499)).empty());
  EXPECT_EQ(fenced(w.tick(500)).size(), 3u);
}

TEST(ControllerContact, a_leader_without_contact_for_a_session_timeout_leads_no_more) {
  ControllerContact contact(at(0));
  contact.confirmed(at(100));
  contact.confirmed(at(50));  // an answer that came late
  EXPECT_TRUE(contact.may_lead(at(3099), seconds(3)));
  EXPECT_FALSE(contact.may_lead(at(3100), seconds(3)));
  EXPECT_EQ(contact.over_at(seconds(3)), at(3100));
}

}  // namespace
}  // namespace bascule::controller

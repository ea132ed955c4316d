#include <gtest/gtest.h>

#include "tests/raft/raft_group.h"

namespace bascule::raft {
namespace {

TEST(raft_election, a_lone_voter_leads_and_commits_without_waiting_for_more_than_its_disk) {
  Group group({1});
  EXPECT_LE(group[1].deadline(), group.now());
  group.tick(1);
  EXPECT_EQ(group[1].role(), Role::candidate);  // the vote for itself is not durable
  group.complete_writes(1);
  EXPECT_EQ(group[1].role(), Role::leader);
  EXPECT_TRUE(group[1].leads_for_sure());
  ASSERT_TRUE(group.propose(1, "a"));
  group.complete_writes(1);
  EXPECT_EQ(group.peer(1).state, (std::vector<std::string>{"a"}));
}

TEST(raft_election, three_voters_elect_one_and_replicate) {
  Group group({1, 2, 3});
  group.run(milliseconds(500));
  const uint32_t leader = group.leader();
  ASSERT_NE(leader, 0u);
  ASSERT_TRUE(group.propose(leader, "a"));
  group.run(milliseconds(50));
  for (const uint32_t node : group.nodes()) {
    EXPECT_EQ(group.peer(node).state, (std::vector<std::string>{"a"}));
    EXPECT_EQ(group[node].leader(), member_id(leader));
  }
}

TEST(raft_election, another_leads_when_the_leader_is_killed) {
  Group group({1, 2, 3});
  group.elect(1);
  ASSERT_TRUE(group.propose(1, "a"));
  group.settle();
  group.crash(1);
  group.run(milliseconds(400));
  ASSERT_NE(group.leader(), 0u);
  EXPECT_EQ(group.peer(group.leader()).state, (std::vector<std::string>{"a"}));
  group.restart(1);
  group.run(milliseconds(100));
  EXPECT_EQ(group.peer(1).state, (std::vector<std::string>{"a"}));
}

}  // namespace
}  // namespace bascule::raft

// Streams with several replicas on real processes: acknowledged means on a majority's disks, and a dead
// leader takes nothing with it.
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <thread>

#include "tests/process/cluster_processes.h"

namespace bascule::process_test {
namespace {

bool create(ClusterProcesses& cluster, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"stream",   "create",     "orders", "--subject",
                                     "orders.>", "--replicas", "3"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const CommandResult made = cluster.command(arguments);
  EXPECT_EQ(made.exit_status, 0) << made.error << cluster.errors();
  return made.exit_status == 0;
}

// Publishes lines, each acknowledged by all in-sync replicas.
CommandResult publish(ClusterProcesses& cluster, int first, int count) {
  std::string lines;
  for (int i = first; i < first + count; ++i) lines += "message-" + std::to_string(i) + "\n";
  return cluster.command({"pub", "orders", "--ack", "all", "--subject", "orders.new"}, lines);
}

std::multiset<std::string> read_all(ClusterProcesses& cluster) {
  const CommandResult read =
      cluster.command({"sub", "orders", "--from", "earliest", "--until", "latest"});
  EXPECT_EQ(read.exit_status, 0) << read.error << cluster.errors();
  std::multiset<std::string> out;
  size_t at = 0;
  while ((at = read.out.find("message-", at)) != std::string::npos) {
    size_t end = at;
    while (end < read.out.size() && read.out[end] > ' ' && read.out[end] != '"') ++end;
    out.insert(read.out.substr(at, end - at));
    at = end;
  }
  return out;
}

nlohmann::json partition_of(ClusterProcesses& cluster) {
  const CommandResult info = cluster.command({"stream", "info", "orders", "--json"});
  EXPECT_EQ(info.exit_status, 0) << info.error;
  if (info.exit_status != 0) return {};
  return nlohmann::json::parse(info.out)["partitions"][0];
}

// Until `size` replicas are in sync; false: not within twenty seconds.
bool in_sync(ClusterProcesses& cluster, size_t size) {
  for (int i = 0; i < 200; ++i) {
    const auto partition = partition_of(cluster);
    if (partition.is_object() && partition["isr"].size() == size) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

TEST(Replication, a_dead_leader_takes_nothing_with_it) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  ASSERT_TRUE(create(cluster));
  ASSERT_EQ(publish(cluster, 0, 500).exit_status, 0) << cluster.errors();
  for (int round = 0; round < 3; ++round) {
    const auto leader = partition_of(cluster)["leader"].get<uint32_t>();
    cluster.node(leader).kill9();
    const CommandResult more = publish(cluster, 500 + 100 * round, 100);
    EXPECT_EQ(more.exit_status, 0) << more.error << cluster.errors();
    const std::multiset<std::string> all = read_all(cluster);
    for (int i = 0; i < 600 + 100 * round; ++i)
      ASSERT_GE(all.count("message-" + std::to_string(i)), 1U) << i << " in round " << round;
    ASSERT_TRUE(cluster.node(leader).start()) << cluster.errors();
    ASSERT_TRUE(in_sync(cluster, 3)) << partition_of(cluster).dump() << cluster.errors();
  }
}

TEST(Replication, below_min_isr_publishes_are_refused_at_once_and_go_on_when_a_second_is_back) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  ASSERT_TRUE(create(cluster, {"--min-isr", "3"}));
  ASSERT_EQ(publish(cluster, 0, 50).exit_status, 0) << cluster.errors();
  const auto leader = partition_of(cluster)["leader"].get<uint32_t>();
  const uint32_t follower = leader % 3 + 1;
  cluster.node(follower).kill9();
  ASSERT_TRUE(in_sync(cluster, 2)) << partition_of(cluster).dump() << cluster.errors();
  const CommandResult refused = cluster.command(
      {"pub", "orders", "--ack", "all", "--subject", "orders.new", "--timeout", "1s"},
      "message-50\n");
  EXPECT_NE(refused.exit_status, 0);
  EXPECT_NE(refused.error.find("not_enough_replicas"), std::string::npos) << refused.error;
  ASSERT_TRUE(cluster.node(follower).start()) << cluster.errors();
  ASSERT_TRUE(in_sync(cluster, 3)) << cluster.errors();
  EXPECT_EQ(publish(cluster, 51, 50).exit_status, 0) << cluster.errors();
  EXPECT_GE(read_all(cluster).size(), 100U);
}

TEST(Replication, all_killed_at_once_lose_nothing_that_was_acknowledged) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  ASSERT_TRUE(create(cluster));
  ASSERT_EQ(publish(cluster, 0, 300).exit_status, 0) << cluster.errors();
  for (uint32_t n = 1; n <= 3; ++n) cluster.node(n).kill9();
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  ASSERT_TRUE(in_sync(cluster, 3)) << partition_of(cluster).dump() << cluster.errors();
  EXPECT_EQ(read_all(cluster).size(), 300U) << cluster.errors();
  EXPECT_EQ(publish(cluster, 300, 10).exit_status, 0) << cluster.errors();
}

}  // namespace
}  // namespace bascule::process_test

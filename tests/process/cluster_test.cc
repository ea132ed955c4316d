// A cluster of real processes: founded, one after the other killed, all killed, grown, shrunk.
#include <gtest/gtest.h>

#include <string>

#include "tests/process/cluster_processes.h"

namespace bascule::process_test {
namespace {

bool create(ClusterProcesses& cluster, const std::string& name) {
  const CommandResult made = cluster.command({"stream", "create", name, "--subject", name + ".>"});
  EXPECT_EQ(made.exit_status, 0) << made.error << cluster.errors();
  return made.exit_status == 0;
}

size_t streams(ClusterProcesses& cluster) {
  const CommandResult listed = cluster.command({"stream", "ls", "--json"});
  EXPECT_EQ(listed.exit_status, 0) << listed.error;
  return static_cast<size_t>(std::count(listed.out.begin(), listed.out.end(), '\n'));
}

TEST(Cluster, three_found_it_and_any_one_may_die) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  const auto status = cluster.healthy_status();
  EXPECT_TRUE(status["healthy"]) << status.dump() << cluster.errors();
  EXPECT_EQ(status["members"].size(), 3U);
  ASSERT_TRUE(create(cluster, "before"));
  for (uint32_t n = 1; n <= 3; ++n) {
    cluster.node(n).kill9();
    ASSERT_TRUE(create(cluster, "without" + std::to_string(n))) << "node " << n << " is down";
    ASSERT_TRUE(cluster.node(n).start()) << cluster.errors();
    EXPECT_TRUE(cluster.healthy_status()["healthy"]) << cluster.errors();
  }
  EXPECT_EQ(streams(cluster), 4U);
}

TEST(Cluster, all_killed_at_once_lose_nothing_of_the_metadata) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(create(cluster, "s" + std::to_string(i)));
  for (uint32_t n = 1; n <= 3; ++n) cluster.node(n).kill9();
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  EXPECT_TRUE(cluster.healthy_status()["healthy"]) << cluster.errors();
  EXPECT_EQ(streams(cluster), 5U);
}

TEST(Cluster, a_minority_changes_nothing_and_says_so) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  cluster.node(2).kill9();
  cluster.node(3).kill9();
  const CommandResult made =
      cluster.command({"stream", "create", "s", "--subject", "s.>", "--timeout", "3s"});
  EXPECT_NE(made.exit_status, 0);
  const CommandResult status = cluster.command({"cluster", "status"});
  EXPECT_EQ(status.exit_status, 10) << status.out << status.error;
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  EXPECT_TRUE(cluster.healthy_status()["healthy"]) << cluster.errors();
}

TEST(Cluster, it_grows_and_a_dead_member_is_replaced) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  ASSERT_TRUE(cluster.add_joining().start()) << cluster.errors();
  cluster.node(2).kill9();
  const CommandResult added = cluster.command({"cluster", "add", "4", "--replace", "2"});
  ASSERT_EQ(added.exit_status, 0) << added.error << cluster.errors();
  const CommandResult removed = cluster.command({"cluster", "remove", "2", "--force"});
  EXPECT_EQ(removed.exit_status, 0) << removed.error;
  const auto status = cluster.healthy_status();
  EXPECT_TRUE(status["healthy"]) << status.dump() << cluster.errors();
  // The new one decides with the two that are left.
  cluster.node(1).kill9();
  EXPECT_TRUE(create(cluster, "after"));
}

TEST(Cluster, who_has_another_secret_is_refused_by_both_sides) {
  TemporaryDirectory secrets;
  const std::string good = secrets.path() + "/good";
  const std::string bad = secrets.path() + "/bad";
  for (const auto& [file, text] :
       {std::pair(good, "correct horse battery"), {bad, "wrong horse battery!"}}) {
    FILE* out = fopen(file.c_str(), "w");
    fputs(text, out);
    fclose(out);
  }
  ClusterProcesses cluster(1, {"--cluster-secret", "@" + good});
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  const auto stranger = joining_broker(secrets.path() + "/stranger", 2, cluster.peers(1),
                                       {"--cluster-secret", "@" + bad});
  ASSERT_TRUE(stranger->begin());
  EXPECT_TRUE(stranger->says("wrong_secret")) << stranger->error();
  EXPECT_TRUE(cluster.node(1).says("wrong_secret")) << cluster.node(1).error();
}

}  // namespace
}  // namespace bascule::process_test

// A majority of the controllers is destroyed; one survivor is rescued, and the cluster grows again.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/process/cluster_processes.h"

namespace bascule::process_test {
namespace {

using Json = nlohmann::json;

// Streams of one partition until `node` leads one of them: its name.
std::string stream_on(ClusterProcesses& cluster, uint32_t node) {
  for (int i = 0; i < 10; ++i) {
    const std::string name = "s" + std::to_string(i);
    const CommandResult made =
        cluster.command({"stream", "create", name, "--subject", name + ".>", "--json"});
    EXPECT_EQ(made.exit_status, 0) << made.error;
    if (made.exit_status != 0) break;
    if (Json::parse(made.out)["partitions"][0]["leader"] == node) return name;
  }
  ADD_FAILURE() << "node " << node << " leads nothing";
  return {};
}

std::string values(ClusterProcesses& cluster, const std::string& stream) {
  const CommandResult read =
      cluster.command({"sub", stream, "--from", "earliest", "--until", "latest"});
  EXPECT_EQ(read.exit_status, 0) << read.error;
  return read.out;
}

// Waits until somebody listens at 127.0.0.1:PORT.
bool listens(const std::string& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int tries = 0; tries < 100; ++tries) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    close(fd);
    if (connected) return true;
    usleep(100'000);
  }
  return false;
}

// Until the broker has caught up, the answer is `not_yet`, which the command waits for.
void add_voter(ClusterProcesses& cluster, uint32_t node) {
  const CommandResult added = cluster.command({"cluster", "add", std::to_string(node)});
  ASSERT_EQ(added.exit_status, 0) << added.error << cluster.errors();
}

TEST(Rescue, two_of_three_are_destroyed_and_the_third_goes_on_with_its_streams_and_grows_again) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  const std::string cluster_before = cluster.healthy_status()["cluster"];
  const std::string stream = stream_on(cluster, 3);
  ASSERT_EQ(cluster.command({"pub", stream, "--subject", stream + ".x"}, "one\ntwo\n").exit_status,
            0);
  const std::string data = cluster.data(3);
  EXPECT_EQ(run_bascule({"rescue", data}).exit_status, 1) << "its broker runs";
  cluster.node(1).kill9();
  cluster.node(2).kill9();
  const CommandResult advice = cluster.node(3).command({"cluster", "status"});
  EXPECT_EQ(advice.exit_status, 10);
  EXPECT_NE(advice.out.find("bascule rescue"), std::string::npos) << advice.out;
  cluster.node(3).kill9();

  const CommandResult shown = run_bascule({"rescue", data, "--json"});
  ASSERT_EQ(shown.exit_status, 0) << shown.error;
  const Json survivor = Json::parse(shown.out);
  EXPECT_EQ(survivor["node"], 3);
  EXPECT_EQ(survivor["cluster"], cluster_before);
  EXPECT_EQ(survivor["voters"].size(), 3U);
  EXPECT_EQ(run_bascule({"rescue", data, "--lost", "1,2"}).exit_status, 2) << "not confirmed";
  const CommandResult majority = run_bascule({"rescue", data, "--lost", "1", "--accept-loss"});
  EXPECT_EQ(majority.exit_status, 1);
  EXPECT_NE(majority.error.find("there still is a majority"), std::string::npos) << majority.error;

  // One of them is there after all.
  ASSERT_TRUE(cluster.node(2).begin());
  ASSERT_TRUE(listens(cluster.peers(2))) << cluster.node(2).error();
  const CommandResult answers = run_bascule({"rescue", data, "--lost", "1,2", "--accept-loss"});
  EXPECT_EQ(answers.exit_status, 1) << answers.out;
  EXPECT_NE(answers.error.find("node 2 answers"), std::string::npos) << answers.error;
  cluster.node(2).kill9();

  const CommandResult rescued =
      run_bascule({"rescue", data, "--lost", "1,2", "--accept-loss", "--json"});
  ASSERT_EQ(rescued.exit_status, 0) << rescued.error;
  const std::string cluster_after = Json::parse(rescued.out)["cluster"];
  EXPECT_NE(cluster_after, cluster_before);
  ASSERT_TRUE(cluster.node(3).start()) << cluster.errors();
  EXPECT_EQ(values(cluster, stream), "one\ntwo\n");
  ASSERT_EQ(cluster.command({"pub", stream, "--subject", stream + ".x"}, "three\n").exit_status, 0);
  const CommandResult events = cluster.command({"events", "--json"});
  EXPECT_NE(events.out.find("\"rescued\""), std::string::npos) << events.out;

  // The destroyed ones come back with nothing, as learners, and decide again.
  for (const uint32_t n : {1U, 2U}) {
    cluster.wipe_and_join(n, 3);
    ASSERT_TRUE(cluster.node(n).start()) << cluster.errors();
    add_voter(cluster, n);
  }
  const Json status = cluster.healthy_status();
  EXPECT_EQ(status["cluster"], cluster_after);
  for (const Json& member : status["members"]) EXPECT_EQ(member["role"], "voter") << status.dump();
  cluster.node(1).kill9();
  EXPECT_EQ(cluster.command({"stream", "create", "after", "--subject", "after.>"}).exit_status, 0)
      << cluster.errors();
  EXPECT_EQ(values(cluster, stream), "one\ntwo\nthree\n");
}

TEST(Rescue,
     another_survivor_rejoins_with_its_messages_and_strangers_of_the_old_cluster_are_refused) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  ASSERT_TRUE(cluster.add_joining().start()) << cluster.errors();  // node 4 only listens
  const std::string stream = stream_on(cluster, 4);
  ASSERT_EQ(cluster.command({"pub", stream, "--subject", stream + ".x"}, "kept\n").exit_status, 0);
  for (uint32_t n = 1; n <= 4; ++n) cluster.node(n).kill9();

  ASSERT_EQ(run_bascule({"rescue", cluster.data(3), "--lost", "1,2", "--accept-loss"}).exit_status,
            0);
  ASSERT_TRUE(cluster.node(3).start()) << cluster.errors();
  // As it is, node 4 belongs to the old cluster.
  ASSERT_TRUE(cluster.node(4).begin());
  for (int tries = 0;
       tries < 100 && cluster.node(4).error().find("another cluster") == std::string::npos &&
       cluster.node(3).error().find("another cluster") == std::string::npos;
       ++tries)
    usleep(100'000);
  EXPECT_TRUE(cluster.node(4).error().find("cluster") != std::string::npos)
      << cluster.node(4).error();
  cluster.node(4).kill9();

  EXPECT_EQ(run_bascule({"rescue", cluster.data(4), "--rejoin"}).exit_status, 2) << "not confirmed";
  const CommandResult rejoin =
      run_bascule({"rescue", cluster.data(4), "--rejoin", "--accept-loss"});
  ASSERT_EQ(rejoin.exit_status, 0) << rejoin.error;
  cluster.join(4, 3);
  ASSERT_TRUE(cluster.node(4).start()) << cluster.errors();
  EXPECT_EQ(values(cluster, stream), "kept\n");
}

}  // namespace
}  // namespace bascule::process_test

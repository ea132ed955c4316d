// The activity of the metadata, followed by a client while brokers die and return; what operators decide.
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/process/cluster_processes.h"

namespace bascule::process_test {
namespace {

using Json = nlohmann::json;

std::vector<Json> parsed(const std::vector<std::string>& lines) {
  std::vector<Json> out;
  for (const std::string& line : lines) out.push_back(Json::parse(line));
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

size_t created(const std::vector<Json>& events) {
  return static_cast<size_t>(
      std::ranges::count_if(events, [](const Json& e) { return e["event"] == "stream_created"; }));
}

TEST(Events, a_follower_gets_each_change_once_and_in_order_while_brokers_die_and_return) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  const RunningCommand follower(
      {"events", "--follow", "--json", "--from", "earliest", "--server", cluster.servers()});
  size_t made = 0;
  const auto create = [&] {
    const std::string name = "s" + std::to_string(made);
    const CommandResult result =
        cluster.command({"stream", "create", name, "--subject", name + ".>"});
    ASSERT_EQ(result.exit_status, 0) << result.error << cluster.errors();
    ++made;
  };
  create();
  for (uint32_t n = 1; n <= 3; ++n) {
    cluster.node(n).kill9();
    create();
    create();
    ASSERT_TRUE(cluster.node(n).start()) << cluster.errors();
    create();
  }
  EXPECT_TRUE(cluster.healthy_status()["healthy"]) << cluster.errors();
  const CommandResult kept = cluster.command({"events", "--json"});
  ASSERT_EQ(kept.exit_status, 0) << kept.error;
  const std::vector<std::string> expected = lines_of(kept.out);
  for (int tries = 0; tries < 300 && follower.lines().size() < expected.size(); ++tries)
    usleep(100'000);
  const std::vector<std::string> seen = follower.lines();
  ASSERT_GE(seen.size(), expected.size()) << follower.error();
  // Whatever happened after the list was made follows it.
  EXPECT_EQ(std::vector<std::string>(seen.begin(),
                                     seen.begin() + static_cast<ptrdiff_t>(expected.size())),
            expected);
  EXPECT_EQ(created(parsed(seen)), made);
}

TEST(Events, reading_goes_on_after_a_position_at_any_broker) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  for (const char* name : {"a", "b"}) {
    const CommandResult made =
        cluster.command({"stream", "create", name, "--subject", std::string(name) + ".>"});
    ASSERT_EQ(made.exit_status, 0) << made.error;
  }
  const std::vector<std::string> all = lines_of(cluster.node(1).command({"events", "--json"}).out);
  ASSERT_GE(all.size(), 4U);
  const std::string middle = Json::parse(all[all.size() / 2])["position"];
  for (uint32_t n = 1; n <= 3; ++n) {
    const CommandResult rest = cluster.node(n).command({"events", "--json", "--from", middle});
    EXPECT_EQ(rest.exit_status, 0) << rest.error;
    EXPECT_EQ(lines_of(rest.out),
              std::vector<std::string>(all.begin() + static_cast<ptrdiff_t>(all.size() / 2) + 1,
                                       all.end()))
        << "node " << n;
  }
  const CommandResult now = cluster.node(2).command({"events", "--json", "--from", "now"});
  EXPECT_EQ(now.exit_status, 0) << now.error;
  EXPECT_EQ(now.out, "");
}

TEST(Decisions, settings_the_level_and_lost_storages_are_decided_from_any_broker) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  const auto value = [&](uint32_t node) {
    for (const Json& s :
         parsed(lines_of(cluster.node(node).command({"cluster", "settings", "--json"}).out)))
      if (s["name"] == "session_timeout") return s["value"].get<std::string>();
    return std::string();
  };
  EXPECT_EQ(value(1), "3s");
  const CommandResult set = cluster.node(2).command({"cluster", "set", "session_timeout", "2s"});
  EXPECT_EQ(set.exit_status, 0) << set.error;
  for (uint32_t n = 1; n <= 3; ++n) EXPECT_EQ(value(n), "2s") << "node " << n;
  EXPECT_EQ(cluster.node(3).command({"cluster", "set", "session_timeout"}).exit_status, 0);
  EXPECT_EQ(value(1), "3s");
  const CommandResult wrong = cluster.node(1).command({"cluster", "set", "nonsense", "1"});
  EXPECT_EQ(wrong.exit_status, 1);
  EXPECT_NE(wrong.error.find("session_timeout"), std::string::npos) << wrong.error;

  EXPECT_EQ(cluster.node(1).command({"cluster", "finalize"}).exit_status, 0);
  const CommandResult beyond = cluster.node(1).command({"cluster", "finalize", "99"});
  EXPECT_EQ(beyond.exit_status, 1);
  EXPECT_NE(beyond.error.find("cannot work at it"), std::string::npos) << beyond.error;

  const CommandResult up = cluster.node(1).command({"cluster", "declare-lost", "3", "--force"});
  EXPECT_EQ(up.exit_status, 1) << "its broker is up";
  cluster.node(3).kill9();
  CommandResult lost;
  for (int tries = 0; tries < 100; ++tries) {
    lost = cluster.node(1).command({"cluster", "declare-lost", "3", "--force"});
    if (lost.exit_status == 0) break;
    usleep(100'000);  // until it is fenced
  }
  EXPECT_EQ(lost.exit_status, 0) << lost.error;
  EXPECT_FALSE(cluster.node(3).start()) << "its storage is refused for good";
}

TEST(Reads, a_broker_without_a_majority_answers_only_where_it_may_be_old) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  ASSERT_EQ(cluster.command({"stream", "create", "s", "--subject", "s.>"}).exit_status, 0);
  ASSERT_EQ(cluster.node(1).command({"stream", "ls"}).exit_status, 0);
  cluster.node(2).kill9();
  cluster.node(3).kill9();
  const CommandResult now = cluster.node(1).command({"stream", "ls", "--json", "--timeout", "2s"});
  EXPECT_EQ(now.exit_status, 124) << now.out << now.error;
  const CommandResult old =
      cluster.node(1).command({"stream", "ls", "--json", "--max-age", "any", "--timeout", "2s"});
  EXPECT_EQ(old.exit_status, 0) << old.error;
  EXPECT_NE(old.out.find("\"s\""), std::string::npos);
  EXPECT_NE(old.error.find("as of entry"), std::string::npos) << old.error;
  const CommandResult status = cluster.node(1).command({"cluster", "status"});
  EXPECT_EQ(status.exit_status, 10);
  EXPECT_NE(status.out.find("1 of 3 voters"), std::string::npos) << status.out;
  EXPECT_NE(status.out.find("docs/rescue.md"), std::string::npos) << status.out;
}

}  // namespace
}  // namespace bascule::process_test

// What a new user does in the first minutes, with the shipped program and a real NATS client.
#include <gtest/gtest.h>
#include <nats/nats.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/process/broker_process.h"
#include "tests/process/nats_publisher.h"

namespace bascule::process_test {
namespace {

using Json = nlohmann::json;

std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out.push_back(Json::parse(line));
  return out;
}

class Tour : public testing::Test {
 protected:
  Tour() : broker_(directory_.path() + "/data") {}

  void SetUp() override { ASSERT_TRUE(broker_.start()) << broker_.error(); }

  void create(const std::string& name, const std::string& subject,
              std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"stream", "create", name, "--subject", subject};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = broker_.command(arguments);
    ASSERT_EQ(result.exit_status, 0) << result.error;
  }

  std::vector<Json> replay(const std::string& stream, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"sub", stream, "--until", "latest", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = broker_.command(arguments);
    EXPECT_EQ(result.exit_status, 0) << result.error;
    return json_lines(result.out);
  }

  TemporaryDirectory directory_;
  BrokerProcess broker_;
};

TEST_F(Tour, what_was_published_is_replayed_in_order_also_after_kill_9) {
  create("orders", "orders.>");
  ASSERT_EQ(broker_
                .command({"pub", "orders", "first", "--subject", "orders.new", "--key", "alice",
                          "--header", "Trace:42"})
                .exit_status,
            0);
  NatsPublisher nats(broker_.nats_url());
  ASSERT_TRUE(nats.publish("orders.paid", "second", 1));
  nats.wait_for_answers(1);
  ASSERT_EQ(nats.acknowledged().at(1), 2U) << "sequence is offset + 1";
  ASSERT_EQ(
      broker_.command({"pub", "orders", "--subject", "orders.new"}, "third\nfourth\n").exit_status,
      0);

  const auto before = replay("orders", {"--from", "earliest"});
  ASSERT_EQ(before.size(), 4U);
  EXPECT_EQ(before[0]["value"], "first");
  EXPECT_EQ(before[0]["key"], "alice");
  EXPECT_EQ(before[0]["subject"], "orders.new");
  EXPECT_EQ(before[0]["headers"], Json::parse(R"([["Trace","42"]])"));
  EXPECT_EQ(before[1]["value"], "second");
  EXPECT_EQ(before[1]["subject"], "orders.paid");
  EXPECT_EQ(before[3]["value"], "fourth");
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i]["offset"], i);

  broker_.kill9();
  ASSERT_TRUE(broker_.start()) << broker_.error();
  EXPECT_EQ(replay("orders", {"--from", "earliest"}), before);
  EXPECT_EQ(broker_.terminate(), 0) << broker_.error();
  ASSERT_TRUE(broker_.start()) << broker_.error();
  EXPECT_EQ(replay("orders", {"--from", "earliest"}), before);
}

TEST_F(Tour, lines_of_a_real_log_are_replayed_byte_for_byte) {
  create("logs", "logs.>");
  std::vector<std::string> lines;
  std::ifstream log("/var/log/dpkg.log");
  for (std::string line; lines.size() < 5000 && std::getline(log, line);) lines.push_back(line);
  if (lines.empty()) {
    // A machine without that log: this file's own lines do as well.
    std::ifstream self(BASCULE_SOURCE_DIR "/tests/process/tour_test.cc");
    for (std::string line; std::getline(self, line);) lines.push_back(line);
  }
  NatsPublisher nats(broker_.nats_url());
  for (size_t i = 0; i < lines.size(); ++i) ASSERT_TRUE(nats.publish("logs.dpkg", lines[i], i));
  nats.wait_for_answers(lines.size());
  ASSERT_EQ(nats.acknowledged().size(), lines.size());
  const auto all = replay("logs", {"--from", "earliest"});
  ASSERT_EQ(all.size(), lines.size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(all[i]["value"], lines[i]);

  EXPECT_EQ(replay("logs", {"--from", "-1h"}).size(), lines.size());
  EXPECT_EQ(replay("logs", {"--from", "2000-01-01T00:00:00Z"}).size(), lines.size());
  EXPECT_TRUE(replay("logs", {"--from", "2200-01-01T00:00:00Z"}).empty());
  const auto from_time = replay("logs", {"--from", all.back()["append_time"]});
  ASSERT_FALSE(from_time.empty());
  for (const Json& record : from_time)
    EXPECT_GE(record["append_time"].get<std::string>(), all.back()["append_time"]);
  EXPECT_EQ(from_time.back(), all.back());
  EXPECT_EQ(replay("logs", {"--from", "last:3"}).size(), 3U);
  EXPECT_EQ(replay("logs", {"--from", "@7", "--count", "2"})[0]["offset"], 7);
}

TEST_F(Tour, a_requester_gets_its_responders_answer_and_the_request_is_in_the_log) {
  create("all", ">");
  natsConnection* responder = nullptr;
  natsConnection* requester = nullptr;
  natsSubscription* service = nullptr;
  ASSERT_EQ(natsConnection_ConnectTo(&responder, broker_.nats_url().c_str()), NATS_OK);
  ASSERT_EQ(natsConnection_ConnectTo(&requester, broker_.nats_url().c_str()), NATS_OK);
  const auto answer = [](natsConnection* c, natsSubscription*, natsMsg* message, void*) {
    natsConnection_PublishString(c, natsMsg_GetReply(message), "pong");
    natsMsg_Destroy(message);
  };
  ASSERT_EQ(natsConnection_Subscribe(&service, responder, "service.ping", answer, nullptr),
            NATS_OK);
  ASSERT_EQ(natsConnection_Flush(responder), NATS_OK);
  natsMsg* reply = nullptr;
  ASSERT_EQ(natsConnection_RequestString(&reply, requester, "service.ping", "ping", 20'000),
            NATS_OK);
  EXPECT_STREQ(natsMsg_GetData(reply), "pong");
  natsMsg_Destroy(reply);

  // Recording is beside the traffic: the request shows up as soon as it is durable.
  std::vector<Json> records;
  while (records.empty()) records = replay("all", {"--from", "earliest"});
  EXPECT_EQ(records[0]["subject"], "service.ping");
  EXPECT_EQ(records[0]["value"], "ping");
  EXPECT_TRUE(records[0].contains("reply"));
  for (const Json& record : records)
    EXPECT_FALSE(record["subject"].get<std::string>().starts_with("_INBOX"));
  natsSubscription_Destroy(service);
  natsConnection_Destroy(requester);
  natsConnection_Destroy(responder);
}

TEST_F(Tour, commands_tell_what_is_wrong_by_their_exit_status) {
  EXPECT_EQ(broker_.command({"stream", "info", "nothing"}).exit_status, 1);
  EXPECT_EQ(broker_.command({"sub", "nothing", "--until", "latest"}).exit_status, 1);
  EXPECT_EQ(broker_.command({"stream", "create", "bad name", "--subject", "a"}).exit_status, 1);
  EXPECT_EQ(broker_.command({"sub", "x", "--from", "yesterday"}).exit_status, 2);
  EXPECT_EQ(run_bascule({"no-such-command"}).exit_status, 2);
  EXPECT_EQ(run_bascule({"version"}).exit_status, 0);
  create("twice", "twice");
  EXPECT_EQ(broker_.command({"stream", "create", "twice", "--subject", "other"}).exit_status, 1);
  EXPECT_EQ(broker_.command({"stream", "rm", "twice", "--force"}).exit_status, 0);
  EXPECT_EQ(broker_.command({"stream", "rm", "twice", "--force"}).exit_status, 1);
}

TEST_F(Tour, a_stopped_brokers_logs_can_be_verified_offline) {
  create("orders", "orders");
  ASSERT_EQ(broker_.command({"pub", "orders"}, "a\nb\nc\n").exit_status, 0);
  ASSERT_EQ(broker_.terminate(), 0) << broker_.error();
  const std::string logs = directory_.path() + "/data/logs";
  const CommandResult verified = run_bascule({"log", "verify", logs});
  EXPECT_EQ(verified.exit_status, 0) << verified.out << verified.error;
  const CommandResult dumped = run_bascule({"log", "dump", logs});
  EXPECT_EQ(dumped.exit_status, 0) << dumped.error;
  EXPECT_NE(dumped.out.find("orders"), std::string::npos);
}

TEST(serve, refuses_to_listen_beyond_loopback_without_authentication) {
  const TemporaryDirectory directory;
  const CommandResult refused =
      run_bascule({"serve", "--data", directory.path() + "/d", "--rpc", "0.0.0.0:0"});
  EXPECT_EQ(refused.exit_status, 2);
  EXPECT_NE(refused.error.find("insecure_bind"), std::string::npos);
}

TEST(serve, refuses_a_second_broker_on_one_data_directory) {
  const TemporaryDirectory directory;
  BrokerProcess first(directory.path() + "/data");
  ASSERT_TRUE(first.start()) << first.error();
  BrokerProcess second(directory.path() + "/data");
  EXPECT_FALSE(second.start());
}

}  // namespace
}  // namespace bascule::process_test

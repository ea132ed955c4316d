// The embedded server, told the protocol by hand in a simulated world.
#include "src/nats/server.h"

#include <gtest/gtest.h>

#include "src/nats/json.h"
#include "tests/nats/nats_world.h"

namespace bascule::nats {
namespace {

std::string member(std::string_view info, std::string_view name) {
  std::vector<JsonMember> members;
  EXPECT_TRUE(parse_json_object(info.substr(5), members)) << info;
  for (const JsonMember& m : members) {
    if (m.name == name)
      return m.kind == JsonMember::Kind::boolean ? (m.boolean ? "true" : "false") : m.text;
  }
  return "";
}

TEST(nats_server, greets_with_info_that_clients_build_on) {
  NatsWorld world;
  Client client(world);
  ASSERT_TRUE(client.info.starts_with("INFO {"));
  EXPECT_EQ(member(client.info, "headers"), "true");
  EXPECT_EQ(member(client.info, "max_payload"), "1048576");
  EXPECT_EQ(member(client.info, "proto"), "1");
  EXPECT_EQ(member(client.info, "version"), "2.9.0-bascule");
  EXPECT_EQ(member(client.info, "port"), "4222");
  EXPECT_EQ(member(client.info, "client_ip"), "client");
  EXPECT_EQ(member(client.info, "server_id").size(), 56u);
  EXPECT_EQ(member(client.info, "auth_required"), "");
}

TEST(nats_server, delivers_to_plain_wildcard_and_own_subscriptions) {
  NatsWorld world;
  auto a = Client::connected(world);
  auto b = Client::connected(world);
  a->say("SUB orders.* 1\r\nSUB > 2\r\n");
  a->sync();
  b->say("SUB orders.eu 9\r\nPUB orders.eu reply.to 5\r\nhello\r\n");
  EXPECT_EQ(b->sync(), "MSG orders.eu 9 reply.to 5\r\nhello\r\n");
  EXPECT_TRUE(a->expect("MSG orders.eu 1 reply.to 5\r\nhello\r\n"));
  EXPECT_TRUE(a->expect("MSG orders.eu 2 reply.to 5\r\nhello\r\n"));
}

TEST(nats_server, verbose_clients_get_ok_and_are_so_before_connect) {
  NatsWorld world;
  Client client(world);
  client.say("SUB a 1\r\nPUB b 2\r\nhi\r\nUNSUB 1\r\nCONNECT {\"verbose\":true}\r\n");
  EXPECT_EQ(client.sync(), "+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
  client.say("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
  EXPECT_EQ(client.sync(), "");
}

TEST(nats_server, echo_false_keeps_own_messages_away) {
  NatsWorld world;
  auto client = Client::connected(world, ",\"echo\":false");
  auto other = Client::connected(world);
  other->say("SUB a 1\r\n");
  other->sync();
  client->say("SUB a 1\r\nPUB a 1\r\nx\r\n");
  EXPECT_EQ(client->sync(), "");
  EXPECT_TRUE(other->expect("MSG a 1 1\r\nx\r\n"));
}

TEST(nats_server, headers_reach_who_wants_them_and_are_left_out_for_others) {
  NatsWorld world;
  auto modern = Client::connected(world);
  Client old(world);
  old.say("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
  old.sync();
  modern->say("SUB a 1\r\nHPUB a 18 20\r\nNATS/1.0\r\nA: 1\r\n\r\nhi\r\n");
  EXPECT_EQ(modern->sync(), "HMSG a 1 18 20\r\nNATS/1.0\r\nA: 1\r\n\r\nhi\r\n");
  EXPECT_TRUE(old.expect("MSG a 1 2\r\nhi\r\n"));
  old.say("HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n");
  EXPECT_TRUE(old.expect("-ERR 'message headers not supported'\r\n"));
  EXPECT_TRUE(old.expect_closed());
}

TEST(nats_server, one_member_of_a_queue_group_gets_each_message) {
  NatsWorld world;
  auto a = Client::connected(world);
  auto b = Client::connected(world);
  auto publisher = Client::connected(world);
  a->say("SUB work g 1\r\n");
  a->sync();
  b->say("SUB work.> g 2\r\nSUB work g 3\r\n");
  b->sync();
  for (int i = 0; i < 300; ++i) publisher->say("PUB work 1\r\nx\r\n");
  publisher->sync();
  world.run(milliseconds(50));
  const auto count = [](const std::string& text, const std::string& what) {
    size_t n = 0;
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++n;
    return n;
  };
  const size_t to_a = count(a->received, "MSG work 1 ");
  const size_t to_b = count(b->received, "MSG work 3 ");
  EXPECT_EQ(to_a + to_b, 300u);
  EXPECT_GT(to_a, 100u);
  EXPECT_GT(to_b, 100u);
}

TEST(nats_server, unsub_ends_at_once_or_after_its_maximum) {
  NatsWorld world;
  auto client = Client::connected(world);
  client->say("SUB a 1\r\nUNSUB 1 2\r\nPUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\n");
  EXPECT_EQ(client->sync(), "MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n");
  EXPECT_EQ(world.server->statistics().subscriptions, 0u);
  client->say("SUB a 2\r\nUNSUB 2\r\nUNSUB 17\r\nPUB a 1\r\n4\r\n");
  EXPECT_EQ(client->sync(), "");
}

TEST(nats_server, a_request_that_nobody_answers_gets_503_at_once) {
  NatsWorld world;
  auto client = Client::connected(world, ",\"no_responders\":true");
  client->say("SUB _INBOX.x.* 1\r\nPUB nobody _INBOX.x.1 2\r\nhi\r\n");
  EXPECT_EQ(client->sync(), "HMSG _INBOX.x.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
  auto silent = Client::connected(world);
  silent->say("SUB _INBOX.y 1\r\nPUB nobody _INBOX.y 2\r\nhi\r\n");
  EXPECT_EQ(silent->sync(), "");
}

TEST(nats_server, large_payloads_arrive_whole_at_every_subscriber) {
  NatsWorld world;
  auto client = Client::connected(world);
  std::string payload(1 << 20, '\0');
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(i * 31 >> 7);
  client->say("SUB big 1\r\nSUB big 2\r\n");
  client->say("PUB big 1048576\r\n" + payload + "\r\nPUB big 3\r\nend\r\n");
  EXPECT_EQ(client->sync(), "MSG big 1 1048576\r\n" + payload + "\r\nMSG big 2 1048576\r\n" +
                                payload + "\r\nMSG big 1 3\r\nend\r\nMSG big 2 3\r\nend\r\n");
}

TEST(nats_server, a_payload_over_the_limit_ends_the_connection) {
  NatsWorld world({.payload_max = 10});
  auto client = Client::connected(world);
  client->say("PUB a 11\r\n");
  EXPECT_TRUE(client->expect("-ERR 'Maximum Payload Violation'\r\n"));
  EXPECT_TRUE(client->expect_closed());
}

TEST(nats_server, bad_bytes_end_that_connection_only) {
  NatsWorld world;
  auto good = Client::connected(world);
  for (const auto& [bytes, error] : std::vector<std::pair<std::string, std::string>>{
           {"GET / HTTP/1.1\r\n", "Unknown Protocol Operation"},
           {"MSG a 1 0\r\n\r\n", "Unknown Protocol Operation"},
           {"CONNECT {\r\n", "Invalid JSON in CONNECT"},
           {std::string(5000, ' ').insert(0, "PUB "), "maximum control line exceeded"},
           {"CONNECT {\"no_responders\":true}\r\n", "no responders requires headers support"}}) {
    auto bad = std::make_unique<Client>(world);
    bad->say(bytes);
    EXPECT_TRUE(bad->expect("-ERR '" + error + "'\r\n")) << bytes << bad->received;
    EXPECT_TRUE(bad->expect_closed()) << bytes;
  }
  world.run(seconds(2));
  good->say("SUB a 1\r\nPUB a 0\r\n\r\n");
  EXPECT_EQ(good->sync(), "MSG a 1 0\r\n\r\n");
  EXPECT_EQ(world.server->statistics().connections, 1u);
}

TEST(nats_server, wrong_subjects_are_refused_where_nats_server_refuses_them) {
  NatsWorld world;
  auto client = Client::connected(world);
  client->say("SUB a..b 1\r\nSUB a.>.b 2\r\n");
  EXPECT_EQ(client->sync(), "-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n");
  client->say("SUB > 1\r\nPUB a.*.b 1\r\nx\r\nPUB a..b 1\r\nx\r\n");
  EXPECT_EQ(client->sync(), "");
  EXPECT_EQ(world.server->statistics().invalid_subjects, 2u);
  Client pedantic(world);
  pedantic.say("CONNECT {\"verbose\":false,\"pedantic\":true}\r\nPUB a.* 1\r\nx\r\n");
  EXPECT_EQ(pedantic.sync(), "-ERR 'Invalid Publish Subject'\r\n");
}

TEST(nats_server, a_token_is_asked_for_before_anything_else) {
  NatsWorld world({.auth_token = "s3cret"});
  Client right(world);
  EXPECT_EQ(member(right.info, "auth_required"), "true");
  right.say("CONNECT {\"verbose\":false,\"auth_token\":\"s3cret\"}\r\n");
  EXPECT_EQ(right.sync(), "");
  for (const char* bytes :
       {"CONNECT {\"auth_token\":\"s3cre\"}\r\n", "CONNECT {}\r\n", "PUB a 1\r\nx\r\n", "junk"}) {
    Client wrong(world);
    wrong.say(bytes);
    EXPECT_TRUE(wrong.expect("-ERR 'Authorization Violation'\r\n")) << bytes;
    EXPECT_TRUE(wrong.expect_closed());
  }
  Client silent(world);
  EXPECT_TRUE(silent.expect("-ERR 'Authentication Timeout'\r\n"));
  EXPECT_TRUE(silent.expect_closed());
}

TEST(nats_server, user_and_password_are_asked_for_where_configured) {
  NatsWorld world({.user = "u", .password = "p"});
  Client right(world);
  right.say("CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n");
  EXPECT_EQ(right.sync(), "");
  Client wrong(world);
  wrong.say("CONNECT {\"user\":\"u\",\"pass\":\"\"}\r\n");
  EXPECT_TRUE(wrong.expect("-ERR 'Authorization Violation'\r\n"));
}

TEST(nats_server, a_silent_client_is_pinged_and_then_stale) {
  NatsWorld world({.ping_interval = seconds(10)});
  auto alive = Client::connected(world);
  auto dead = Client::connected(world);
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(alive->expect("PING\r\n", seconds(25)));
    alive->received.clear();
    alive->say("PONG\r\n");
  }
  EXPECT_TRUE(dead->expect("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n"));
  EXPECT_TRUE(dead->expect_closed());
  EXPECT_FALSE(alive->closed);
}

TEST(nats_server, a_slow_consumer_is_cut_and_counted_and_hurts_nobody_else) {
  NatsWorld world({.pending_bytes_max = 200'000});
  auto slow = Client::connected(world);
  slow->say("SUB a 1\r\n");
  slow->sync();
  slow->stop_reading();
  world.run(milliseconds(10));
  auto other = Client::connected(world);
  auto publisher = Client::connected(world);
  other->say("SUB a 1\r\n");
  other->sync();
  const std::string message = "PUB a 20000\r\n" + std::string(20000, 'x') + "\r\n";
  for (int i = 0; i < 50; ++i) {
    publisher->say(message);
    publisher->sync();
  }
  EXPECT_EQ(world.server->statistics().slow_consumers, 1u);
  EXPECT_TRUE(world.until([&] { return other->received.size() >= 50 * 20'000; }));
  EXPECT_TRUE(world.until([&] { return world.server->statistics().connections == 2; }));
}

TEST(nats_server, a_client_that_asks_and_never_reads_is_slow_too) {
  NatsWorld world({.pending_bytes_max = 100'000});
  auto client = Client::connected(world);
  client->stop_reading();
  std::string pings;
  for (int i = 0; i < 2000; ++i) pings += "PING\r\n";
  for (int i = 0; i < 50; ++i) {
    client->say(pings);
    world.run(milliseconds(5));
  }
  EXPECT_EQ(world.server->statistics().slow_consumers, 1u);
  EXPECT_TRUE(world.until([&] { return world.server->statistics().connections == 0; }));
}

TEST(nats_server, a_thousand_subscriptions_on_one_subject_all_get_a_message) {
  NatsWorld world;
  auto client = Client::connected(world);
  std::string subs;
  for (int i = 0; i < 1000; ++i) subs += "SUB a.* " + std::to_string(i) + "\r\n";
  client->say(subs + "PUB a.b 0\r\n\r\nPUB a.b 0\r\n\r\n");
  const std::string got = client->sync();
  for (int i = 0; i < 1000; ++i) {
    const std::string one = "MSG a.b " + std::to_string(i) + " 0\r\n";
    const size_t first = got.find(one);
    ASSERT_NE(first, std::string::npos) << i;
    EXPECT_NE(got.find(one, first + 1), std::string::npos) << i;
  }
}

TEST(nats_server, connections_and_subscriptions_are_bounded) {
  NatsWorld world({.connections_max = 2, .subscriptions_max = 2});
  auto a = Client::connected(world);
  auto b = Client::connected(world);
  Client c(world);
  EXPECT_TRUE(c.expect("-ERR 'maximum connections exceeded'\r\n"));
  EXPECT_TRUE(c.expect_closed());
  a->say("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n");
  EXPECT_EQ(a->sync(), "-ERR 'maximum subscriptions exceeded'\r\n");
}

TEST(nats_server, a_client_that_goes_takes_its_subscriptions_with_it) {
  NatsWorld world;
  auto a = Client::connected(world);
  a->say("SUB services.> 1\r\nSUB services.x q 2\r\n");
  a->sync();
  EXPECT_EQ(world.server->interest_on("services.*"), 2u);
  EXPECT_EQ(world.server->interest_on("other.>"), 0u);
  model::StreamConfig config;
  config.subjects = {"services.x", "elsewhere"};
  ASSERT_EQ(world.server->creation_warnings(config).size(), 1u);
  EXPECT_TRUE(world.server->creation_warnings(config)[0].starts_with(
      "2 subscriptions match \"services.x\""));
  config.answers = model::AnswerMode::off;
  EXPECT_EQ(world.server->creation_warnings(config).size(), 0u);
  a->close();
  EXPECT_TRUE(world.until([&] { return world.server->interest_on("services.*") == 0; }));
  EXPECT_EQ(world.server->statistics().subscriptions, 0u);
}

TEST(nats_server, stop_tells_clients_and_ends_every_connection) {
  NatsWorld world;
  auto a = Client::connected(world);
  bool stopped = false;
  world.server->stop(seconds(5), [&](Status) { stopped = true; });
  EXPECT_TRUE(a->expect("\"ldm\":true"));
  EXPECT_TRUE(a->expect_closed());
  EXPECT_TRUE(world.until([&] { return stopped; }));
  EXPECT_EQ(world.server->statistics().connections, 0u);
}

TEST(nats_server, commands_split_anywhere_by_the_network_are_understood) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    NatsWorld world({}, {}, seed);
    auto client = Client::connected(world);
    std::string said = "SUB a.> 1\r\n";
    std::string expected;
    for (int i = 0; i < 300; ++i) {
      const std::string payload(static_cast<size_t>(i * 37 % 700), static_cast<char>('a' + i % 26));
      const std::string size = std::to_string(payload.size());
      said += "PUB a." + std::to_string(i) + " " + size + "\r\n" + payload + "\r\n";
      expected += "MSG a." + std::to_string(i) + " 1 " + size + "\r\n" + payload + "\r\n";
    }
    client->say(said);
    ASSERT_EQ(client->sync(), expected) << seed;
  }
}

}  // namespace
}  // namespace bascule::nats

// Recording and answers: what NATS clients publish, what is in the log, what comes back to them.
#include "src/nats/recorder.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/nats/nats_world.h"

namespace bascule::nats {
namespace {

using model::AnswerMode;

model::StreamConfig stream(std::string name, std::vector<std::string> subjects,
                           AnswerMode answers = AnswerMode::off, uint32_t partitions = 1) {
  model::StreamConfig config;
  config.name = std::move(name);
  config.subjects = std::move(subjects);
  config.answers = answers;
  config.partitions = partitions;
  return config;
}

// Runs until everything that was recorded has its outcome.
void settle(NatsWorld& world) {
  EXPECT_TRUE(world.until([&] {
    const RecorderStats stats = world.recorder->stats();
    return stats.bytes_held == 0;
  }));
  world.run(milliseconds(5));
}

uint64_t outcomes(const RecorderStats& s) { return s.recorded + s.dropped + s.refused + s.unknown; }

TEST(nats_recorder, keeps_subject_reply_headers_and_payload_with_the_wall_clock) {
  NatsWorld world;
  const StreamId id = world.broker->add_stream(stream("s", {"a.>"}));
  auto client = Client::connected(world);
  const WallTime before = world.node.wall();
  client->say("HPUB a.b back 39 41\r\nNATS/1.0\r\nKey: one\r\nKey:two\r\nempty:\r\n\r\nhi\r\n");
  client->say("PUB a.c 0\r\n\r\nPUB b 1\r\nx\r\n");
  client->sync();
  settle(world);
  const auto& log = world.broker->log(id);
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0].subject, "a.b");
  EXPECT_EQ(log[0].reply, "back");
  EXPECT_EQ(log[0].headers,
            (std::vector<model::Header>{{"Key", "one"}, {"Key", "two"}, {"empty", ""}}));
  EXPECT_EQ(log[0].value, "hi");
  EXPECT_EQ(log[0].key, std::nullopt);
  EXPECT_GE(log[0].timestamp, before);
  EXPECT_LE(log[0].timestamp, world.node.wall());
  EXPECT_EQ(log[1].subject, "a.c");
  EXPECT_EQ(log[1].value, "");
}

TEST(nats_recorder, every_stream_that_records_the_subject_gets_it_once) {
  NatsWorld world;
  const StreamId all = world.broker->add_stream(stream("all", {">"}));
  const StreamId two = world.broker->add_stream(stream("two", {"a.*", "a.>", "*.b"}));
  const StreamId none = world.broker->add_stream(stream("none", {"b.>"}));
  auto client = Client::connected(world);
  client->say("PUB a.b 1\r\nx\r\n");
  client->sync();
  settle(world);
  EXPECT_EQ(world.broker->log(all).size(), 1u);
  EXPECT_EQ(world.broker->log(two).size(), 1u);
  EXPECT_EQ(world.broker->log(none).size(), 0u);
}

TEST(nats_recorder, inboxes_and_dollar_subjects_are_recorded_only_when_named) {
  NatsWorld world;
  const StreamId all = world.broker->add_stream(stream("all", {">", "*.x"}));
  const StreamId named = world.broker->add_stream(stream("named", {"_INBOX.>", "$SYS.>"}));
  auto client = Client::connected(world);
  client->say("PUB _INBOX.x 1\r\nx\r\nPUB $SYS.x 1\r\nx\r\nPUB a.x 1\r\nx\r\n");
  client->sync();
  settle(world);
  EXPECT_EQ(world.broker->log(all).size(), 1u);
  EXPECT_EQ(world.broker->log(named).size(), 2u);
}

TEST(nats_recorder, a_subject_always_goes_to_its_partition_in_order) {
  NatsWorld world;
  const StreamId id = world.broker->add_stream(stream("s", {"a.*"}, AnswerMode::off, 4));
  auto client = Client::connected(world);
  std::string said;
  for (int i = 0; i < 400; ++i) {
    const std::string n = std::to_string(i);
    said +=
        "PUB a." + std::to_string(i % 17) + " " + std::to_string(n.size()) + "\r\n" + n + "\r\n";
  }
  client->say(said);
  client->sync();
  settle(world);
  size_t total = 0;
  std::set<uint32_t> used;
  for (uint32_t p = 0; p < 4; ++p) {
    int last[17] = {};
    for (const model::Record& record : world.broker->log(id, p)) {
      ++total;
      used.insert(p);
      EXPECT_EQ(model::partition_of_key(record.subject, 4), p);
      const int n = std::stoi(*record.value);
      EXPECT_GE(n, last[n % 17]);
      last[n % 17] = n;
    }
  }
  EXPECT_EQ(total, 400u);
  EXPECT_EQ(used.size(), 4u);
}

TEST(nats_recorder, a_batch_gathers_while_the_one_before_is_in_flight) {
  NatsWorld world;
  const StreamId id = world.broker->add_stream(stream("s", {"a"}));
  auto client = Client::connected(world);
  client->say("PUB a 1\r\n0\r\n");
  client->sync();
  world.broker->hold();
  for (int i = 0; i < 50; ++i) {
    client->say("PUB a 1\r\nx\r\n");
    client->sync();
  }
  const int before = world.broker->publishes();
  world.broker->release();
  settle(world);
  EXPECT_EQ(world.broker->log(id).size(), 51u);
  EXPECT_LE(world.broker->publishes() - before, 1);
  EXPECT_EQ(world.broker->batches_in_flight_max(), 1u);
}

TEST(nats_recorder, an_answering_stream_acks_as_jetstream_does_after_the_log_has_it) {
  NatsWorld world;
  const StreamId id =
      world.broker->add_stream(stream("ORDERS", {"orders.>"}, AnswerMode::automatic));
  auto client = Client::connected(world, ",\"no_responders\":true");
  client->say("SUB _INBOX.me.* 1\r\n");
  client->sync();
  world.broker->hold();
  client->say(
      "PUB orders.a _INBOX.me.1 1\r\nx\r\nPUB orders.a 1\r\ny\r\nPUB orders.b _INBOX.me.2 "
      "1\r\nz\r\n");
  EXPECT_EQ(client->sync(), "");  // neither an ack nor "no responders"
  world.broker->release();
  const std::string first = "{\"stream\":\"ORDERS\",\"seq\":1}";
  const std::string second = "{\"stream\":\"ORDERS\",\"seq\":3}";
  EXPECT_TRUE(client->expect("MSG _INBOX.me.1 1 27\r\n" + first + "\r\n"));
  EXPECT_TRUE(client->expect("MSG _INBOX.me.2 1 27\r\n" + second + "\r\n"));
  EXPECT_EQ(world.broker->log(id).size(), 3u);
  EXPECT_EQ(world.recorder->stats().answered, 2u);
}

TEST(nats_recorder, request_and_reply_over_a_wildcard_stream_is_untouched_and_recorded) {
  NatsWorld world;
  const StreamId id = world.broker->add_stream(stream("all", {">"}, AnswerMode::automatic));
  auto responder = Client::connected(world);
  responder->say("SUB service 1\r\n");
  responder->sync();
  auto requester = Client::connected(world, ",\"no_responders\":true");
  requester->say("SUB _INBOX.r 1\r\nPUB service _INBOX.r 3\r\nask\r\n");
  ASSERT_TRUE(responder->expect("MSG service 1 _INBOX.r 3\r\nask\r\n"));
  responder->say("PUB _INBOX.r 6\r\nanswer\r\n");
  responder->sync();
  settle(world);
  EXPECT_EQ(requester->sync(), "MSG _INBOX.r 1 6\r\nanswer\r\n");
  ASSERT_EQ(world.broker->log(id).size(), 1u);
  EXPECT_EQ(world.broker->log(id)[0].subject, "service");
  EXPECT_EQ(world.broker->log(id)[0].reply, "_INBOX.r");
}

TEST(nats_recorder, recording_without_answers_does_not_hide_that_nobody_responds) {
  NatsWorld world;
  world.broker->add_stream(stream("all", {">"}, AnswerMode::automatic));
  auto requester = Client::connected(world, ",\"no_responders\":true");
  requester->say("SUB _INBOX.r 1\r\nPUB service _INBOX.r 3\r\nask\r\n");
  EXPECT_EQ(requester->sync(), "HMSG _INBOX.r 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
  settle(world);
  EXPECT_EQ(world.recorder->stats().recorded, 1u);
}

TEST(nats_recorder, conditions_that_are_not_honoured_get_jetstreams_error_and_no_record) {
  NatsWorld world;
  const StreamId answering = world.broker->add_stream(stream("S", {"a"}, AnswerMode::on));
  const StreamId archive = world.broker->add_stream(stream("archive", {">"}, AnswerMode::off));
  auto client = Client::connected(world);
  client->say("SUB _INBOX.r 1\r\n");
  const auto publish = [&](const std::string& header) {
    const std::string block = "NATS/1.0\r\n" + header + "\r\n\r\n";
    client->say("HPUB a _INBOX.r " + std::to_string(block.size()) + " " +
                std::to_string(block.size()) + "\r\n" + block + "\r\n");
    const std::string got = client->sync();
    settle(world);
    return got + client->sync();
  };
  client->sync();
  for (const char* header : {"Nats-Msg-Id: 1", "Nats-Expected-Last-Sequence: 0",
                             "Nats-Expected-Last-Msg-Id: x", "Nats-Rollup: all"}) {
    const std::string got = publish(header);
    EXPECT_NE(got.find("{\"error\":{\"code\":400,\"err_code\":10003,\"description\":\"Nats-"),
              std::string::npos)
        << got;
  }
  EXPECT_NE(publish("Nats-Expected-Stream: OTHER").find("\"err_code\":10060"), std::string::npos);
  EXPECT_EQ(world.broker->log(answering).size(), 0u);
  EXPECT_NE(publish("Nats-Expected-Stream: S").find("{\"stream\":\"S\",\"seq\":1}"),
            std::string::npos);
  EXPECT_NE(publish("Nats-Msg-Id:").find("\"seq\":2}"), std::string::npos);
  EXPECT_EQ(world.broker->log(answering).size(), 2u);
  // Who promised nothing records all that was said.
  EXPECT_EQ(world.broker->log(archive).size(), 7u);
}

TEST(nats_recorder, a_definite_refusal_that_passes_is_sent_again_and_answered_once) {
  NatsWorld world;
  const StreamId id = world.broker->add_stream(stream("S", {"a"}, AnswerMode::on));
  world.broker->fail_next(Errc::not_leader);
  world.broker->fail_next(Errc::overloaded, 2);
  auto client = Client::connected(world);
  client->say("SUB _INBOX.r 1\r\nPUB a _INBOX.r 1\r\nx\r\n");
  EXPECT_TRUE(client->expect("{\"stream\":\"S\",\"seq\":1}\r\n"));
  EXPECT_EQ(world.broker->log(id).size(), 1u);
  EXPECT_EQ(world.broker->publishes(), 4);
  EXPECT_EQ(world.recorder->stats().refused, 0u);
}

TEST(nats_recorder, what_cannot_be_recorded_is_counted_and_answered_as_an_error) {
  NatsWorld world;
  world.broker->add_stream(stream("S", {"a"}, AnswerMode::on));
  auto client = Client::connected(world);
  client->say("SUB _INBOX.r 1\r\n");
  client->sync();
  world.broker->fail_next(Errc::read_only);
  client->say("PUB a _INBOX.r 1\r\nx\r\n");
  EXPECT_TRUE(client->expect("{\"error\":{\"code\":503,\"err_code\":10077,"));
  EXPECT_EQ(world.recorder->stats().refused, 1u);
  client->received.clear();
  world.broker->fail_next(Errc::outcome_unknown);
  client->say("PUB a _INBOX.r 1\r\nx\r\n");
  EXPECT_TRUE(client->expect("\"description\":\"outcome_unknown"));
  EXPECT_EQ(world.recorder->stats().unknown, 1u);
  EXPECT_EQ(world.recorder->stats().errors_answered, 2u);
}

TEST(nats_recorder, an_unknown_outcome_is_not_sent_again) {
  NatsWorld world;
  world.broker->add_stream(stream("S", {"a"}));
  world.broker->fail_next(Errc::outcome_unknown);
  auto client = Client::connected(world);
  client->say("PUB a 1\r\nx\r\n");
  client->sync();
  settle(world);
  EXPECT_EQ(world.broker->publishes(), 1);
}

TEST(nats_recorder, a_message_over_the_streams_limit_is_refused) {
  NatsWorld world;
  model::StreamConfig config = stream("S", {"a"}, AnswerMode::on);
  config.message_bytes_max = 4;
  const StreamId id = world.broker->add_stream(config);
  auto client = Client::connected(world);
  client->say("SUB _INBOX.r 1\r\nPUB a _INBOX.r 5\r\nxxxxx\r\nPUB a _INBOX.r 4\r\nxxxx\r\n");
  EXPECT_TRUE(client->expect("\"err_code\":10054"));
  EXPECT_TRUE(client->expect("\"seq\":1}"));
  EXPECT_EQ(world.broker->log(id).size(), 1u);
}

TEST(nats_recorder, a_log_that_stands_still_pauses_publishers_then_drops_and_counts) {
  NatsWorld world({}, {.partition_bytes_max = 10'000, .batch_bytes_max = 4096});
  const StreamId id = world.broker->add_stream(stream("s", {"a"}));
  auto publisher = Client::connected(world);
  auto subscriber = Client::connected(world);
  subscriber->say("SUB a 1\r\n");
  subscriber->sync();
  world.broker->hold();
  const std::string message = "PUB a 1000\r\n" + std::string(1000, 'x') + "\r\n";
  std::string said;
  for (int i = 0; i < 100; ++i) said += message;
  const MonotonicTime before = world.node.monotonic();
  publisher->say(said);
  publisher->sync();
  const Duration took = world.node.monotonic() - before;
  EXPECT_GE(took, milliseconds(100));
  EXPECT_LE(took, milliseconds(150));  // held back once, not for each message
  RecorderStats stats = world.recorder->stats();
  EXPECT_GT(stats.dropped, 50u);
  EXPECT_GT(stats.pauses, 0u);
  EXPECT_LE(stats.bytes_held, 20'000u);
  // Subscribers missed nothing.
  EXPECT_TRUE(world.until([&] { return subscriber->received.size() >= 100u * 1000; }));
  world.broker->release();
  settle(world);
  publisher->say(message);
  publisher->sync();
  settle(world);
  stats = world.recorder->stats();
  EXPECT_EQ(outcomes(stats), 101u);
  EXPECT_EQ(world.broker->log(id).size(), stats.recorded);
  EXPECT_EQ(stats.dropped + stats.recorded, 101u);
}

TEST(nats_recorder, a_short_stall_costs_no_message) {
  NatsWorld world({}, {.partition_bytes_max = 10'000, .batch_bytes_max = 4096});
  const StreamId id = world.broker->add_stream(stream("s", {"a"}));
  auto publisher = Client::connected(world);
  world.broker->hold();
  std::string said;
  for (int i = 0; i < 100; ++i) said += "PUB a 1000\r\n" + std::string(1000, 'x') + "\r\n";
  publisher->say(said);
  world.run(milliseconds(50));
  EXPECT_GT(world.recorder->stats().pauses, 0u);
  world.broker->release();
  publisher->sync();
  settle(world);
  EXPECT_EQ(world.broker->log(id).size(), 100u);
  EXPECT_EQ(world.recorder->stats().dropped, 0u);
}

TEST(nats_recorder, streams_that_change_or_go_change_what_is_recorded) {
  NatsWorld world;
  const StreamId id = world.broker->add_stream(stream("s", {"a"}, AnswerMode::on));
  auto client = Client::connected(world);
  client->say("SUB _INBOX.r 1\r\nPUB a 1\r\n1\r\n");
  client->sync();
  settle(world);
  world.broker->change_stream(id, stream("s", {"b"}, AnswerMode::on));
  client->say("PUB a 1\r\n2\r\nPUB b 1\r\n3\r\n");
  client->sync();
  settle(world);
  EXPECT_EQ(world.broker->log(id).size(), 2u);
  EXPECT_EQ(world.broker->log(id)[1].subject, "b");
  world.broker->hold();
  client->say("PUB b _INBOX.r 1\r\n4\r\n");
  client->sync();
  world.broker->remove_stream(id);
  EXPECT_TRUE(client->expect("\"description\":\"outcome_unknown"));
  EXPECT_EQ(world.recorder->stats().unknown, 1u);
  EXPECT_EQ(world.recorder->stats().bytes_held, 0u);
  client->say("PUB b 1\r\n5\r\n");
  client->sync();
  world.broker->release();
  world.run(milliseconds(10));
  EXPECT_EQ(outcomes(world.recorder->stats()), 3u);
}

TEST(nats_recorder, stop_waits_for_what_is_in_flight_and_sends_its_answers) {
  NatsWorld world;
  const StreamId id = world.broker->add_stream(stream("S", {"a"}, AnswerMode::on));
  auto client = Client::connected(world);
  client->say("SUB _INBOX.r 1\r\n");
  client->sync();
  world.broker->hold();
  client->say("PUB a _INBOX.r 1\r\nx\r\n");
  client->sync();
  bool stopped = false;
  world.server->stop(seconds(5), [&](Status) { stopped = true; });
  world.run(milliseconds(100));
  EXPECT_FALSE(stopped);
  world.broker->release();
  EXPECT_TRUE(client->expect("{\"stream\":\"S\",\"seq\":1}\r\n"));
  EXPECT_TRUE(client->expect_closed());
  EXPECT_TRUE(world.until([&] { return stopped; }));
  EXPECT_EQ(world.broker->log(id).size(), 1u);
}

TEST(nats_recorder, every_message_has_exactly_one_outcome_under_random_trouble) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    NatsWorld world({}, {.partition_bytes_max = 6'000, .batch_bytes_max = 2048}, seed);
    Prng random(seed);
    const StreamId one = world.broker->add_stream(stream("one", {"a.*"}, AnswerMode::on, 3));
    const StreamId all = world.broker->add_stream(stream("all", {">"}));
    auto client = Client::connected(world);
    client->say("SUB _INBOX.r 1\r\n");
    uint64_t asked = 0;
    uint64_t sent = 0;
    for (int step = 0; step < 200; ++step) {
      const uint64_t dice = random.below(20);
      if (dice == 0)
        world.broker->fail_next(random.chance(1, 2) ? Errc::overloaded : Errc::outcome_unknown);
      if (dice == 1) world.broker->hold();
      if (dice == 2) world.broker->release();
      if (dice == 3) world.run(milliseconds(random.below(200)));
      const bool ask = random.chance(1, 3);
      const std::string payload(random.below(500), 'x');
      client->say("PUB a." + std::to_string(random.below(5)) + (ask ? " _INBOX.r " : " ") +
                  std::to_string(payload.size()) + "\r\n" + payload + "\r\n");
      asked += ask;
      ++sent;
    }
    world.broker->release();
    client->sync();
    settle(world);
    const RecorderStats stats = world.recorder->stats();
    EXPECT_EQ(outcomes(stats), 2 * sent) << seed;
    size_t in_log = world.broker->log(all).size();
    for (uint32_t p = 0; p < 3; ++p) in_log += world.broker->log(one, p).size();
    EXPECT_EQ(in_log, stats.recorded) << seed;
    EXPECT_EQ(stats.answered + stats.errors_answered, asked) << seed;
  }
}

}  // namespace
}  // namespace bascule::nats

// NATS clients, the embedded server and the real broker with its log, on a simulated disk that crashes.
#include <gtest/gtest.h>

#include "capnp/command_codec.h"
#include "src/broker/broker.h"
#include "tests/nats/nats_world.h"

namespace bascule::nats {
namespace {

// A broker's process with NATS alone.
struct BrokerProcess : sim::Program {
  explicit BrokerProcess(env::World& w) : world(w) {
    broker::open_broker(
        world, {}, codec, nullptr,
        scope.wrap([this](Result<std::unique_ptr<broker::Broker>> opened) {
          ASSERT_TRUE(opened) << opened.error().to_string();
          api = *std::move(opened);
          recorder = std::make_unique<Recorder>(world, *api, RecorderOptions{});
          server =
              std::make_unique<Server>(world, ServerOptions{.listen = {"broker", 4222}}, *recorder);
          api->advise_creations([this](const model::StreamConfig& config) {
            return server->creation_warnings(config);
          });
          server->start(scope.wrap([this](Status status) { ready = status.has_value(); }));
        }));
  }

  env::World& world;
  capnp_codec::MetadataCodec codec;
  std::unique_ptr<broker::Broker> api;
  std::unique_ptr<Recorder> recorder;
  std::unique_ptr<Server> server;
  bool ready = false;
  env::Scope scope;
};

class RealBroker : public SimWorld {
 public:
  explicit RealBroker(uint64_t seed = 1) : SimWorld(seed) { start(); }

  void start() {
    node.start([this](env::World& world) {
      auto made = std::make_unique<BrokerProcess>(world);
      process = made.get();
      return made;
    });
    EXPECT_TRUE(until([&] { return process->ready; }, seconds(60)));
  }
  broker::StreamStatus create(std::string name, std::vector<std::string> subjects,
                              uint32_t partitions) {
    model::StreamConfig config;
    config.name = std::move(name);
    config.subjects = std::move(subjects);
    config.partitions = partitions;
    std::optional<Result<broker::StreamStatus>> created;
    process->api->create_stream({}, {.config = config}, [&](Result<broker::StreamStatus> r) {
      created.emplace(std::move(r));
    });
    EXPECT_TRUE(until([&] { return created.has_value(); }));
    EXPECT_TRUE(created && *created);
    return created && *created ? **created : broker::StreamStatus{};
  }
  // All that is in the partition now.
  std::vector<model::Record> read(StreamId stream, uint32_t partition);

  BrokerProcess* process = nullptr;
};

struct Reader final : broker::Subscriber {
  void deliver(broker::Delivery delivery) override {
    for (const Slice& slice : delivery.batches) {
      ByteView rest = slice;
      while (!rest.empty()) {
        Result<model::BatchHeader> header = model::decode_batch_header(rest, header_seed);
        ASSERT_TRUE(header) << header.error().to_string();
        const ByteView batch = rest.first(header->total_bytes);
        rest = rest.subspan(header->total_bytes);
        ASSERT_TRUE(model::batch_body_matches(*header, batch));
        Bytes scratch;
        const Result<ByteView> body = model::batch_body(*header, batch, scratch);
        ASSERT_TRUE(body) << body.error().to_string();
        model::RecordReader reader(*body, header->base_timestamp);
        for (model::RecordView view; reader.next(view);) records.push_back(view.to_record());
        ASSERT_TRUE(reader.status());
      }
    }
  }
  void end(broker::SubscriptionEnd e) override {
    EXPECT_TRUE(e.complete) << e.error.to_string();
    ended = true;
  }
  uint32_t header_seed = 0;
  std::vector<model::Record> records;
  bool ended = false;
};

std::vector<model::Record> RealBroker::read(StreamId stream, uint32_t partition) {
  Reader reader;
  std::unique_ptr<broker::Subscription> subscription;
  process->api->subscribe({},
                          {.stream = stream,
                           .partition = PartitionIndex(partition),
                           .from = broker::FromEarliest{},
                           .until = broker::UntilLatest{},
                           .filter = {},
                           .credit_bytes = 1 << 30},
                          reader, [&](Result<broker::SubscribeStarted> started) {
                            ASSERT_TRUE(started) << started.error().to_string();
                            subscription = std::move(started->subscription);
                            reader.header_seed = model::batch_crc_seed(started->log_id);
                          });
  EXPECT_TRUE(until([&] { return reader.ended; }));
  return std::move(reader.records);
}

TEST(nats_real_broker, what_nats_clients_publish_is_in_the_log_with_all_its_parts) {
  RealBroker world;
  const StreamId id = world.create("s", {"a.>"}, 1).id;
  auto client = Client::connected(world);
  client->say("HPUB a.b back 22 24\r\nNATS/1.0\r\nKey: one\r\n\r\nhi\r\nPUB a.c 0\r\n\r\n");
  client->sync();
  EXPECT_TRUE(world.until([&] { return world.process->recorder->stats().recorded == 2; }));
  const std::vector<model::Record> log = world.read(id, 0);
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0].subject, "a.b");
  EXPECT_EQ(log[0].reply, "back");
  EXPECT_EQ(log[0].headers, (std::vector<model::Header>{{"Key", "one"}}));
  EXPECT_EQ(log[0].value, "hi");
  EXPECT_EQ(log[1].subject, "a.c");
}

TEST(nats_real_broker, every_ack_is_of_a_record_that_survives_power_loss) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    RealBroker world(seed);
    const StreamId id = world.create("ORDERS", {"orders.*"}, 2).id;
    std::map<std::pair<uint32_t, uint64_t>, std::string> acked;  // (partition, seq) → value
    int sent = 0;
    for (int life = 0; life < 3; ++life) {
      auto client = Client::connected(world);
      client->say("SUB _INBOX.> 1\r\n");
      client->sync();
      std::map<std::string, std::pair<std::string, std::string>> asked;  // reply → subject, value
      for (int i = 0; i < 100; ++i) {
        const std::string value = std::to_string(++sent);
        const std::string subject = "orders." + std::to_string(sent % 7);
        const std::string reply = "_INBOX." + value;
        asked[reply] = {subject, value};
        client->say("PUB " + subject + " " + reply + " " + std::to_string(value.size()) + "\r\n" +
                    value + "\r\n");
        if (i % 10 == 0) world.run(microseconds(300));
      }
      // A few more come back or not; then the power goes.
      world.run(microseconds(static_cast<int64_t>(seed) * 200));
      std::string_view rest = client->received;
      while (rest.starts_with("MSG ")) {
        const std::string reply(rest.substr(4, rest.find(' ', 4) - 4));
        const size_t line_end = rest.find("\r\n");
        if (line_end == std::string_view::npos) break;
        const size_t body_end = rest.find("\r\n", line_end + 2);
        if (body_end == std::string_view::npos) break;
        const std::string body(rest.substr(line_end + 2, body_end - line_end - 2));
        rest = rest.substr(body_end + 2);
        const std::string head = "{\"stream\":\"ORDERS\",\"seq\":";
        ASSERT_TRUE(body.starts_with(head)) << body;
        const auto& [subject, value] = asked.at(reply);
        const auto key = std::pair(model::partition_of_key(subject, 2),
                                   static_cast<uint64_t>(std::stoull(body.substr(head.size()))));
        EXPECT_TRUE(acked.emplace(key, value).second) << "one sequence acked twice";
      }
      client.reset();
      world.node.crash_machine();
      world.run(milliseconds(10));
      world.start();
      std::vector<std::vector<model::Record>> logs = {world.read(id, 0), world.read(id, 1)};
      for (const auto& [key, value] : acked) {
        ASSERT_LE(key.second, logs[key.first].size()) << seed;
        EXPECT_EQ(logs[key.first][key.second - 1].value, value) << seed;
      }
    }
    EXPECT_GT(acked.size(), 100u);
  }
}

TEST(nats_real_broker, whoever_creates_an_answering_stream_is_told_of_subscriptions_there) {
  RealBroker world;
  auto client = Client::connected(world);
  client->say("SUB orders.new 1\r\n");
  client->sync();
  EXPECT_EQ(world.create("ORDERS", {"orders.>"}, 1).warnings.size(), 1u);
  EXPECT_EQ(world.create("other", {"bills.>"}, 1).warnings.size(), 0u);
}

TEST(nats_real_broker, an_orderly_stop_answers_all_that_was_recorded) {
  RealBroker world;
  const StreamId id = world.create("S", {"a"}, 1).id;
  auto client = Client::connected(world);
  client->say("SUB _INBOX.r 1\r\n");
  client->sync();
  for (int i = 0; i < 20; ++i) client->say("PUB a _INBOX.r 1\r\nx\r\n");
  client->sync();
  bool stopped = false;
  world.process->server->stop(seconds(5), [&](Status) {
    world.process->api->advise_creations(nullptr);
    world.process->api->stop([&](Status status) { stopped = status.has_value(); });
  });
  EXPECT_TRUE(client->expect("{\"stream\":\"S\",\"seq\":20}"));
  EXPECT_TRUE(world.until([&] { return stopped; }));
  client.reset();
  world.node.exit();
  world.run(milliseconds(10));
  world.start();
  EXPECT_EQ(world.read(id, 0).size(), 20u);
}

}  // namespace
}  // namespace bascule::nats

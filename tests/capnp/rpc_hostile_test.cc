// What strangers, slow clients and broken networks do to the RPC port: it costs their connection only.
#include <cstring>

#include <gtest/gtest.h>

#include "src/base/codec.h"
#include "tests/capnp/rpc_world.h"

namespace bascule::rpc {
namespace {

// A connection that says whatever bytes it is told to.
class Stranger {
 public:
  explicit Stranger(RpcWorld& world) : world_(world) {
    auto stream = world.wait<std::unique_ptr<env::Stream>>([&](auto done) {
      world.world().network.connect({"server", k_port}, seconds(1), std::move(done));
    });
    if (stream) stream_ = std::move(*stream);
    if (stream_) read();
  }
  bool connected() const { return stream_ != nullptr; }
  void say(ByteView bytes) {
    stream_->write({Slice::copy_of(bytes)}, [](Status) {});
  }
  // The table of a message of one segment with so many words.
  void announce(uint32_t words) {
    Bytes bytes(8);
    store_le<uint32_t>(bytes.data() + 4, words);
    say(bytes);
  }
  bool closed_within(Duration limit) {
    return world_.until([&] { return closed_; }, limit);
  }

 private:
  void read() {
    stream_->read(buffer_, [this](Result<size_t> count) {
      if (!count || *count == 0) {
        closed_ = true;
        return;
      }
      read();
    });
  }

  RpcWorld& world_;
  uint8_t buffer_[4096];
  bool closed_ = false;
  std::unique_ptr<env::Stream> stream_;
};

// A publish through a connection that was there before: it still works.
void expect_served(RpcWorld& world, client::Publisher& publisher) {
  const auto ack = world.wait<client::Published>([&](auto done) {
    const model::Record record = record_of("still here");
    ASSERT_TRUE(publisher.publish(model::view_of(record), std::move(done)));
  });
  EXPECT_TRUE(ack) << ack.error().to_string();
}

TEST(RpcHostile, bad_bytes_cost_their_connection_only) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    RpcWorld world(seed);
    world.api().add_stream("orders");
    const auto publisher = world.client().publisher("orders", {});
    expect_served(world, *publisher);
    Prng random(seed);
    Stranger stranger(world);
    ASSERT_TRUE(stranger.connected());
    Bytes noise(random.between(1, 4000));
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random.below(seed % 2 == 0 ? 256 : 4));
    stranger.say(noise);
    expect_served(world, *publisher);
    EXPECT_TRUE(stranger.closed_within(seconds(30)));
    expect_served(world, *publisher);
    EXPECT_EQ(world.server_program->server->connections(), 1u);
  }
}

TEST(RpcHostile, a_message_over_64_kib_is_refused_before_login_by_its_table_alone) {
  RpcWorld world;
  Stranger large(world);
  large.announce((64 << 10) / 8);  // with its table: 8 bytes too many
  EXPECT_TRUE(large.closed_within(seconds(1)));
  Stranger huge(world);
  huge.announce(0xffffffff);
  EXPECT_TRUE(huge.closed_within(seconds(1)));
  Stranger just_right(world);
  just_right.announce((64 << 10) / 8 - 1);
  EXPECT_FALSE(just_right.closed_within(seconds(1)));
}

TEST(RpcHostile, a_message_of_too_many_segments_is_refused) {
  RpcWorld world;
  Stranger stranger(world);
  Bytes table(8);
  store_le<uint32_t>(table.data(), 513);
  stranger.say(table);
  EXPECT_TRUE(stranger.closed_within(seconds(1)));
}

TEST(RpcHostile, who_does_not_log_in_is_sent_away) {
  RpcWorld world;
  Stranger silent(world);
  EXPECT_FALSE(silent.closed_within(seconds(9)));
  EXPECT_TRUE(silent.closed_within(seconds(2)));
  EXPECT_TRUE(world.until([&] { return world.server_program->server->connections() == 0; }));
}

TEST(RpcHostile, a_wrong_token_is_refused_and_the_right_one_serves) {
  RpcWorld world(1, {.token = "sesame"});
  world.api().add_stream("orders");
  for (const char* token : {"", "sesamE", "sesam", "sesame2"}) {
    const auto refused = world.connect(token);
    ASSERT_FALSE(refused) << token;
    EXPECT_EQ(refused.error().code, Errc::unauthenticated) << token;
  }
  EXPECT_TRUE(world.connect("sesame"));
  EXPECT_TRUE(world.until([&] { return world.server_program->server->connections() == 0; }));
  world.client_program->make({.token = "sesame"});
  const auto publisher = world.client().publisher("orders", {});
  expect_served(world, *publisher);
}

TEST(RpcHostile, the_client_library_reports_a_wrong_token_at_once) {
  RpcWorld world(1, {.token = "sesame"});
  world.client_program->make({.token = "wrong"});
  const auto begin = world.sim.now();
  const auto listed = world.wait<broker::StreamList>(
      [&](auto done) { world.client().list_streams(std::move(done)); });
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, Errc::unauthenticated);
  EXPECT_LT((world.sim.now() - begin).ns, seconds(1).ns);
}

TEST(RpcHostile, a_port_that_others_can_reach_needs_a_token) {
  EXPECT_TRUE(check_rpc_options({.listen = {"127.0.0.1", 1}}));
  EXPECT_TRUE(check_rpc_options({.listen = {"::1", 1}}));
  EXPECT_TRUE(check_rpc_options({.listen = {"0.0.0.0", 1}, .token = "x"}));
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "broker.example"}) {
    const Status status = check_rpc_options({.listen = {host, 1}});
    ASSERT_FALSE(status) << host;
    EXPECT_EQ(status.error().code, Errc::invalid);
  }
  RpcWorld world(1, {.listen = {"0.0.0.0", k_port}});
  ASSERT_TRUE(world.server_program->error.has_value());
  EXPECT_EQ(world.server_program->error->code, Errc::invalid);
}

TEST(RpcHostile, connections_over_the_bound_are_closed_and_one_that_ends_makes_room) {
  RpcServerOptions options;
  options.limits.connections_max = 2;
  RpcWorld world(1, options);
  auto first = world.connect();
  const auto second = world.connect();
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_FALSE(world.connect());
  first->reset();
  EXPECT_TRUE(world.until([&] { return world.server_program->server->connections() == 1; }));
  EXPECT_TRUE(world.connect());
}

TEST(RpcHostile, open_calls_over_the_bound_are_refused) {
  RpcServerOptions options;
  options.limits.calls_in_flight_max = 3;
  RpcWorld world(1, options);
  const StreamId stream = world.api().add_stream("orders");
  world.api().hold();
  const auto connection = world.connect();
  ASSERT_TRUE(connection);
  model::BatchBuilder builder;
  const model::Record record = record_of("x");
  ASSERT_TRUE(builder.add(model::view_of(record)));
  const Slice batch(builder.finish());
  int refused = 0;
  int served = 0;
  for (int i = 0; i < 5; ++i) {
    client::PublishRequest request;
    request.stream = stream;
    request.batch = batch;
    (*connection)
        ->publish(std::move(request),
                  [&](std::expected<broker::PublishAck, client::Failure> result) {
                    if (result) {
                      ++served;
                    } else if (result.error().error.code == Errc::overloaded) {
                      ++refused;
                    }
                  });
  }
  EXPECT_TRUE(world.until([&] { return refused == 2; }));
  world.api().release();
  EXPECT_TRUE(world.until([&] { return served == 3; }));
}

TEST(RpcHostile, a_message_may_come_byte_by_byte) {
  RpcWorld world;
  world.sim.network().options().packet_bytes_max = 1;
  const StreamId stream = world.api().add_stream("orders");
  const auto publisher = world.client().publisher("orders", {});
  expect_served(world, *publisher);
  EXPECT_EQ(world.api().values(stream), std::vector<std::string>{"still here"});
}

TEST(RpcHostile, the_greatest_batch_passes_and_comes_back) {
  RpcWorld world;
  world.sim.network().options().window_bytes = 4 << 20;
  const StreamId stream = world.api().add_stream("orders");
  const auto publisher = world.client().publisher("orders", {});
  const std::string value(limits::k_value_bytes_max, 'v');
  const auto ack = world.wait<client::Published>([&](auto done) {
    const model::Record record = record_of(value);
    ASSERT_TRUE(publisher->publish(model::view_of(record), std::move(done)));
  });
  ASSERT_TRUE(ack) << ack.error().to_string();
  Collector collector;
  const auto subscription = world.client().subscribe(
      {.stream = "orders", .from = broker::FromEarliest{}, .until = broker::UntilLatest{}},
      collector);
  ASSERT_TRUE(world.until([&] { return collector.end.has_value(); }));
  ASSERT_EQ(collector.values.size(), 1u);
  EXPECT_TRUE(collector.values[0] == value);
  EXPECT_EQ(world.api().values(stream).size(), 1u);
}

TEST(RpcHostile, batches_greater_than_any_credit_follow_each_other) {
  RpcWorld world;
  world.sim.network().options().window_bytes = 4 << 20;
  const StreamId stream = world.api().add_stream("orders");
  for (int i = 0; i < 8; ++i) world.api().append(stream, {std::string(5 << 20, 'x')});
  Collector collector;
  const auto subscription = world.client().subscribe(
      {.stream = "orders", .from = broker::FromEarliest{}, .credit_bytes = 1000}, collector);
  EXPECT_TRUE(world.until([&] { return collector.values.size() == 8; }));
}

// 60 MB of credit, and nobody reads: what the broker gives away stays within the connection's bounds.
TEST(RpcHostile, a_client_that_stops_reading_holds_bounded_memory) {
  RpcServerOptions options;
  options.limits.queued_bytes_max = 4 << 20;
  options.limits.subscription_bytes_max = 256 << 10;
  RpcWorld world(1, options);
  const StreamId stream = world.api().add_stream("orders");
  for (int i = 0; i < 600; ++i) world.api().append(stream, {std::string(100'000, 'x')});
  Collector collector;
  const auto subscription = world.client().subscribe(
      {.stream = "orders", .from = broker::FromEarliest{}, .credit_bytes = 60'000'000}, collector);
  ASSERT_TRUE(world.until([&] { return !collector.values.empty(); }));
  world.sim.network().block(NodeId(1), NodeId(2));
  world.run(seconds(30));
  const uint64_t given = world.api().delivered_bytes();
  EXPECT_GT(given, 500'000u);
  EXPECT_LT(given, (2 << 20) + (256 << 10) + 100'200u * (collector.values.size() + 4));
  world.sim.network().release(NodeId(1), NodeId(2));
  EXPECT_TRUE(world.until([&] { return collector.values.size() == 600; }));
}

// Corrupted bytes of the network never become records: the batches' CRCs are checked by both sides.
TEST(RpcHostile, bytes_that_change_on_the_way_never_become_records) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    RpcWorld world(seed);
    const StreamId stream = world.api().add_stream("orders");
    std::vector<std::string> values;
    for (int i = 0; i < 50; ++i)
      values.push_back("value " + std::to_string(i) + std::string(500, 'x'));
    world.api().append(stream, values);
    Collector collector;
    client::SubscribeOptions options;
    options.stream = "orders";
    options.from = broker::FromEarliest{};
    options.until = broker::UntilLatest{};
    auto subscription = world.client().subscribe(options, collector);
    world.run(microseconds(300 + 40 * static_cast<int64_t>(seed)));
    world.sim.network().link(NodeId(1), NodeId(2)).corrupt_next = 2;
    world.until([&] { return collector.end.has_value(); }, seconds(20));
    for (size_t i = 0; i < collector.values.size(); ++i) EXPECT_EQ(collector.values[i], values[i]);
  }
}

}  // namespace
}  // namespace bascule::rpc

// The RPC path over real sockets of this machine.
#include <gtest/gtest.h>

#include "capnp/rpc_server.h"
#include "capnp/rpc_transport.h"
#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "src/client/client.h"
#include "tests/capnp/fake_api.h"
#include "tests/capnp/rpc_world.h"

namespace bascule::rpc {
namespace {

constexpr Duration k_patience = seconds(60);

struct SocketWorld {
  SocketWorld() {
    start_rpc_server(loop, network, api, trace, {.listen = {"127.0.0.1", 0}, .node = NodeId(1)},
                     [this](Result<std::unique_ptr<RpcServer>> result) {
                       ASSERT_TRUE(result) << result.error().to_string();
                       server = std::move(*result);
                     });
    if (!loop.run_until([&] { return server != nullptr; }, k_patience)) return;
    client = client::make_client(loop, *transport, random, {.servers = {server->address()}});
  }

  io::AsioLoop loop;
  io::AsioNetwork network{loop};
  NullTracer trace;
  Prng random{1};
  FakeApi api{loop};
  std::unique_ptr<RpcServer> server;
  std::unique_ptr<client::Transport> transport = make_rpc_transport(loop, network);
  std::unique_ptr<client::Client> client;
};

TEST(RpcSocket, what_is_published_comes_back) {
  SocketWorld world;
  ASSERT_NE(world.client, nullptr);
  const StreamId stream = world.api.add_stream("orders");
  const auto publisher = world.client->publisher("orders", {});
  std::vector<std::string> values;
  for (int i = 0; i < 5000; ++i) {
    values.push_back(std::to_string(i) + std::string(static_cast<size_t>(i % 700), 'x'));
    const model::Record record = record_of(values.back());
    ASSERT_TRUE(publisher->publish(model::view_of(record)));
  }
  std::optional<Status> flushed;
  publisher->flush([&](Status status) { flushed = std::move(status); });
  ASSERT_TRUE(world.loop.run_until([&] { return flushed.has_value(); }, k_patience));
  EXPECT_TRUE(*flushed);
  EXPECT_EQ(world.api.values(stream), values);

  Collector collector;
  const auto subscription = world.client->subscribe(
      {.stream = "orders", .from = broker::FromEarliest{}, .until = broker::UntilLatest{}},
      collector);
  ASSERT_TRUE(world.loop.run_until([&] { return collector.end.has_value(); }, k_patience));
  EXPECT_EQ(collector.values, values);
}

TEST(RpcSocket, a_flood_is_held_back_by_the_publishers_buffer) {
  SocketWorld world;
  ASSERT_NE(world.client, nullptr);
  const StreamId stream = world.api.add_stream("orders");
  client::PublisherOptions options;
  options.buffered_bytes_max = 1 << 20;
  const auto publisher = world.client->publisher("orders", options);
  const model::Record record = record_of(std::string(10'000, 'x'));
  int published = 0;
  int refusals = 0;
  bool done = false;
  std::function<void()> publish = [&] {
    while (published < 2000) {
      const auto sequence = publisher->publish(model::view_of(record));
      if (!sequence) {
        ASSERT_EQ(sequence.error().code, Errc::overloaded);
        ++refusals;
        publisher->when_ready([&] { publish(); });
        return;
      }
      ++published;
    }
    publisher->flush([&](Status status) {
      EXPECT_TRUE(status);
      done = true;
    });
  };
  publish();
  ASSERT_TRUE(world.loop.run_until([&] { return done; }, k_patience));
  EXPECT_GT(refusals, 5);
  EXPECT_EQ(world.api.values(stream).size(), 2000u);
}

TEST(RpcSocket, a_server_that_goes_breaks_its_connections) {
  SocketWorld world;
  ASSERT_NE(world.client, nullptr);
  world.api.add_stream("orders");
  world.api.hold();
  const auto publisher = world.client->publisher("orders", {});
  std::optional<Errc> code;
  const model::Record record = record_of("x");
  ASSERT_TRUE(publisher->publish(model::view_of(record), [&](Result<client::Published> result) {
    if (!result) code = result.error().code;
  }));
  ASSERT_TRUE(world.loop.run_until([&] { return world.api.publishes() == 1; }, k_patience));
  world.server.reset();
  ASSERT_TRUE(world.loop.run_until([&] { return code.has_value(); }, k_patience));
  EXPECT_EQ(*code, Errc::outcome_unknown);
}

}  // namespace
}  // namespace bascule::rpc

// A client on a simulated host over a transport that the test answers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sim/world/node.h"
#include "src/client/client.h"
#include "src/model/record.h"
#include "tests/client/fake_transport.h"

namespace bascule::client {
inline const env::Address k_first{"first", 1};
inline const env::Address k_second{"second", 1};

struct ClientWorld {
  explicit ClientWorld(ClientOptions options = {}, uint64_t seed = 1) : sim(seed) {
    node = &sim.add_node({.disk = {}});
    node->start([](env::World&) { return nullptr; });
    sim.run_until(milliseconds(1));
    transport = std::make_unique<FakeTransport>(world().loop);
    if (options.servers.empty()) options.servers = {k_first};
    client = make_client(world().loop, *transport, world().random, std::move(options));
  }

  env::World& world() { return node->world(); }
  void run(Duration d) { sim.run_until(sim.now() + d); }
  template <class F>
  bool until(F predicate, Duration limit = seconds(60)) {
    return sim.run_until_true(sim.now() + limit, predicate);
  }
  template <class T, class F>
  Result<T> wait(F start) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    start(env::Done<T>([result](Result<T> r) { result->emplace(std::move(r)); }));
    if (!until([&] { return result->has_value(); }, seconds(600)))
      return fail(Errc::internal, "never answered");
    return std::move(**result);
  }

  // Partitions are led by nodes 1, 2, 1, 2 …, at k_first and k_second.
  void add_stream(std::string name, uint32_t partitions, uint64_t id = 7) {
    StreamInfo info;
    info.status.id = StreamId(id);
    info.status.config.name = name;
    for (uint32_t i = 0; i < partitions; ++i) {
      auto& partition = info.status.partitions.emplace_back();
      partition.index = PartitionIndex(i);
      partition.leader = NodeId(1 + i % 2);
    }
    info.nodes = {{NodeId(1), k_first}, {NodeId(2), k_second}};
    transport->streams[name] = std::move(info);
  }

  PublishCall next_publish() {
    EXPECT_TRUE(until([&] { return !transport->publishes.empty(); }));
    PublishCall call = std::move(transport->publishes.front());
    transport->publishes.pop_front();
    return call;
  }
  SubscribeCall next_subscribe() {
    EXPECT_TRUE(until([&] { return !transport->subscribes.empty(); }));
    SubscribeCall call = std::move(transport->subscribes.front());
    transport->subscribes.pop_front();
    return call;
  }

  sim::Simulation sim;
  sim::Node* node;
  std::unique_ptr<FakeTransport> transport;
  std::unique_ptr<Client> client;
};

}  // namespace bascule::client

// A broker's RPC port on one simulated host and a client on another.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "capnp/rpc_server.h"
#include "capnp/rpc_transport.h"
#include "sim/world/network.h"
#include "sim/world/node.h"
#include "src/client/client.h"
#include "tests/capnp/fake_api.h"

namespace bascule::rpc {

inline constexpr uint16_t k_port = 9292;

struct ServerProgram final : sim::Program {
  ServerProgram(env::World& world, RpcServerOptions options) : api(world.loop) {
    start_rpc_server(world.loop, world.network, api, trace, std::move(options),
                     [this](Result<std::unique_ptr<RpcServer>> result) {
                       if (result) {
                         server = std::move(*result);
                       } else {
                         error = result.error();
                       }
                     });
  }

  NullTracer trace;
  FakeApi api;
  std::unique_ptr<RpcServer> server;
  std::optional<Error> error;
};

struct ClientProgram final : sim::Program {
  explicit ClientProgram(env::World& world_in)
      : world(world_in), transport(make_rpc_transport(world.loop, world.network)) {}

  void make(client::ClientOptions options) {
    if (options.servers.empty()) options.servers = {{"server", k_port}};
    client = client::make_client(world.loop, *transport, world.random, std::move(options));
  }

  env::World& world;
  std::unique_ptr<client::Transport> transport;
  std::unique_ptr<client::Client> client;
};

class RpcWorld {
 public:
  explicit RpcWorld(uint64_t seed = 1, RpcServerOptions options = {}) : sim(seed) {
    if (options.listen.host.empty()) options.listen = {"127.0.0.1", k_port};
    options.node = NodeId(1);
    listen_ = options;
    server_node = &sim.add_node({.host = "server", .disk = {}});
    client_node = &sim.add_node({.host = "client", .disk = {}});
    start_server();
    client_node->start([this](env::World& world) {
      auto program = std::make_unique<ClientProgram>(world);
      client_program = program.get();
      return program;
    });
    run(milliseconds(1));
  }

  void start_server() {
    server_node->start([this](env::World& world) {
      auto program = std::make_unique<ServerProgram>(world, listen_);
      server_program = program.get();
      return program;
    });
  }

  void run(Duration d) { sim.run_until(sim.now() + d); }
  template <class F>
  bool until(F predicate, Duration limit = seconds(60)) {
    return sim.run_until_true(sim.now() + limit, predicate);
  }

  FakeApi& api() { return server_program->api; }
  client::Client& client() {
    if (!client_program->client) client_program->make({});
    return *client_program->client;
  }
  env::World& world() { return client_program->world; }

  // Runs the world until the operation that `start(done)` begins is answered.
  template <class T, class F>
  Result<T> wait(F start) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    start(env::Done<T>([result](Result<T> r) { result->emplace(std::move(r)); }));
    if (!until([&] { return result->has_value(); })) return fail(Errc::internal, "never answered");
    return std::move(**result);
  }
  Result<std::unique_ptr<client::Connection>> connect(std::string token = {}) {
    return wait<std::unique_ptr<client::Connection>>([&](auto done) {
      client_program->transport->connect({"server", k_port}, std::move(token), seconds(5),
                                         std::move(done));
    });
  }

  sim::Simulation sim;
  sim::Node* server_node;
  sim::Node* client_node;
  ServerProgram* server_program = nullptr;
  ClientProgram* client_program = nullptr;

 private:
  RpcServerOptions listen_;
};

// Keeps what a subscription hands over.
class Collector final : public client::Receiver {
 public:
  struct Item {
    Offset offset;
    std::string value;
    bool operator==(const Item&) const = default;
  };

  void records(std::span<const client::Received> records) override {
    for (const client::Received& r : records) {
      items.push_back({r.offset, std::string(r.record.value.value_or(""))});
      values.push_back(items.back().value);
    }
  }
  void started(PartitionId, Epoch, Offset first) override { starts.push_back(first); }
  void partition_ended(const client::PartitionEnd& e) override { ends.push_back(e); }
  void ended(Status result) override { end = std::move(result); }

  std::vector<Item> items;
  std::vector<std::string> values;
  std::vector<Offset> starts;
  std::vector<client::PartitionEnd> ends;
  std::optional<Status> end;
};

inline model::Record record_of(std::string value, std::optional<std::string> key = {}) {
  model::Record record;
  record.subject = "test.subject";
  record.value = std::move(value);
  record.key = std::move(key);
  return record;
}

}  // namespace bascule::rpc

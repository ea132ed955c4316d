// Any bytes on a connection to the RPC port, in pieces: they cost that connection only. Afterwards another
// client logs in and publishes. The first byte of the input chooses the pieces.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>

#include "capnp/rpc_server.h"
#include "capnp/rpc_transport.h"
#include "sim/world/network.h"
#include "sim/world/node.h"
#include "tests/capnp/fake_api.h"

using namespace bascule;

namespace {

constexpr uint16_t k_port = 9292;

void expect(bool condition) {
  if (!condition) std::abort();
}

struct Server final : sim::Program {
  explicit Server(env::World& world) : api(world.loop) {
    api.add_stream("s");
    rpc::RpcServerOptions options;
    options.listen = {"127.0.0.1", k_port};
    options.node = NodeId(1);
    rpc::start_rpc_server(world.loop, world.network, api, trace, std::move(options),
                          [this](Result<std::unique_ptr<rpc::RpcServer>> result) {
                            expect(result.has_value());
                            server = std::move(*result);
                          });
  }
  NullTracer trace;
  rpc::FakeApi api;
  std::unique_ptr<rpc::RpcServer> server;
};

struct Clients final : sim::Program {
  explicit Clients(env::World& w)
      : world(w), transport(rpc::make_rpc_transport(w.loop, w.network)) {}
  env::World& world;
  std::unique_ptr<client::Transport> transport;
  std::unique_ptr<env::Stream> stranger;
  std::unique_ptr<client::Connection> connection;
  uint8_t buffer[4096];

  void read() {
    stranger->read(buffer, [this](Result<size_t> count) {
      if (count && *count != 0) read();
    });
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  sim::Simulation sim(1);
  sim::Node& server = sim.add_node({.host = "server", .disk = {}});
  sim::Node& client = sim.add_node({.host = "client", .disk = {}});
  Clients* clients = nullptr;
  server.start([](env::World& world) { return std::make_unique<Server>(world); });
  client.start([&](env::World& world) {
    auto program = std::make_unique<Clients>(world);
    clients = program.get();
    return program;
  });
  const auto until = [&](auto predicate) {
    return sim.run_until_true(sim.now() + seconds(30), predicate);
  };
  sim.run_until(milliseconds(1));
  clients->world.network.connect({"server", k_port}, seconds(1),
                                 [&](Result<std::unique_ptr<env::Stream>> stream) {
                                   if (stream) clients->stranger = std::move(*stream);
                                 });
  expect(until([&] { return clients->stranger != nullptr; }));
  clients->read();
  const size_t piece = data[0] == 0 ? size : data[0];
  for (size_t at = 1; at < size; at += piece) {
    const ByteView bytes(data + at, std::min(piece, size - at));
    clients->stranger->write({Slice::copy_of(bytes)}, [](Status) {});
    sim.run_until(sim.now() + microseconds(200));
  }
  sim.run_until(sim.now() + milliseconds(5));
  // The server lives, and knows nothing of it.
  clients->transport->connect({"server", k_port}, "", seconds(5),
                              [&](Result<std::unique_ptr<client::Connection>> connection) {
                                if (connection) clients->connection = std::move(*connection);
                              });
  expect(until([&] { return clients->connection != nullptr; }));
  std::optional<bool> described;
  broker::StreamRef ref;
  ref.name = "s";
  clients->connection->describe_stream(
      ref, broker::MetadataRead{}, [&](std::expected<client::StreamInfo, client::Failure> info) {
        described = info.has_value();
      });
  expect(until([&] { return described.has_value(); }) && *described);
  return 0;
}

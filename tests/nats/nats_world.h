// The embedded server with a recorder and a broker in memory, in a simulated world, and clients that
// speak the protocol by hand.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "sim/world/network.h"
#include "sim/world/node.h"
#include "src/nats/server.h"
#include "tests/nats/fake_broker.h"

namespace bascule::nats {

struct Empty : sim::Program {};

// A host for a server, "broker", and one for its clients.
class SimWorld {
 public:
  explicit SimWorld(uint64_t seed)
      : sim(seed),
        node(sim.add_node({.host = "broker", .disk = {}})),
        clients_node(sim.add_node({.host = "client", .disk = {}})) {
    clients_node.start([](env::World&) { return std::make_unique<Empty>(); });
  }

  template <class F>
  bool until(F done, Duration limit = seconds(10)) {
    return sim.run_until_true(sim.now() + limit, done);
  }
  void run(Duration d) { sim.run_until(sim.now() + d); }

  sim::Simulation sim;
  sim::Node& node;
  sim::Node& clients_node;
};

class NatsWorld : public SimWorld {
 public:
  explicit NatsWorld(ServerOptions options = {}, RecorderOptions recorder_options = {},
                     uint64_t seed = 1)
      : SimWorld(seed) {
    node.start([](env::World&) { return std::make_unique<Empty>(); });
    sim.run_until(milliseconds(1));
    options.listen = {"broker", 4222};
    broker = std::make_unique<FakeBroker>(node.world());
    recorder = std::make_unique<Recorder>(node.world(), *broker, recorder_options);
    server = std::make_unique<Server>(node.world(), options, *recorder);
    bool started = false;
    server->start([&](Status status) { started = status.has_value(); });
    until([&] { return started; });
    EXPECT_TRUE(started);
  }

  std::unique_ptr<FakeBroker> broker;
  std::unique_ptr<Recorder> recorder;
  std::unique_ptr<Server> server;
};

// A client's connection: text in, text out.
class Client {
 public:
  // Says nothing yet.
  explicit Client(SimWorld& world) : world_(world) {
    world.clients_node.world().network.connect(
        {"broker", 4222}, seconds(5),
        scope_.wrap([this](Result<std::unique_ptr<env::Stream>> stream) {
          if (!stream) return;
          stream_ = std::move(*stream);
          read();
        }));
    world.until([&] { return stream_ != nullptr; });
    EXPECT_NE(stream_, nullptr);
    EXPECT_TRUE(expect("\r\n"));
    info = received.substr(0, received.find("\r\n"));
    received.erase(0, info.size() + 2);
  }
  // With CONNECT, quiet, and a PING answered.
  static std::unique_ptr<Client> connected(SimWorld& world, std::string_view more = "") {
    auto client = std::make_unique<Client>(world);
    client->say("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true" +
                std::string(more) + "}\r\n");
    client->sync();
    return client;
  }

  void say(std::string_view text) {
    if (stream_) stream_->write({Slice::copy_of(as_bytes(text))}, [](Status) {});
  }
  // Runs the world until `text` has come; what came stays in `received`.
  bool expect(std::string_view text, Duration limit = seconds(5)) {
    return world_.until([&] { return received.find(text) != std::string::npos || closed; },
                        limit) &&
           received.find(text) != std::string::npos;
  }
  bool expect_closed(Duration limit = seconds(10)) {
    return world_.until([&] { return closed; }, limit);
  }
  // Everything said before was acted on. Gives what came until then, and forgets it.
  std::string sync() {
    say("PING\r\n");
    EXPECT_TRUE(expect("PONG\r\n")) << received;
    std::string out = std::move(received);
    received.clear();
    const size_t pong = out.find("PONG\r\n");
    if (pong != std::string::npos) out.erase(pong, 6);
    return out;
  }
  void stop_reading() { reading_ = false; }
  void close() { stream_.reset(); }

  std::string info;
  std::string received;
  bool closed = false;

 private:
  void read() {
    if (!reading_) return;
    stream_->read(buffer_, scope_.wrap([this](Result<size_t> result) {
      if (!result || *result == 0) {
        closed = true;
        return;
      }
      received.append(reinterpret_cast<char*>(buffer_), *result);
      read();
    }));
  }

  SimWorld& world_;
  std::unique_ptr<env::Stream> stream_;
  uint8_t buffer_[4096];
  bool reading_ = true;
  env::Scope scope_;
};

}  // namespace bascule::nats

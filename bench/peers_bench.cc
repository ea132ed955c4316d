// Frames between two brokers over the loopback: small notices a second one way, bytes a second of batches as
// attachments, and the round trip of one request at a time. Each broker has a loop and a thread of its own,
// so on two cores sender and receiver have one each; checksums are made and checked on both sides. Bounded by
// the kernel's copies for large attachments and by the work per frame for small ones.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>

#include "capnp/peer_codec.h"
#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "sim/world/node.h"
#include "src/peers/peers.h"

namespace bascule {
namespace {

constexpr uint16_t k_kind = 1;

class Ignores : public peers::PeersObserver {
 public:
  void opened(const peers::Identity&, peers::Channel) override {}
  void lost(const peers::Identity&, peers::Channel, const Error&) override { std::abort(); }
  void process_gone(NodeId, Incarnation) override {}
  void writable(NodeId, peers::Channel) override {
    if (on_writable) on_writable();
  }
  void raft_message(raft::Message) override {}
  void refused(const peers::Refusal&) override { std::abort(); }
  void refusing(const peers::Identity&, const peers::Refusal&) override { std::abort(); }
  void cluster_learned(const Uuid&) override {}

  std::function<void()> on_writable;
};

// Peers have nothing on a disk: the world's is a made-up one.
struct Broker {
  explicit Broker(uint32_t node) {
    disk_node.start([](env::World&) { return nullptr; });
    const env::World world{loop, disk_node.world().disk, network, random, trace};
    peers::Self self;
    self.identity.node = NodeId(node);
    self.identity.storage = Uuid{{node, 1}};
    self.identity.incarnation = Incarnation(1);
    self.identity.address = {"127.0.0.1", 0};
    self.cluster = Uuid{{1, 1}};
    peers::PeersOptions options;
    options.listen = {"127.0.0.1", 0};
    peers = std::make_unique<peers::Peers>(world, options, self, codec, nothing, seen);
    bool started = false;
    peers->start([&](Status status) { started = status.has_value(); });
    if (!loop.run_until([&] { return started; }, seconds(10))) std::abort();
  }

  sim::Simulation sim{1};
  sim::Node& disk_node = sim.add_node({.host = "disk", .disk = {}});
  io::AsioLoop loop;
  io::AsioNetwork network{loop};
  Prng random{1};
  NullTracer trace;
  capnp_codec::PeerCodec codec;
  peers::NoAuthenticator nothing;
  Ignores seen;
  std::unique_ptr<peers::Peers> peers;
};

// Sender on the benchmark's thread, receiver on its own.
struct Pair {
  Pair() {
    receiver.peers->handle_notices(k_kind, [this](const peers::Identity&, peers::Notice) {
      received.fetch_add(1, std::memory_order_relaxed);
    });
    receiver.peers->handle_requests(
        k_kind, [](const peers::Identity&, peers::Request request, env::Done<peers::Reply> answer) {
          answer(peers::Reply{std::move(request.body), {}});
        });
    thread = std::thread([this] { receiver.loop.run(); });
    sender.peers->set_seeds({receiver.peers->address()});
    const bool connected = sender.loop.run_until(
        [&] { return sender.peers->connected(NodeId(2), peers::Channel::bulk); }, seconds(10));
    if (!connected) std::abort();
  }
  ~Pair() {
    receiver.loop.post_from_any_thread([this] {
      receiver.peers.reset();
      receiver.loop.stop();
    });
    thread.join();
  }

  Broker receiver{2};
  Broker sender{1};
  std::atomic<uint64_t> received = 0;
  std::thread thread;
};

void notices(benchmark::State& state) {
  Pair pair;
  const auto size = static_cast<size_t>(state.range(0));
  const Slice batch = Slice::copy_of(Bytes(size, 7));
  const Slice body = Slice::copy_of(Bytes(32, 1));
  const uint64_t per_iteration = size > 4096 ? (64u << 20) / size : 20'000;
  uint64_t sent = 0;
  for (auto _ : state) {
    const uint64_t until = sent + per_iteration;
    const auto fill = [&] {
      // Some at a time: what is sent in one turn leaves together.
      for (int i = 0; i < 256 && sent < until; ++i) {
        peers::Notice notice{k_kind, body, {}};
        if (size > 0) notice.attachments.push_back(batch);
        if (!pair.sender.peers->notify(NodeId(2), peers::Channel::bulk, std::move(notice))) return;
        ++sent;
      }
    };
    while (pair.received.load(std::memory_order_relaxed) < until) {
      fill();
      (void)pair.sender.loop.run_until([n = 0]() mutable { return n++ > 0; }, microseconds(200));
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(sent));
  state.SetBytesProcessed(static_cast<int64_t>(sent * size));
}

void round_trip(benchmark::State& state) {
  Pair pair;
  const Slice body = Slice::copy_of(Bytes(100, 1));
  for (auto _ : state) {
    bool answered = false;
    pair.sender.peers->request(NodeId(2), peers::Channel::control, {k_kind, body, {}}, seconds(10),
                               [&](Result<peers::Reply> reply) { answered = reply.has_value(); });
    if (!pair.sender.loop.run_until([&] { return answered; }, seconds(10))) std::abort();
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(notices)
    ->Arg(0)
    ->Arg(100)
    ->Arg(1024)
    ->Arg(16 << 10)
    ->Arg(256 << 10)
    ->Arg(4 << 20)
    ->UseRealTime();
BENCHMARK(round_trip)->UseRealTime();

}  // namespace
}  // namespace bascule

BENCHMARK_MAIN();

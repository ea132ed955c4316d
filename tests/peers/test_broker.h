// A broker that is nothing but its peers, and what it saw: in the made-up world, and on real sockets.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "capnp/peer_codec.h"
#include "sim/world/keyed_authenticator.h"
#include "sim/world/network.h"
#include "sim/world/node.h"
#include "src/peers/peers.h"

namespace bascule::peers {

inline Slice slice_of(std::string_view text) { return Slice::copy_of(as_bytes(text)); }

inline constexpr uint16_t k_port = 9293;
inline constexpr Uuid k_cluster{{0xc1, 0xc1}};

struct BrokerSetup {
  uint32_t node = 1;
  uint64_t storage = 0;  // 0: the node's own
  uint64_t incarnation = 1;
  Uuid cluster = k_cluster;
  uint64_t secret = 7;  // 0: none
  uint32_t feature_min = 1;
  uint32_t feature_max = 1;
  uint32_t feature_level = 0;
  std::string host = {};  // empty: as the node
  std::vector<env::Address> seeds = {};
  std::map<uint32_t, env::Address> book = {};
  PeersOptions options = {};
  bool start = true;
};

inline Uuid storage_of(const BrokerSetup& setup) {
  return Uuid{{0x5707a9e, setup.storage != 0 ? setup.storage : setup.node}};
}

// What an observer was told, in order, as short lines; and the values.
class Seen final : public PeersObserver {
 public:
  void opened(const Identity& peer, Channel channel) override {
    tell("opened", peer.node, channel_name(channel));
  }
  void lost(const Identity& peer, Channel channel, const Error&) override {
    tell("lost", peer.node, channel_name(channel));
  }
  void process_gone(NodeId node, Incarnation incarnation) override {
    tell("gone", node, incarnation.to_string());
  }
  void writable(NodeId node, Channel channel) override {
    tell("writable", node, channel_name(channel));
    if (on_writable) on_writable();
  }
  void raft_message(raft::Message message) override { raft.push_back(std::move(message)); }
  void refused(const Refusal& refusal) override {
    tell("refused by", refusal.by, refusal_name(refusal.reason));
    refusals.push_back(refusal);
  }
  void refusing(const Identity& other, const Refusal& refusal) override {
    tell("refusing", other.node, refusal_name(refusal.reason));
    refusals_sent.push_back(refusal);
  }
  void cluster_learned(const Uuid& cluster) override { learned = cluster; }

  size_t count(std::string_view line) const {
    return static_cast<size_t>(std::count(lines.begin(), lines.end(), line));
  }
  bool saw(std::string_view line) const { return count(line) > 0; }

  std::vector<std::string> lines;
  std::vector<raft::Message> raft;
  std::vector<Refusal> refusals;
  std::vector<Refusal> refusals_sent;
  Uuid learned;
  std::function<void()> on_writable;

 private:
  void tell(std::string_view what, NodeId node, std::string_view detail) {
    lines.push_back(std::string(what) + " " + node.to_string() + " " + std::string(detail));
  }
};

class Broker final : public sim::Program {
 public:
  Broker(env::World world, const BrokerSetup& setup, env::Address reachable,
         Authenticator* given = nullptr)
      : keyed(setup.secret, world.random.next()),
        peers(world, setup.options,
              Self{Identity{NodeId(setup.node),
                            storage_of(setup),
                            Incarnation(setup.incarnation),
                            {},
                            setup.feature_min,
                            setup.feature_max,
                            std::move(reachable)},
                   setup.cluster, setup.feature_level},
              codec,
              given != nullptr    ? *given
              : setup.secret != 0 ? static_cast<Authenticator&>(keyed)
                                  : static_cast<Authenticator&>(nothing),
              seen) {
    peers.set_seeds(setup.seeds);
    for (const auto& [node, address] : setup.book) (void)peers.set_address(NodeId(node), address);
    if (setup.start) peers.start([this](Status status) { started = std::move(status); });
  }

  bool all_open(uint32_t node) const {
    for (const Channel channel : all_channels()) {
      if (!peers.connected(NodeId(node), channel)) return false;
    }
    return true;
  }

  capnp_codec::PeerCodec codec;
  sim::KeyedAuthenticator keyed;
  NoAuthenticator nothing;
  Seen seen;
  Status started = fail(Errc::not_yet, "");
  Peers peers;
};

// Some brokers on hosts of their own, "n1" and so on, each knowing all others by their addresses unless
// told otherwise.
class TestCluster {
 public:
  explicit TestCluster(uint64_t seed) : sim(seed) {}

  static env::Address address(uint32_t node) { return {"n" + std::to_string(node), k_port}; }

  // Starts a broker, or its next life. Its book lists nodes 1 to `others`, itself apart.
  Broker& start(BrokerSetup setup, uint32_t others = 0) {
    const std::string host = setup.host.empty() ? "n" + std::to_string(setup.node) : setup.host;
    for (uint32_t n = 1; n <= others; ++n) {
      if (n != setup.node) setup.book.try_emplace(n, address(n));
    }
    setup.options.listen = {host, k_port};
    sim::Node*& node = nodes[host];
    if (node == nullptr) node = &sim.add_node({.host = host, .disk = {}});
    Broker* made = nullptr;
    node->start([&](env::World& world) {
      auto broker = std::make_unique<Broker>(world, setup, env::Address{host, k_port});
      made = broker.get();
      return broker;
    });
    sim.run_until(sim.now());
    if (made == nullptr)
      sim.run_until_true(sim.now() + seconds(1), [&] { return made != nullptr; });
    return *made;
  }

  template <class F>
  bool until(F predicate, Duration limit = seconds(20)) {
    return sim.run_until_true(sim.now() + limit, predicate);
  }
  void run(Duration d) { sim.run_until(sim.now() + d); }
  NodeId id(const std::string& host) { return nodes.at(host)->id(); }
  void cut(const std::string& a, const std::string& b) {
    sim.network().block(id(a), id(b));
    sim.network().block(id(b), id(a));
  }

  sim::Simulation sim;
  std::map<std::string, sim::Node*> nodes;
};

}  // namespace bascule::peers

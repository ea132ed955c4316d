// Byte streams between simulated hosts, with faults.
//
// Everything that travels (bytes, ends of streams, resets, handshakes) is a packet on a directed link
// between two hosts; a blocked link holds its packets until it is released. Bytes of one direction are
// delivered in order whatever their packets do. A host is a node's name; "localhost", loopback literals
// and "0.0.0.0" are the host itself.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/world/simulation.h"
#include "src/env/network.h"

namespace bascule::sim {

class Connection;
class Life;
class SimListener;
class SimStream;

struct NetworkOptions {
  Duration latency =
      microseconds(150);  // of one packet: uniform in [x / 2, 2 x], one in 64 ten times that
  Duration local_latency = microseconds(15);
  int64_t bytes_per_us = 1000;
  size_t window_bytes = 64 << 10;  // sent and not yet read, per direction
  size_t packet_bytes_max = 16 << 10;
  // Of 1,000 reads, how many get a random part of what is there.
  uint32_t split_permille = 250;
};

// One direction between two hosts.
struct Link {
  uint64_t entity = 0;  // its address for draws
  bool blocked = false;
  int64_t slowness = 1;
  uint32_t corrupt_next = 0;  // packets with bytes that will have one flipped
  uint32_t refuse_next = 0;   // handshakes that will be refused
  uint64_t packets = 0;
  std::vector<env::Task> held;
};

class SimNetwork {
 public:
  explicit SimNetwork(Simulation& sim);
  ~SimNetwork();

  NetworkOptions& options() { return options_; }

  // --- Faults. Links are directed: block both for a full partition.
  Link& link(NodeId from, NodeId to);
  void block(NodeId from, NodeId to) { link(from, to).blocked = true; }
  // What was held travels on, connections in another order than they came.
  void release(NodeId from, NodeId to);
  void release_all();
  // Breaks all connections between the two; each end learns it after a while.
  void reset(NodeId a, NodeId b);
  size_t connections() const { return connections_.size(); }

  // --- For Node.
  void process_died(Life& life, bool machine);

 private:
  friend class Connection;
  friend class SimListener;
  friend class SimNetworkHandle;
  friend class SimStream;

  struct Attempt {
    Life* life = nullptr;
    env::Done<std::unique_ptr<env::Stream>> done;
    EventId timeout;
  };
  struct Key {
    NodeId node;
    uint16_t port;
    auto operator<=>(const Key&) const = default;
  };

  void send(NodeId from, NodeId to, size_t bytes, env::Task packet);
  void arrive(NodeId from, NodeId to, env::Task packet);
  Duration latency(NodeId from, NodeId to, Link& link, size_t bytes);
  // The node that `host` names as seen from `from`; null: unknown.
  Node* resolve(const std::string& host, Node& from);
  void handshake(uint64_t attempt, Node& from, Node& to, env::Address address);
  void finish_attempt(uint64_t attempt, Result<std::unique_ptr<env::Stream>> result);
  void forget(uint64_t connection) { connections_.erase(connection); }

  Simulation& sim_;
  NetworkOptions options_;
  EventSource source_;
  std::map<std::pair<NodeId, NodeId>, Link> links_;
  std::map<Key, SimListener*> listeners_;
  std::map<uint64_t, Attempt> attempts_;
  std::map<uint64_t, std::shared_ptr<Connection>> connections_;
  uint64_t next_id_ = 1;
  std::map<NodeId, uint16_t> next_port_;
};

// env::Network of one life.
class SimNetworkHandle final : public env::Network {
 public:
  SimNetworkHandle(SimNetwork& network, Life& life) : network_(network), life_(life) {}
  void listen(env::Address address, Accept accept,
              env::Done<std::unique_ptr<env::Listener>> done) override;
  void connect(env::Address address, Duration timeout,
               env::Done<std::unique_ptr<env::Stream>> done) override;

 private:
  SimNetwork& network_;
  Life& life_;
};

}  // namespace bascule::sim

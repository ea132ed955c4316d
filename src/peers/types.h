// Who brokers are to each other, and the channels between them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/ids.h"
#include "src/env/network.h"

namespace bascule::peers {

// One byte stream each per pair of brokers, so that megabytes of catch-up never silence a heartbeat.
// Numbers travel.
enum class Channel : uint8_t {
  control = 0,      // Raft, sessions, requests to the controller
  replication = 1,  // fetches of partitions
  bulk = 2,         // snapshots, catch-up, NATS
};
inline constexpr size_t k_channels = 3;
constexpr std::array<Channel, k_channels> all_channels() {
  return {Channel::control, Channel::replication, Channel::bulk};
}

constexpr size_t slot_of(Channel channel) { return static_cast<size_t>(channel); }
std::string_view channel_name(Channel channel);

// What a broker says of itself in each handshake.
struct Identity {
  NodeId node;
  Uuid storage;             // of its formatted data directory
  Incarnation incarnation;  // of its process life, persisted before it was first said
  // Drawn at each start of a process: two processes of one incarnation are a broker and its copy.
  Uuid life;
  // Feature levels that its program can serve, ends inclusive.
  uint32_t feature_min = 0;
  uint32_t feature_max = 0;
  // Where its peers can reach it. An empty host: nobody is to remember one.
  env::Address address;

  bool operator==(const Identity&) const = default;
  bool same_life(const Identity& other) const {
    return node == other.node && storage == other.storage && incarnation == other.incarnation &&
           life == other.life;
  }
  std::string to_string() const;  // "node 3 (storage 1a2b3c4d, incarnation 7)"
};

inline constexpr size_t k_host_bytes_max = 255;

}  // namespace bascule::peers

// What is remembered of another broker, of a seed, and of the attempts to reach them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/base/time.h"
#include "src/env/loop.h"
#include "src/peers/connection.h"

namespace bascule::peers {

// One place that is called: a channel of a known node, or a seed (always by its control channel).
struct Target {
  NodeId node;  // 0: the seed
  uint32_t seed = 0;
  Channel channel = Channel::control;

  auto operator<=>(const Target&) const = default;
};

struct Dial {
  env::TimerId timer;       // of the next attempt
  uint64_t attempt = 0;     // number of the one under way; 0: none
  uint64_t connection = 0;  // that is shaking hands; 0: none
  Duration backoff;         // of the next attempt; 0: at once
  std::string told;         // the trouble that was told last: once, not each second

  bool idle() const { return !timer && attempt == 0 && connection == 0; }
};

struct Slot {
  Connection* open = nullptr;
  // The greatest link of this life of the other side that was open here, or is.
  uint64_t last_link = 0;
  Dial dial;
};

struct Peer {
  NodeId node;
  std::optional<env::Address> address;
  // As it proved itself last; none: never.
  std::optional<Identity> identity;
  std::array<Slot, k_channels> slots;

  // Latest incarnation known of each storage id, the latest storage last.
  std::vector<std::pair<Uuid, Incarnation>> lives;

  // --- Whether its process is gone: its last connection has ended, and two connects were refused, some
  // time apart, with nothing heard since.
  bool ended = false;
  std::optional<MonotonicTime> refused_at;

  size_t requests_out = 0;  // without an answer
  std::string last_error;   // why the last connection ended or could not be

  bool connected() const {
    for (const Slot& slot : slots) {
      if (slot.open != nullptr) return true;
    }
    return false;
  }
};

struct Seed {
  env::Address address;
  NodeId node;  // who answered there; 0: nobody yet
  bool itself = false;
  Dial dial;
};

}  // namespace bascule::peers

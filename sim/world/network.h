// Byte streams between simulated hosts.
#pragma once

#include "sim/world/simulation.h"
#include "src/env/network.h"

namespace bascule::sim {

class Life;

class SimNetwork {
 public:
  explicit SimNetwork(Simulation& sim) : sim_(sim) {}
  void process_died(Life&) {}

 private:
  Simulation& sim_;
};

class SimNetworkHandle final : public env::Network {
 public:
  SimNetworkHandle(SimNetwork& network, Life& life) : network_(network), life_(life) {}
  void listen(env::Address, Accept, env::Done<std::unique_ptr<env::Listener>>) override {}
  void connect(env::Address, Duration, env::Done<std::unique_ptr<env::Stream>>) override {}

 private:
  SimNetwork& network_;
  Life& life_;
};

}  // namespace bascule::sim

// A broker as a simulated process: opens on its node's world, and is what clients of that life reach.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "capnp/command_codec.h"
#include "sim/world/node.h"
#include "src/broker/broker.h"

namespace bascule::sim {

class BrokerProgram final : public Program {
 public:
  // `opened` is told how the start ended, in a turn of this life.
  BrokerProgram(env::World& world, broker::BrokerOptions options,
                std::function<void(BrokerProgram&, Status)> opened);
  ~BrokerProgram() override;

  env::World& world() { return world_; }
  // Null until it is open.
  broker::Broker* broker() { return broker_.get(); }
  // Drains and stops; `stopped` is called in a turn of this life.
  void stop(std::function<void(Status)> stopped);
  bool stopping() const { return stopping_; }

  // What clients of this life hold: destroyed before the broker.
  void adopt(std::unique_ptr<Program> clients) { clients_ = std::move(clients); }
  Program* clients() { return clients_.get(); }

 private:
  env::World& world_;
  capnp_codec::MetadataCodec codec_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<Program> clients_;
  bool stopping_ = false;
  env::Scope scope_;
};

}  // namespace bascule::sim

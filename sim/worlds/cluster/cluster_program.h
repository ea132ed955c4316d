// A broker of world `cluster` as a simulated process: opens on its node's world with the same calls as the
// product, and is what clients of that life reach.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "sim/world/node.h"
#include "sim/worlds/oracle_reader.h"
#include "src/broker/broker.h"

namespace bascule::sim {

class ClusterProgram final : public Program {
 public:
  using Opened = std::function<void(ClusterProgram&, Status)>;

  // `opened` is told how the start ended, in a turn of this life. Codec and parts outlive the life.
  ClusterProgram(Node& node, env::World& world, const broker::BrokerOptions& options,
                 const controller::CommandCodec& codec, const controller::ClusterParts& parts,
                 Opened opened);
  ~ClusterProgram() override;

  Node& node() { return node_; }
  env::World& world() { return world_; }
  // Null until it is open.
  broker::Broker* broker() { return broker_.get(); }
  bool serves() const { return broker_ != nullptr && !stopping_; }
  // As SIGTERM: drains and stops; then the process exits. `stopped` is told in its last turn.
  void stop(std::function<void(const Status&)> stopped);
  bool stopping() const { return stopping_; }
  // Readers of this life: destroyed before its broker.
  OracleReader& add_reader(StreamStory& story, PartitionId partition);

  // Nothing is heard of a process that died in the very turn that calls.
  template <class F>
  auto heard(F f) const {
    return scope_.wrap([&node = node_, f = std::move(f)](auto&&... args) mutable {
      if (node.alive()) f(std::forward<decltype(args)>(args)...);
    });
  }

 private:
  Node& node_;
  env::World& world_;
  std::unique_ptr<broker::Broker> broker_;
  std::vector<std::unique_ptr<OracleReader>> readers_;
  bool stopping_ = false;
  env::Scope scope_;
};

}  // namespace bascule::sim

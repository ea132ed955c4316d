// The cluster as operators see it: who is in it and how it is, and the changes of who votes.
#pragma once

#include <string>

#include "src/broker/api.h"
#include "src/broker/metadata_reads.h"
#include "src/controller/controller.h"
#include "src/env/world.h"

namespace bascule::broker {

class ClusterAdmin {
 public:
  // Both outlive this.
  ClusterAdmin(env::World& world, controller::Controller& controller, MetadataReads& reads);

  // As the Api's calls of these names.
  void status(MetadataRead read, Done<ClusterStatus> done);
  void change(const ClusterChange& request, Done<void> done);
  void decide(const ClusterDecision& decision, Done<void> done);

 private:
  ClusterStatus describe(const controller::MembersAnswer* members) const;
  void add_problems(ClusterStatus& out, const controller::MembersAnswer* members) const;
  std::string no_majority() const;
  Result<controller::Command> command_of(const ClusterDecision& decision) const;
  void unregister(NodeId node, MonotonicTime until, Done<void> done);

  env::World& world_;
  controller::Controller& controller_;
  MetadataReads& reads_;
  env::Scope scope_;
};

}  // namespace bascule::broker

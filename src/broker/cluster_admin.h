// The cluster as operators see it: who is in it and how it is, and the changes of who votes.
#pragma once

#include "src/broker/api.h"
#include "src/controller/controller.h"
#include "src/env/world.h"

namespace bascule::broker {

class ClusterAdmin {
 public:
  // Both outlive this.
  ClusterAdmin(env::World& world, controller::Controller& controller);

  // As the Api's calls of these names.
  void status(Done<ClusterStatus> done);
  void change(const ClusterChange& request, Done<void> done);

 private:
  ClusterStatus describe(const controller::MembersAnswer* members) const;
  void add_problems(ClusterStatus& out, const controller::MembersAnswer* members) const;
  void unregister(NodeId node, MonotonicTime until, Done<void> done);

  env::World& world_;
  controller::Controller& controller_;
  env::Scope scope_;
};

}  // namespace bascule::broker

// How old this broker's copy of the metadata is, and reads that may not be older than they say.
//
// The age is counted from the beginning of the last round with a majority of the controllers (ReadIndex, thesis
// §6.4) whose index has been applied here: whatever was committed before that moment is in the table. So it is an
// upper bound that depends on no other clock.
#pragma once

#include <optional>

#include "src/broker/api.h"
#include "src/controller/controller.h"
#include "src/env/world.h"

namespace bascule::broker {

class MetadataReads {
 public:
  // Both outlive this.
  MetadataReads(env::World& world, controller::Controller& controller);

  // Completes, in a later turn, when the table is not older than read.max_age. Errors: `not_leader`,
  // `overloaded`, `deadline_exceeded`, `stopping`.
  void when_fresh(MetadataRead read, Done<void> done);
  AsOf as_of() const;

 private:
  bool fresh(Duration max_age) const;

  env::World& world_;
  controller::Controller& controller_;
  std::optional<MonotonicTime> confirmed_;  // the table is not older than this moment
  env::Scope scope_;
};

}  // namespace bascule::broker

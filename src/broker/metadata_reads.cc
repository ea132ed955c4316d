#include "src/broker/metadata_reads.h"

#include <algorithm>
#include <utility>

#include "src/broker/answered_by.h"

namespace bascule::broker {
MetadataReads::MetadataReads(env::World& world, controller::Controller& controller)
    : world_(world), controller_(controller) {}

bool MetadataReads::fresh(Duration max_age) const {
  if (max_age == Duration::max()) return true;
  return max_age.ns > 0 && confirmed_ && world_.loop.now() - *confirmed_ <= max_age;
}

void MetadataReads::when_fresh(MetadataRead read, Done<void> done) {
  if (fresh(read.max_age)) {
    return world_.loop.post(
        scope_.wrap([done = std::move(done)]() mutable { done(Result<void>()); }));
  }
  const MonotonicTime began = world_.loop.now();
  done = answered_by<void>(
      world_.loop, scope_, read.deadline,
      {Errc::deadline_exceeded, "no majority of the controllers has answered in time"},
      std::move(done));
  controller_.read_barrier(
      scope_.wrap([this, began, done = std::move(done)](Status current) mutable {
        if (current) confirmed_ = std::max(confirmed_.value_or(began), began);
        done(std::move(current));
      }));
}

AsOf MetadataReads::as_of() const {
  AsOf out{controller_.table().applied(), std::nullopt};
  if (confirmed_) out.age = world_.loop.now() - *confirmed_;
  return out;
}

}  // namespace bascule::broker

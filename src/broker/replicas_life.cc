// The beginning and the end of a broker's partitions.
#include <algorithm>
#include <utility>

#include "src/base/assert.h"
#include "src/broker/bounds.h"
#include "src/broker/replicas.h"

namespace bascule::broker {

// --- At a start -----------------------------------------------------------------------------------

struct Replicas::Opening {
  std::vector<PartitionId> to_open;  // descending: taken from the back
  env::Done<std::vector<controller::ReplicaReport>> done;
};

void Replicas::open_all(env::Done<std::vector<controller::ReplicaReport>> done) {
  REQUIRE(!opening_ && slots_.empty() && !incarnation_);
  opening_ = std::make_shared<Opening>();
  opening_->done = std::move(done);
  opening_->to_open = controller_.table().partitions_of(controller_.identity().node);
  std::ranges::reverse(opening_->to_open);
  delete_strays();
  world_.loop.post(scope_.wrap([this] { open_next(); }));
}

// Directories that the table does not place here: deleted streams, earlier assignments. The store
// refuses to delete where the table has not come as far as the directory's manifest.
void Replicas::delete_strays() {
  for (const log::FoundLog& found : logs_.found()) {
    AssignmentId assignment;
    const controller::PartitionEntry* entry = placed_here(found.partition, &assignment);
    if (entry != nullptr && assignment == found.assignment) continue;
    if (controller_.table().state().forgotten(found.metadata_index)) {
      // Nobody has decided to delete it: the decision to make it was lost with the controllers.
      world_.trace.message(TraceLevel::warning, "broker",
                           "partition " + found.partition.to_string() +
                               ": its directory stays, though the metadata forgot it in a rescue");
      continue;
    }
    delete_directory(found.partition, found.assignment);
  }
}

void Replicas::open_next() {
  if (!opening_ || deleting_ != 0) return;
  size_t running = 0;
  for (const auto& [id, slot] : slots_) running += slot.state == State::opening ? 1 : 0;
  while (!opening_->to_open.empty() && running < bounds::k_logs_opening_max) {
    const PartitionId id = opening_->to_open.back();
    opening_->to_open.pop_back();
    // The metadata goes on while logs are opened: it may be of a deleted stream by now.
    AssignmentId assignment;
    if (placed_here(id, &assignment) == nullptr) continue;
    open(id);
    ++running;
  }
  if (running != 0) return;
  std::vector<controller::ReplicaReport> reports;
  for (const auto& [id, slot] : slots_) {
    const controller::ReplicaReport report = report_of(id, slot);
    if (report.missing || report.damaged || report.suspect) reports.push_back(report);
  }
  const std::shared_ptr<Opening> ended = std::exchange(opening_, nullptr);
  ended->done(std::move(reports));
}

controller::ReplicaReport Replicas::report_of(PartitionId id, const Slot& slot) const {
  controller::ReplicaReport report;
  report.partition = id;
  report.assignment = slot.assignment;
  if (slot.state != State::open) {
    // Unreadable is damage of all of it.
    report.damaged = !says_nothing(slot.why);
    report.suspect = logs_.suspect(id);
    return report;
  }
  const log::Log& log = slot.partition->log();
  // What the table places here was placed on a broker that served, and so had written `logs`; or had no room
  // for it and nothing in any log. With other replicas it costs nothing to be careful; alone it would cost all.
  const controller::PartitionEntry* entry = controller_.table().partition(id);
  const bool others = entry != nullptr && entry->replicas.size() > 1;
  report.missing = log.recovery().lost || (others && logs_.made_anew() && log.recovery().created);
  report.damaged = log.recovery().condition == log::Condition::damaged;
  report.suspect = logs_.suspect(id);
  report.cache_lost = report.suspect && log.recovery().page_cache_lost;
  report.last_epoch = log.last_epoch();
  report.leo = log.durable_leo();
  return report;
}

// --- At a stop ------------------------------------------------------------------------------------

void Replicas::drain(MonotonicTime until, env::Done<void> done) {
  auto left = std::make_shared<size_t>(1);
  auto all = std::make_shared<env::Done<void>>(std::move(done));
  const auto one = [left, all](const Status&) {
    if (--*left == 0) (*all)({});
  };
  for (auto& [id, slot] : slots_) {
    if (slot.state != State::open) continue;
    ++*left;
    slot.partition->drain(until, one);
  }
  world_.loop.post([one] { one({}); });
}

void Replicas::stop(Error why, env::Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  stopped_ = std::move(done);
  answer_ready_waits();
  std::vector<PartitionId> open;
  for (auto& [id, slot] : slots_) {
    world_.loop.cancel(slot.retry);
    if (slot.state == State::open) open.push_back(id);
  }
  for (const PartitionId id : open) close(id, why);
  world_.loop.post(scope_.wrap([this] { maybe_stopped(); }));
}

void Replicas::maybe_stopped() {
  if (!stopped_ || deleting_ != 0) return;
  for (const auto& [id, slot] : slots_) {
    if (slot.state != State::failed) return;
  }
  std::exchange(stopped_, nullptr)({});
}

}  // namespace bascule::broker

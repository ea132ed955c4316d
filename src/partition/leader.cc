#include "src/partition/leader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "src/base/assert.h"

namespace bascule::partition {

Leader::Leader(const LeaderStart& start)
    : self_(start.self),
      epoch_(start.epoch),
      epoch_start_(start.leo),
      in_flight_bytes_max_(start.in_flight_bytes_max),
      isr_(start.isr),
      durability_(start.durability),
      leo_(start.leo),
      last_append_time_(start.last_append_time) {
  REQUIRE(start.self && start.epoch, start.self, start.epoch);
  REQUIRE(start.own.written <= start.leo, start.own.written, start.leo);
  progress_[self_] = start.own;
  hw_ = std::min(start.hw, counted_leo(start.own, durability_));
  hw_ = next_high_watermark(hw_, self_, isr_, progress_, durability_);
}

Status Leader::admit(const Admission& request, MonotonicTime now) const {
  if (request.epoch && request.epoch != epoch_)
    return fail(Errc::fenced, "epoch " + request.epoch.to_string() + " is not the leader's, " +
                                  epoch_.to_string());
  if (request.deadline <= now) return fail(Errc::deadline_exceeded, "before the append");
  if (request.acks == model::Acks::all && !isr_.enough())
    return fail(Errc::not_enough_replicas, std::to_string(isr_.committed.size()) + " of " +
                                               std::to_string(isr_.min_isr) + " are in sync");
  const uint64_t held = pending_.bytes() + request.bytes_waiting;
  if (held != 0 && held + request.bytes > in_flight_bytes_max_)
    return fail(Errc::overloaded, "too many bytes of this partition are not committed yet");
  return {};
}

Stamp Leader::stamp(WallTime wall) const {
  return {leo_, epoch_, std::max(wall, last_append_time_)};
}

LeaderOutput Leader::appended(const PendingAck& ack, WallTime append_time) {
  REQUIRE(ack.base == leo_, ack.base, leo_);
  REQUIRE(ack.count > 0 && append_time >= last_append_time_, ack.count);
  LeaderOutput out;
  PendingAck held = ack;
  if (held.acks == model::Acks::none && held.request) {
    // Nothing is promised, so no offset is told.
    out.answers.push_back({held.request, Outcome::acked, Offset{}, held.count});
    held.request = {};
  }
  pending_.add(held);
  leo_ = held.next();
  last_append_time_ = append_time;
  return out;
}

LeaderOutput Leader::progress(NodeId replica, ReplicaProgress progress) {
  REQUIRE(progress.durable <= progress.written, progress.durable, progress.written);
  if (replica == self_) REQUIRE(progress.written <= leo_, progress.written, leo_);
  // Replaced, never maxed: a replica that came back with less has less.
  progress_[replica] = progress;
  return advance();
}

void Leader::forget(NodeId replica) {
  REQUIRE(replica != self_);
  progress_.erase(replica);
}

LeaderOutput Leader::isr_changed(InSyncReplicas isr) {
  isr_ = std::move(isr);
  return advance();
}

LeaderOutput Leader::durability_changed(model::DurabilityMode mode) {
  durability_ = mode;
  return advance();
}

LeaderOutput Leader::advance() {
  LeaderOutput out;
  pending_.complete_leader(counted_leo(progress_[self_], durability_), out.answers);
  const Offset hw = next_high_watermark(hw_, self_, isr_, progress_, durability_);
  if (hw == hw_) return out;
  hw_ = hw;
  out.hw = hw;
  pending_.complete_committed(hw_, out.answers);
  return out;
}

LeaderOutput Leader::expire(MonotonicTime now) {
  LeaderOutput out;
  pending_.expire(now, out.answers);
  return out;
}

LeaderOutput Leader::resign() {
  LeaderOutput out;
  pending_.abandon(out.answers);
  return out;
}

void Leader::check_invariants() const {
  ASSERT(hw_ <= leo_, hw_, leo_);
  const auto own = progress_.find(self_);
  ASSERT(own != progress_.end() && own->second.written <= leo_, leo_);
  pending_.check_invariants(hw_, leo_);
}

}  // namespace bascule::partition

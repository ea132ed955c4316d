#include "src/broker/replicas.h"

#include <algorithm>
#include <utility>

#include "src/base/assert.h"
#include "src/broker/bounds.h"

namespace bascule::broker {

Replicas::Replicas(env::World& world, controller::Controller& controller, log::LogStore& logs,
                   ReplicaOptions options)
    : world_(world), controller_(controller), logs_(logs), options_(options) {}

Replicas::~Replicas() {
  for (auto& [id, slot] : slots_) world_.loop.cancel(slot.retry);
}

// --- What the table says --------------------------------------------------------------------------

const controller::PartitionEntry* Replicas::placed_here(PartitionId id,
                                                        AssignmentId* assignment) const {
  const controller::PartitionEntry* entry = controller_.table().partition(id);
  if (entry == nullptr) return nullptr;
  const controller::ReplicaEntry* replica = entry->replica(controller_.identity().node);
  if (replica == nullptr) return nullptr;
  *assignment = replica->assignment;
  return entry;
}

partition::PartitionView Replicas::view_of(const controller::PartitionEntry& entry) const {
  const controller::StreamEntry* stream = controller_.table().stream(entry.id.stream);
  ASSERT(stream != nullptr, entry.id);
  const model::StreamConfig& config = stream->config;
  // Who may not lead now is the leader of no life; others' leaderships are followed all the same.
  const controller::ReplicaEntry* own = entry.replica(controller_.identity().node);
  const bool masked = !may_lead_ && entry.leader == controller_.identity().node;
  return {.leader = entry.leader,
          .leader_incarnation = masked ? Incarnation{} : entry.leader_incarnation,
          .epoch = entry.epoch,
          .version = entry.version,
          .replicas = replica_views(entry),
          .isr = entry.isr,
          .elr = entry.elr,
          .min_isr = config.min_isr,
          .end_reported = own != nullptr && own->report.has_value(),
          .loss_at = entry.loss ? std::optional(entry.loss->epoch) : std::nullopt,
          .durability = config.durability,
          .message_bytes_max =
              config.message_bytes_max != 0 ? config.message_bytes_max : options_.message_bytes_max,
          .retention = {.age = config.retain_age,
                        .bytes = config.retain_bytes,
                        .messages = config.retain_messages}};
}

std::vector<partition::ReplicaView> Replicas::replica_views(
    const controller::PartitionEntry& entry) const {
  std::vector<partition::ReplicaView> out;
  out.reserve(entry.replicas.size());
  for (const controller::ReplicaEntry& r : entry.replicas) {
    const controller::BrokerEntry* broker = controller_.table().broker(r.node);
    out.push_back({.node = r.node,
                   .incarnation = broker == nullptr ? Incarnation{} : broker->incarnation,
                   .up = broker != nullptr && !broker->fenced,
                   .barred = r.damaged || r.diverged,
                   .suspect = r.suspect});
  }
  return out;
}

void Replicas::let_lead(bool allowed) {
  if (may_lead_ == allowed || stopping_) return;
  may_lead_ = allowed;
  std::vector<PartitionId> ids;
  for (const auto& [id, slot] : slots_) ids.push_back(id);
  for (const PartitionId id : ids) reconcile(id);
}

void Replicas::go_live(Incarnation incarnation) {
  REQUIRE(incarnation && !incarnation_);
  incarnation_ = incarnation;
  std::vector<PartitionId> ids = controller_.table().partitions_of(controller_.identity().node);
  for (auto& [id, slot] : slots_) {
    ids.push_back(id);
    if (slot.state == State::failed) retry_later(id, slot);
  }
  for (const PartitionId id : ids) reconcile(id);
}

void Replicas::reconcile(PartitionId id) {
  if (stopping_ || !incarnation_) return;
  AssignmentId assignment;
  const controller::PartitionEntry* entry = placed_here(id, &assignment);
  const auto it = slots_.find(id);
  if (it == slots_.end()) {
    if (entry != nullptr) open(id);
    return answer_ready_waits();
  }
  Slot& slot = it->second;
  const bool same = entry != nullptr && slot.assignment == assignment;
  switch (slot.state) {
    case State::opening:
    case State::closing: return;  // looked at again when that has ended
    case State::failed:
      if (same) return;  // tried again by its timer
      world_.loop.cancel(slot.retry);
      delete_directory(id, slot.assignment);
      slots_.erase(it);
      return reconcile(id);
    case State::open:
      if (same)
        apply_view(id, slot);
      else
        close(id, {controller_.table().stream(id.stream) == nullptr ? Errc::stream_deleted
                                                                    : Errc::not_leader,
                   ""});
      return answer_ready_waits();
  }
}

void Replicas::apply_view(PartitionId id, Slot& slot) {
  if (slot.state != State::open || !incarnation_) return;
  AssignmentId assignment;
  const controller::PartitionEntry* entry = placed_here(id, &assignment);
  if (entry == nullptr || assignment != slot.assignment) return;
  slot.partition->apply(view_of(*entry), incarnation_);
  // A mark is forgotten only on a view that includes this life's registration, which carried it.
  const controller::ReplicaEntry* replica = entry->replica(controller_.identity().node);
  if (!replica->suspect && logs_.suspect(id)) {
    logs_.clear_suspect(id, scope_.wrap([this](Status cleared) {
      if (!cleared) {
        // The mark stays on disk and goes with the next registration: safe, and only slower.
        world_.trace.message(TraceLevel::warning, "broker",
                             "suspect mark: " + cleared.error().to_string());
      }
    }));
  }
}

// --- Opening and closing --------------------------------------------------------------------------

void Replicas::open(PartitionId id) {
  AssignmentId assignment;
  const controller::PartitionEntry* entry = placed_here(id, &assignment);
  ASSERT(entry != nullptr, id);
  const controller::StreamEntry* stream = controller_.table().stream(id.stream);
  Slot& slot = slots_[id];
  slot = Slot{};
  slot.assignment = assignment;
  const controller::ReplicaEntry* replica = entry->replica(controller_.identity().node);
  logs_.open_log({.partition = id,
                  .assignment = assignment,
                  .log_id = entry->log_id,
                  .durability = stream->config.durability,
                  .segment_bytes = stream->config.segment_bytes,
                  .metadata_index = replica->assigned},
                 scope_.wrap([this, id](Result<std::unique_ptr<log::Log>> opened) {
                   on_opened(id, std::move(opened));
                 }));
}

void Replicas::tell_recovery(PartitionId id, const log::Log& log) const {
  const log::RecoveryReport& found = log.recovery();
  const bool bad = found.lost || found.condition == log::Condition::damaged || found.cut_at;
  const TraceLevel level = bad ? TraceLevel::warning : TraceLevel::info;
  if (!world_.trace.wants(level)) return;
  std::string text = "partition " + id.to_string() + ": [" + log.log_start().to_string() + ", " +
                     log.leo().to_string() + ")";
  switch (found.condition) {
    case log::Condition::clean: text += found.created ? ", made" : ", clean"; break;
    case log::Condition::suspect: text += ", after an unclean stop"; break;
    case log::Condition::damaged: text += ", damaged"; break;
  }
  if (found.lost) text += ", its directory is gone";
  for (const log::OffsetRange& range : found.damaged)
    text += ", damaged [" + range.first.to_string() + ", " + range.next.to_string() + ")";
  if (found.cut_at) {
    text += ", cut at " + found.cut_at->to_string() + ", " +
            std::to_string(found.quarantined_bytes) + " bytes kept in quarantine";
  }
  world_.trace.message(level, "broker", text);
}

void Replicas::on_opened(PartitionId id, Result<std::unique_ptr<log::Log>> opened) {
  Slot& slot = slots_.at(id);
  ASSERT(slot.state == State::opening, id);
  if (opened) {
    tell_recovery(id, **opened);
    slot.state = State::open;
    slot.partition = std::make_unique<partition::Partition>(
        world_.loop, world_.trace,
        partition::PartitionOptions{.id = id,
                                    .self = controller_.identity().node,
                                    .in_flight_bytes_max = bounds::k_partition_in_flight_bytes_max,
                                    .readers_max = bounds::k_partition_subscriptions_max,
                                    .link = options_.link,
                                    .replica_lag_max = options_.replica_lag_max},
        std::move(*opened));
    if (stopping_) return close(id, {Errc::stopping, ""});
  } else {
    slot.state = State::failed;
    slot.why = std::move(opened.error());
    world_.trace.probe("broker.replica.open_failed");
    world_.trace.message(TraceLevel::error, "broker",
                         "partition " + id.to_string() + ": " + slot.why.to_string());
    retry_later(id, slot);
  }
  if (opening_) return open_next();
  if (stopping_) return maybe_stopped();
  if (slot.state == State::open) return reconcile(id);
  answer_ready_waits();
}

void Replicas::retry_later(PartitionId id, Slot& slot) {
  if (!says_nothing(slot.why) || stopping_ || !incarnation_) return;
  slot.retry = world_.loop.after(bounds::k_open_retry_delay, scope_.wrap([this, id] {
    if (stopping_) return;
    slots_.erase(id);
    reconcile(id);
  }));
}

void Replicas::close(PartitionId id, Error why) {
  Slot& slot = slots_.at(id);
  ASSERT(slot.state == State::open, id);
  slot.state = State::closing;
  slot.partition->stop(std::move(why), scope_.wrap([this, id](Status stopped) {
    Slot& closed = slots_.at(id);
    const AssignmentId assignment = closed.assignment;
    if (!stopped) {
      world_.trace.message(TraceLevel::error, "broker",
                           "partition " + id.to_string() + ": " + stopped.error().to_string());
    }
    // In a turn of its own: this is called by the log that it owns.
    world_.loop.post([gone = std::move(closed.partition)] {});
    slots_.erase(id);
    AssignmentId now;
    if (placed_here(id, &now) == nullptr || now != assignment) delete_directory(id, assignment);
    if (stopping_) return maybe_stopped();
    reconcile(id);
  }));
}

void Replicas::delete_directory(PartitionId id, AssignmentId assignment) {
  ++deleting_;
  logs_.delete_log(
      id, assignment, controller_.table().applied(), scope_.wrap([this, id](Status deleted) {
        --deleting_;
        if (!deleted) {
          // It stays on disk, not as a log of ours, until a later start may delete it.
          world_.trace.probe("broker.replica.delete_refused");
          world_.trace.message(
              TraceLevel::warning, "broker",
              "directory of partition " + id.to_string() + ": " + deleted.error().to_string());
        }
        if (opening_) return open_next();
        if (stopping_) maybe_stopped();
      }));
}

// --- Who leads ------------------------------------------------------------------------------------

Result<partition::Partition*> Replicas::leader_of(StreamId stream, PartitionIndex index) {
  const controller::StreamEntry* entry = controller_.table().stream(stream);
  if (entry == nullptr) return fail(Errc::unknown_stream);
  if (index.value >= entry->partitions.size()) return fail(Errc::unknown_partition);
  const controller::PartitionEntry& partition = entry->partitions[index.value];
  const NodeId self = controller_.identity().node;
  if (partition.data_lost)
    return fail(Errc::data_lost, "the storage of the last in-sync replica is gone");
  if (partition.leader != self) {
    if (!partition.leader) return fail(Errc::not_leader, "the partition has no leader now");
    return fail(Errc::not_leader, "leader is node " + partition.leader.to_string());
  }
  if (!may_lead_) return fail(Errc::not_leader, "this broker has no contact to the controller");
  const auto it = slots_.find(partition.id);
  if (it == slots_.end() || it->second.state == State::opening)
    return fail(Errc::not_yet, "the partition is being opened");
  Slot& slot = it->second;
  if (slot.state == State::failed) {
    if (says_nothing(slot.why)) return fail(slot.why);
    return fail(Errc::corrupt, "the partition's storage cannot be read");
  }
  if (slot.state == State::closing)
    return fail(Errc::not_yet, "the partition is being placed anew");
  if (!slot.partition->leads()) return fail(Errc::not_yet);
  return slot.partition.get();
}

Result<partition::Partition*> Replicas::ready_leader_of(StreamId stream, PartitionIndex index) {
  BASCULE_TRY_ASSIGN(partition::Partition * found, leader_of(stream, index));
  if (!found->ready())
    return fail(Errc::not_yet, "the new leader does not know yet what is committed");
  return found;
}

const partition::Partition* Replicas::find(PartitionId id) const {
  const auto it = slots_.find(id);
  return it == slots_.end() ? nullptr : it->second.partition.get();
}

Status Replicas::ready_status(StreamId stream, bool* waits) const {
  *waits = false;
  const controller::StreamEntry* entry = controller_.table().stream(stream);
  if (entry == nullptr) return fail(Errc::unknown_stream, "it was deleted meanwhile");
  if (stopping_) return fail(Errc::stopping);
  const NodeId self = controller_.identity().node;
  for (const controller::PartitionEntry& p : entry->partitions) {
    // What another broker leads is ready when that broker says so to who asks it; what nobody leads now, since
    // its broker has died meanwhile, exists all the same.
    if (p.leader != self) continue;
    const auto it = slots_.find(p.id);
    if (it != slots_.end() && it->second.state == State::failed) return fail(it->second.why);
    if (it != slots_.end() && it->second.partition != nullptr && it->second.partition->ready())
      continue;
    *waits = true;
  }
  return {};
}

void Replicas::when_ready(StreamId stream, env::Done<void> done) {
  ready_waits_.push_back({stream, std::move(done)});
  world_.loop.post(scope_.wrap([this] { answer_ready_waits(); }));
}

void Replicas::answer_ready_waits() {
  std::vector<ReadyWait> left;
  std::vector<std::pair<env::Done<void>, Status>> answers;
  for (ReadyWait& wait : std::exchange(ready_waits_, {})) {
    bool waits = false;
    Status status = ready_status(wait.stream, &waits);
    if (status && waits)
      left.push_back(std::move(wait));
    else
      answers.emplace_back(std::move(wait.done), std::move(status));
  }
  ready_waits_ = std::move(left);
  if (answers.empty()) return;
  world_.loop.post([answers = std::move(answers)]() mutable {
    for (auto& [done, status] : answers) done(std::move(status));
  });
}

partition::Partition* Replicas::find_open(PartitionId id) {
  const auto it = slots_.find(id);
  return it != slots_.end() && it->second.state == State::open ? it->second.partition.get()
                                                               : nullptr;
}

partition::Partition* Replicas::next_open(std::optional<PartitionId> after) {
  auto it = after ? slots_.upper_bound(*after) : slots_.begin();
  while (it != slots_.end() && it->second.state != State::open) ++it;
  return it == slots_.end() ? nullptr : it->second.partition.get();
}

void Replicas::check_invariants() const {
  for (const auto& [id, slot] : slots_) {
    ASSERT(
        (slot.partition != nullptr) == (slot.state == State::open || slot.state == State::closing),
        id);
    if (slot.partition) slot.partition->check_invariants();
  }
}

}  // namespace bascule::broker

// All partitions that have a replica on this broker, kept in line with the metadata table.
//
//   table says a replica is here ──▶ opening ──▶ open ──(gone, or placed anew)──▶ closing ──▶ deleted
//                                       └─ failed: no space (tried again), or unreadable (reported)
//
// The table is the authority. A directory is deleted only with the index of metadata that shows the
// deletion, which must lie beyond the one in its manifest: a broker whose table was rolled back deletes
// nothing. No view of the table reaches a partition before this life's registration has been applied
// (go_live): a leadership in the stored table belongs to an earlier life.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/controller/controller.h"
#include "src/env/world.h"
#include "src/log/log_store.h"
#include "src/partition/partition.h"

namespace bascule::broker {

// A log that could not be opened for want of space or of descriptors: nothing is known of it, and it is
// tried again.
inline bool says_nothing(const Error& error) {
  return error.code == Errc::no_space || error.code == Errc::overloaded;
}

struct ReplicaOptions {
  uint32_t message_bytes_max = 0;              // where a stream says none; 0: the format's
  partition::ReplicationLink* link = nullptr;  // null: this broker is alone
  Duration replica_lag_max = seconds(2);
};

class Replicas {
 public:
  // All outlive this.
  Replicas(env::World& world, controller::Controller& controller, log::LogStore& logs,
           ReplicaOptions options);
  ~Replicas();
  Replicas(const Replicas&) = delete;
  Replicas& operator=(const Replicas&) = delete;

  // Deletes what is on disk and the table shows as gone, then opens every log that the table places
  // here. Completes with what recovery found, for the registration.
  void open_all(env::Done<std::vector<controller::ReplicaReport>> done);
  // The registration has been applied: from now on partitions lead as the table says.
  void go_live(Incarnation incarnation);

  // Without contact to the controller another broker may lead by now: all leaderships here end, and begin
  // again in their epochs where the table still says so.
  void let_lead(bool allowed);

  // The table's entry of the partition has changed.
  void reconcile(PartitionId id);

  // The partition, where this broker leads it: it takes publishes. Errors: unknown_stream, unknown_partition,
  // not_leader (with a hint), not_yet, corrupt (its storage cannot be read), data_lost, no_space,
  // overloaded (no descriptor was free to open it).
  Result<partition::Partition*> leader_of(StreamId stream, PartitionIndex index);
  // The same, where it also knows all that an earlier leader may have shown: it takes readers. Else `not_yet`.
  Result<partition::Partition*> ready_leader_of(StreamId stream, PartitionIndex index);
  // The partition, where its log is open here; null else.
  const partition::Partition* find(PartitionId id) const;
  // Completes when every partition of the stream is led here and ready; with the error of the first that
  // cannot be, for now (no_space) or at all; `unknown_stream` when it is deleted meanwhile.
  void when_ready(StreamId stream, env::Done<void> done);

  // As find, where it is neither being opened nor closed.
  partition::Partition* find_open(PartitionId id);
  // The first open partition above `after` (none: of all); null at the end. For housekeeping.
  partition::Partition* next_open(std::optional<PartitionId> after);
  // Completes when each open partition has been drained, at the latest at `until`.
  void drain(MonotonicTime until, env::Done<void> done);
  // Ends all partitions with `why` and waits for all that is being opened or deleted. Once.
  void stop(Error why, env::Done<void> done);

  void check_invariants() const;

 private:
  enum class State : uint8_t { opening, open, failed, closing };
  struct Slot {
    State state = State::opening;
    AssignmentId assignment;
    std::unique_ptr<partition::Partition> partition;  // open and closing
    Error why{};                                      // failed
    env::TimerId retry{};
  };
  struct ReadyWait {
    StreamId stream;
    env::Done<void> done;
  };
  struct Opening;

  const controller::PartitionEntry* placed_here(PartitionId id, AssignmentId* assignment) const;
  partition::PartitionView view_of(const controller::PartitionEntry& entry) const;
  std::vector<partition::ReplicaView> replica_views(const controller::PartitionEntry& entry) const;
  void open(PartitionId id);
  void on_opened(PartitionId id, Result<std::unique_ptr<log::Log>> opened);
  void tell_recovery(PartitionId id, const log::Log& log) const;
  void retry_later(PartitionId id, Slot& slot);
  void close(PartitionId id, Error why);
  void delete_directory(PartitionId id, AssignmentId assignment);
  void apply_view(PartitionId id, Slot& slot);
  void delete_strays();
  void open_next();
  controller::ReplicaReport report_of(PartitionId id, const Slot& slot) const;
  Status ready_status(StreamId stream, bool* waits) const;
  void answer_ready_waits();
  void maybe_stopped();

  env::World& world_;
  controller::Controller& controller_;
  log::LogStore& logs_;
  ReplicaOptions options_;
  std::map<PartitionId, Slot> slots_;
  std::vector<ReadyWait> ready_waits_;
  std::shared_ptr<Opening> opening_;  // set while open_all runs
  Incarnation incarnation_;           // 0: not live
  bool may_lead_ = true;
  size_t deleting_ = 0;
  bool stopping_ = false;
  env::Done<void> stopped_;
  env::Scope scope_;
};

}  // namespace bascule::broker

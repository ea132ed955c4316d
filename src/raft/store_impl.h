// The open store on a broker's disk; see disk_store.h.
//
//   persist → queue ─(end of the turn)→ group → both places, synced → done, in order
//
// One coroutine at a time writes: it takes the queue's items in order, and groups what it can. A snapshot's
// file is written beside it; what makes it count is an item of the queue (store_segments.cc).
// Invariants: what is queued was not begun; one group is in flight at most; hard_ and terms_ are what is
// durable; the last k_hard_state_extent of a segment's blocks are never given to entries.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "src/raft/disk_store.h"
#include "src/raft/log_terms.h"
#include "src/raft/store_files.h"

namespace bascule::raft {

class DiskStore final : public Store {
 public:
  DiskStore(env::World& world, DiskStoreOptions options);

  void persist(Persist persist, env::Done<void> done) override;
  void persist_urgent(Persist persist, env::Done<void> done) override;
  void save_snapshot(Snapshot snapshot, uint64_t keep, env::Done<void> done) override;
  void lend_reserve(env::Done<void> done) override;
  void stop(env::Done<void> done) override;

  // --- Opening (open_store.cc).
  static Co<void> open(DiskStore& store, Uuid storage, OpenedStore& out);
  static Co<void> format(StoreFiles& files, Uuid storage, const StoredState& initial);

 private:
  enum class Kind : uint8_t { persist, keep_snapshot, stop };
  struct Item {
    Kind kind = Kind::persist;
    Persist persist;
    bool urgent = false;
    bool refused = false;  // something that it may build on was refused
    // keep_snapshot:
    SnapshotEntry file;
    SnapshotMeta meta;
    uint64_t keep = 0;
    env::Done<void> done;

    bool changes_log() const { return persist.first || persist.snapshot; }
  };
  // What one write makes durable.
  struct Group {
    struct Part {
      std::optional<HardState> hard;
      bool changes_log = false;
      bool refused = false;
      env::Done<void> done;
    };
    std::vector<Part> parts;
    Index first;  // 0: the log stays
    std::vector<Entry> entries;
    uint64_t bytes = 0;  // of the entries' data
    bool urgent = false;
  };

  // Everything that a start needs from the disk.
  struct Recovered {
    bool snapshot_needs_repair = false;
    StoredState state;
  };
  Co<void> read_snapshot(Recovered& found);
  Co<void> read_segments(Recovered& found);
  Co<void> begin_life(const Recovered& found);

  // --- Persisting (store_impl.cc).
  void enqueue(Item item);
  void wake();
  void deliver(env::Done<void> done, Status status);
  void refuse(env::Done<void> done);
  void refuse_what_follows();
  Co<void> write_queue();
  Group take_group();
  void add(Group& group, Item item);
  void trim(Persist& persist) const;
  HardState hard_after(const Group& group) const;
  Co<void> write_next_group();
  Co<void> write_group(Group& group);
  Co<void> write_mark();
  Co<bool> room_for_entries(const Group& group);
  Co<void> room_for_hard_state();
  void schedule_idle_mark();

  // --- Snapshots and segments (store_segments.cc).
  Co<void> write_snapshot(Snapshot snapshot, uint64_t keep);
  Co<void> install_snapshot(Item& item);
  Co<void> keep_snapshot(Item& item);
  Co<void> change_snapshot(const SnapshotEntry& kept, const SnapshotMeta& meta, uint64_t keep,
                           const HardState& hard, Persist& persist);
  Co<void> roll();
  Co<void> roll_for_hard_state();
  Co<void> stop_when_quiet();
  Co<void> end_life();
  StoreManifest manifest_now() const;
  void adopt(OpenSegment segment);

  env::World& world_;
  StoreFiles files_;
  OpenSegment segment_;
  bool segment_changes_log_ = false;  // some group of it has entries or a cut
  uint64_t roll_at_ = 0;              // position from which on another segment is due
  std::deque<Item> queue_;
  HardState hard_;
  LogTerms terms_;         // base: what the snapshot covers
  size_t refusals_ = 0;    // that were decided and not yet told
  bool unmarked_ = false;  // nothing later on the disk proves the last group durable
  env::TimerId idle_timer_;
  bool mark_due_ = false;
  bool awake_ = false;  // write_queue is going to run, or runs
  bool stopping_ = false;
  env::CoMutex snapshotting_;
  env::Scope alive_;
  env::CoScope scope_;
};

// As persisted after it: a term never goes back, and its vote is never another one.
HardState later_hard_state(const HardState& now, const HardState& next);

}  // namespace bascule::raft

// A Raft store between a driver and its disk: tells what is given to it and what it confirms, and remembers
// the entries, so that oracles see each one that is applied with its bytes.
#pragma once

#include <deque>
#include <memory>

#include "src/raft/disk_store.h"

namespace bascule::sim {

class StoreWatcher {
 public:
  virtual ~StoreWatcher() = default;
  virtual void given(uint64_t number, const raft::Persist& persist) = 0;
  virtual void confirmed(uint64_t number) = 0;
  virtual void refused(uint64_t number) = 0;
};

// The entries of one member's log in this life, on its disk or on their way there.
class EntryMirror {
 public:
  void open(const raft::StoredState& stored);
  void take(const raft::Persist& persist);
  // Covered by the snapshot that the life began with, or got from its leader.
  Index base() const { return base_; }
  // Null: it is not in the log.
  const raft::Entry* at(Index index) const;

 private:
  Index base_;
  std::deque<raft::Entry> entries_;  // of base_ + 1, …
};

class WatchedStore final : public raft::Store {
 public:
  // The watcher outlives it.
  WatchedStore(StoreWatcher& watcher, std::unique_ptr<raft::Store> store)
      : watcher_(watcher), store_(std::move(store)) {}

  void persist(raft::Persist persist, env::Done<void> done) override;
  void persist_urgent(raft::Persist persist, env::Done<void> done) override;
  void save_snapshot(raft::Snapshot snapshot, uint64_t keep, env::Done<void> done) override {
    store_->save_snapshot(std::move(snapshot), keep, std::move(done));
  }
  void lend_reserve(env::Done<void> done) override { store_->lend_reserve(std::move(done)); }
  void stop(env::Done<void> done) override { store_->stop(std::move(done)); }

 private:
  env::Done<void> watch(const raft::Persist& persist, env::Done<void> done);

  StoreWatcher& watcher_;
  std::unique_ptr<raft::Store> store_;
  uint64_t number_ = 0;
};

}  // namespace bascule::sim

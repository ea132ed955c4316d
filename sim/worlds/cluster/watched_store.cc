#include "sim/worlds/cluster/watched_store.h"

#include <utility>

namespace bascule::sim {

void EntryMirror::open(const raft::StoredState& stored) {
  base_ = stored.snapshot.meta.index;
  entries_.assign(stored.entries.begin(), stored.entries.end());
}

void EntryMirror::take(const raft::Persist& persist) {
  if (persist.snapshot) {
    base_ = persist.snapshot->meta.index;
    entries_.clear();
  }
  if (!persist.first) return;
  while (!entries_.empty() && base_.value + entries_.size() >= persist.first.value)
    entries_.pop_back();
  entries_.insert(entries_.end(), persist.entries.begin(), persist.entries.end());
}

const raft::Entry* EntryMirror::at(Index index) const {
  if (index <= base_ || index.value > base_.value + entries_.size()) return nullptr;
  return &entries_[index.value - base_.value - 1];
}

env::Done<void> WatchedStore::watch(const raft::Persist& persist, env::Done<void> done) {
  const uint64_t number = ++number_;
  watcher_.given(number, persist);
  return [this, number, done = std::move(done)](Status s) mutable {
    if (s) {
      watcher_.confirmed(number);
    } else if (s.error().code == Errc::no_space) {
      watcher_.refused(number);
    }
    done(std::move(s));
  };
}

void WatchedStore::persist(raft::Persist persist, env::Done<void> done) {
  auto watched = watch(persist, std::move(done));
  store_->persist(std::move(persist), std::move(watched));
}

void WatchedStore::persist_urgent(raft::Persist persist, env::Done<void> done) {
  auto watched = watch(persist, std::move(done));
  store_->persist_urgent(std::move(persist), std::move(watched));
}

}  // namespace bascule::sim

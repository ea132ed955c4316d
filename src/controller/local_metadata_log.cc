#include "src/controller/local_metadata_log.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

namespace bascule::controller {
namespace {

// There are no terms without a machine: all entries are of the first.
constexpr Term k_local_term{1};

//   propose → queue ─(end of the turn)→ one persist at a time → apply, entry by entry → done
//
// Invariants: applied <= written; what is queued was not begun.
class LocalMetadataLog final : public MetadataLog {
 public:
  LocalMetadataLog(env::World& world, uint64_t bytes_max, CommittedEntries& committed)
      : world_(world), bytes_max_(bytes_max), committed_(committed) {}

  Status begin(raft::OpenedStore opened) {
    store_ = std::move(opened.store);
    const raft::SnapshotMeta& covered = opened.state.snapshot.meta;
    written_ = covered.index;
    if (covered.index) BASCULE_TRY(committed_.restore(covered.index, opened.state.snapshot.data));
    for (const raft::Entry& e : opened.state.entries) {
      written_ = written_.next();
      BASCULE_TRY(committed_.apply(written_, e.term, e.data));
    }
    applied_ = written_;
    return {};
  }

  void propose(Slice command, Urgency urgency, env::Done<Index> done) override {
    Proposal proposal{std::move(command), urgency, std::move(done)};
    if (stopping_) return refuse(std::move(proposal), {Errc::stopping, "the metadata log"});
    queue_.push_back(std::move(proposal));
    wake();
  }
  Index last_committed() const override { return applied_; }

  void save_snapshot(Index index, Slice snapshot, env::Done<void> done) override {
    REQUIRE(index <= applied_, index, applied_);
    raft::Snapshot s;
    s.meta.index = index;
    s.meta.term = k_local_term;
    s.data = std::move(snapshot);
    store_->save_snapshot(std::move(s), 0, std::move(done));
  }
  void lend_reserve(env::Done<void> done) override { store_->lend_reserve(std::move(done)); }

  void stop(env::Done<void> done) override {
    REQUIRE(!stopping_);
    stopping_ = true;
    for (Proposal& p : std::exchange(queue_, {}))
      refuse(std::move(p), {Errc::stopping, "the metadata log"});
    stopped_ = std::move(done);
    if (writing_.empty()) stop_store();
  }

 private:
  struct Proposal {
    Slice command;
    Urgency urgency = Urgency::normal;
    env::Done<Index> done;
  };

  void refuse(Proposal proposal, Error why) {
    world_.loop.post(alive_.wrap([done = std::move(proposal.done), why = std::move(why)]() mutable {
      done(fail(std::move(why)));
    }));
  }

  // All that a turn proposes leaves as one.
  void wake() {
    if (!writing_.empty() || std::exchange(awake_, true)) return;
    world_.loop.at_turn_end(alive_.wrap([this] {
      awake_ = false;
      write();
    }));
  }

  void write() {
    uint64_t bytes = 0;
    while (!queue_.empty()) {
      bytes += queue_.front().command.size();
      if (!writing_.empty() && bytes > bytes_max_) break;
      writing_.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    if (!writing_.empty()) persist(Urgency::normal);
  }

  void persist(Urgency urgency) {
    raft::Persist entries;
    entries.first = written_.next();
    for (const Proposal& p : writing_)
      entries.entries.push_back({k_local_term, raft::EntryKind::command, p.command});
    auto done = alive_.wrap([this, urgency](Status s) { persisted(urgency, std::move(s)); });
    if (urgency == Urgency::normal) {
      store_->persist(std::move(entries), std::move(done));
    } else {
      store_->persist_urgent(std::move(entries), std::move(done));
    }
  }

  // On a full disk what is not essential is refused, and the rest takes the space that is kept back.
  void persisted(Urgency urgency, Status status) {
    std::vector<Proposal> group = std::exchange(writing_, {});
    if (!status) {
      world_.trace.probe("controller.metadata_log.full");
      for (Proposal& p : group) {
        if (urgency == Urgency::normal && p.urgency == Urgency::essential) {
          writing_.push_back(std::move(p));
        } else {
          refuse(std::move(p), status.error());
        }
      }
      if (!writing_.empty()) return persist(Urgency::essential);
    } else {
      for (Proposal& p : group) {
        written_ = written_.next();
        deliver(std::move(p), written_);
      }
    }
    if (stopped_) return stop_store();
    if (!queue_.empty()) wake();
  }

  // In a turn of its own: what it calls may end us.
  void deliver(Proposal proposal, Index index) {
    world_.loop.post(alive_.wrap([this, p = std::move(proposal), index]() mutable {
      ASSERT(index == applied_.next(), index, applied_);
      applied_ = index;
      if (auto ok = committed_.apply(index, k_local_term, p.command); !ok)
        return world_.loop.fail_stop(ok.error());
      p.done(index);
    }));
  }

  void stop_store() { store_->stop(std::exchange(stopped_, {})); }

  env::World& world_;
  const uint64_t bytes_max_;
  CommittedEntries& committed_;
  std::unique_ptr<raft::Store> store_;
  std::deque<Proposal> queue_;
  std::vector<Proposal> writing_;  // given to the store
  Index written_;                  // last entry that is durable
  Index applied_;                  // last entry that was handed over
  bool awake_ = false;             // write is going to run
  bool stopping_ = false;
  env::Done<void> stopped_;
  env::Scope alive_;
};

}  // namespace

void format_local_metadata_log(env::World& world, LocalMetadataLogOptions options, Uuid storage,
                               env::Done<void> done) {
  auto nothing = std::make_unique<raft::StoredState>();
  const raft::StoredState& initial = *nothing;
  raft::format_raft_store(world, std::move(options), storage, initial,
                          [nothing = std::move(nothing), done = std::move(done)](Status s) mutable {
                            done(std::move(s));
                          });
}

void open_local_metadata_log(env::World& world, LocalMetadataLogOptions options, Uuid storage,
                             CommittedEntries& committed,
                             env::Done<std::unique_ptr<MetadataLog>> done) {
  const uint64_t bytes_max = options.group_bytes_max;
  raft::open_raft_store(
      world, std::move(options), storage,
      [&world, bytes_max, &committed, done = std::move(done)](Result<raft::OpenedStore> r) mutable {
        if (!r) return done(fail(std::move(r.error())));
        auto log = std::make_unique<LocalMetadataLog>(world, bytes_max, committed);
        if (auto begun = log->begin(std::move(*r)); !begun)
          return done(fail(std::move(begun.error())));
        done(std::unique_ptr<MetadataLog>(std::move(log)));
      });
}

}  // namespace bascule::controller

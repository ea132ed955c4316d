// The open metadata log of a lone broker; see local_metadata_log.h.
//
//   propose → queue ─(end of the turn)→ group → both places, synced → apply, entry by entry → done
//
// One coroutine at a time writes (`writing_`): groups, or the change of segments that a snapshot makes.
// Invariants: applied <= written; what is queued was not begun; one group is in flight at most.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "src/controller/local_metadata_log.h"
#include "src/controller/metadata_files.h"

namespace bascule::controller {

class LocalMetadataLog final : public MetadataLog {
 public:
  LocalMetadataLog(env::World& world, LocalMetadataLogOptions options, CommittedEntries& committed);

  void propose(Slice command, Urgency urgency, env::Done<Index> done) override;
  Index last_committed() const override { return applied_; }
  void save_snapshot(Index index, Slice snapshot, env::Done<void> done) override;
  void lend_reserve(env::Done<void> done) override;
  void stop(env::Done<void> done) override;

  // --- Opening (open_metadata_log.cc).
  static Co<void> open(LocalMetadataLog& log, Uuid storage);
  static Co<void> format(MetadataFiles& files, Uuid storage);

 private:
  struct Proposal {
    Slice command;
    Urgency urgency = Urgency::normal;
    env::Done<Index> done;
  };

  // Everything that a start needs from the disk.
  struct Recovered {
    std::array<Slice, k_places> snapshot_copies;
    bool snapshot_needs_repair = false;
    Slice snapshot;
    std::vector<std::array<Slice, k_places>> segment_copies;
    std::vector<Entry> entries;  // beyond the snapshot; views into segment_copies
    Index first;                 // of entries
    Index last;
  };
  Co<void> read_snapshot(Recovered& found);
  Co<void> read_segments(Recovered& found);
  Status hand_over(const Recovered& found);
  Co<void> begin_life(Recovered& found);
  Co<void> write_tail(OpenSegment& segment, const Recovered& found);

  void wake();
  void refuse(Proposal proposal, Error why);
  Co<void> write_queue();
  std::vector<Proposal> take_group();
  Co<void> make_room(std::vector<Proposal>& group);
  bool fits(const std::vector<Proposal>& group) const;
  Co<void> write_proposals(std::vector<Proposal>& group);
  void deliver(Proposal proposal, Index index);
  void schedule_idle_mark();

  Co<void> take_snapshot(Index index, Slice snapshot);
  Co<void> change_segments(Index index, Slice snapshot);
  Co<void> end_life();

  env::World& world_;
  CommittedEntries& committed_;
  MetadataFiles files_;
  OpenSegment segment_;
  std::deque<Proposal> queue_;
  Index written_;  // last entry that is durable
  Index applied_;  // last entry that was handed over
  Index marked_;   // last entry that something later on the disk proves durable
  env::TimerId idle_timer_;
  bool mark_due_ = false;
  bool awake_ = false;  // write_queue is going to run, or runs
  bool stopping_ = false;
  log::CoMutex writing_;
  log::CoMutex snapshotting_;
  env::Scope alive_;
  log::CoScope scope_;
};

}  // namespace bascule::controller

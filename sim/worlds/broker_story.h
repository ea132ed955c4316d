// What one run of world `broker` remembers over the lives of its broker, beside its streams.
#pragma once

#include "sim/worlds/stream_story.h"

namespace bascule::sim {

class BrokerStory final : public StreamStory {
 public:
  BrokerStory(Simulation& simulation, Node& its_node, Verdict& its_verdict, uint64_t seed)
      : StreamStory(simulation, its_verdict, seed), node(its_node) {}

  void look_at_damage() override;
  bool damaged(PartitionId partition) const override {
    return all_damaged_ || StreamStory::damaged(partition);
  }
  bool may_fail_to_read(PartitionId) const override { return reads_failed; }
  // What was in the page cache alone may be gone.
  void cache_went_away();
  // A new life reads its disks: what memory has served of a damaged partition may be gone.
  void restarts();
  // The metadata may be gone: the broker may refuse to start, by name.
  bool metadata_damaged() const { return metadata_damaged_; }
  // A read of the medium failed once: what it hit may be told damaged, without being lost.
  bool reads_failed = false;
  // A failed sync has thrown pages out of the cache: a `memory` stream may lose what a kill leaves it.
  bool cache_dropped = false;
  // The disk has been full, and not healed: logs may be waiting for room to open.
  bool disk_was_full = false;

  Node& node;
  bool clean_exit = false;  // the last life ended with a clean stop
  bool gave_up = false;     // the broker has refused to start, rightly

 private:
  void give_up_all();

  size_t damage_seen_ = 0;
  bool all_damaged_ = false;
  bool metadata_damaged_ = false;
};

}  // namespace bascule::sim

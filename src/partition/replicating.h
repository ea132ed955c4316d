// What the leader of one epoch does for its followers: the driver that joins follower_sessions.h and
// isr_review.h to the log, the link and the leader machine.
//
// Followers are served whatever is in the log, committed or not: space was reserved before the append, so
// nothing of it is ever taken back by this leader. A changed in-sync set counts as pending, with the present
// one, from before its proposal leaves until the metadata shows a higher version.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "src/base/trace.h"
#include "src/env/loop.h"
#include "src/log/log.h"
#include "src/partition/follower_sessions.h"
#include "src/partition/isr_review.h"
#include "src/partition/leader.h"
#include "src/partition/replication.h"

namespace bascule::partition {

// What the leader acts by, of the metadata's view.
struct ReplicationView {
  std::vector<ReplicaView> replicas;
  std::vector<NodeId> isr;
  uint32_t min_isr = 1;
  Version version;
  model::DurabilityMode durability = model::DurabilityMode::fsync;
};

class Replicating {
 public:
  // All outlive it. `perform` takes what the leader machine says.
  Replicating(env::Loop& loop, Tracer& trace, log::Log& log, ReplicationLink& link, Leader& leader,
              IsrProposal& proposal, PartitionId partition, NodeId self, Duration lag_max,
              std::function<void(LeaderOutput)> perform);
  ~Replicating();
  Replicating(const Replicating&) = delete;
  Replicating& operator=(const Replicating&) = delete;

  void view_changed(ReplicationView view);
  void fetched(const FollowerSession& from, const FetchFrom& fetch);
  void progressed(const FollowerSession& from, const ProgressReport& report);
  // The log has grown.
  void appended() { serve_soon(); }
  void hw_moved() { tell_hw_later(); }
  void log_start_moved() { tell_hw_later(); }
  // Now and then: who lags, who has caught up.
  void review();
  // It ends: whoever waits for an answer is told to ask again. Last call.
  void resign();

 private:
  using Follower = FollowerSessions::Follower;

  void count(const FollowerSession& from, const ProgressReport& report);
  void serve_soon();
  void serve_all();
  void serve(NodeId node, Follower& follower);
  void served(const FollowerSession& to, Result<log::ReadResult> read);
  void tell_hw_later();
  void tell_hw();
  FetchAnswer blank() const;
  IsrFacts facts() const;
  void propose();

  env::Loop& loop_;
  Tracer& trace_;
  log::Log& log_;
  ReplicationLink& link_;
  Leader& leader_;
  IsrProposal& proposal_;
  const PartitionId partition_;
  const NodeId self_;
  const Duration lag_max_;
  const std::function<void(LeaderOutput)> perform_;

  ReplicationView view_;
  FollowerSessions sessions_;
  bool serving_ = false;
  env::TimerId hw_timer_;
  env::Scope scope_;
};

}  // namespace bascule::partition

// What this replica is: leader, follower, or neither, as the metadata's latest view says.
#include <algorithm>
#include <utility>

#include "src/base/assert.h"
#include "src/partition/partition.h"

namespace bascule::partition {

bool Partition::mine(const PartitionView& view) const {
  return view.leader == options_.self && view.leader_incarnation == own_;
}

void Partition::apply(const PartitionView& view, Incarnation own) {
  REQUIRE(own != Incarnation{});
  REQUIRE(view.epoch >= view_.epoch, view.epoch, view_.epoch);
  if (stopping_) return;
  own_ = own;
  const PartitionView before = std::exchange(view_, view);
  // Whatever was proposed from an earlier version can no longer happen: its outcome, if it had one, is in
  // this view.
  if (view.version > proposal_.from) proposal_ = {};
  if (before.durability != view.durability || !leader_) log_->set_durability(view.durability);
  if (leader_ && (!mine(view) || leader_->epoch() != view.epoch))
    stop_leading({Errc::not_leader, "epoch " + view.epoch.to_string() + " has begun"});
  if (following_ && (following_->leader() != view.leader || following_->epoch() != view.epoch))
    stop_following();
  if (leader_) {
    if (before.durability != view.durability) perform(leader_->durability_changed(view.durability));
    if (replicating_)
      replicating_->view_changed(replication_view());
    else if (before.isr != view.isr || before.min_isr != view.min_isr)
      perform(leader_->isr_changed({view.isr, {}, view.min_isr}));
    return;
  }
  settle();
}

// Takes the role that the view gives, unless it is taken or the log is being changed.
void Partition::settle() {
  if (stopping_ || changing_log_ || leader_ || following_) return;
  if (mine(view_)) return lead();
  if (view_.leader && view_.leader != options_.self) return follow();
  if (!view_.leader) report_end();
}

// --- Leading --------------------------------------------------------------------------------------

ReplicationView Partition::replication_view() const {
  return {view_.replicas, view_.isr, view_.min_isr, view_.version, view_.durability};
}

void Partition::lead() {
  leader_.emplace(LeaderStart{
      .self = options_.self,
      .epoch = view_.epoch,
      .isr = {view_.isr, proposal_.nodes(), view_.min_isr},
      .durability = view_.durability,
      .leo = log_->leo(),
      // A second leadership of one life takes nothing back that readers have seen.
      .hw = std::max(hw_, log_->recovered_hw()),
      .own = {log_->written_leo(), log_->durable_leo()},
      .last_append_time = log_->last_append_time(),
      .in_flight_bytes_max = options_.in_flight_bytes_max,
  });
  hw_ = leader_->hw();
  log_->note_hw(hw_);
  if (options_.link == nullptr) return;
  replicating_ = std::make_unique<Replicating>(
      loop_, trace_, *log_, *options_.link, *leader_, proposal_, options_.id, options_.self,
      options_.replica_lag_max, [this](LeaderOutput output) { perform(std::move(output)); });
  replicating_->view_changed(replication_view());
}

void Partition::stop_leading(const Error& why) {
  if (!leader_) return;
  if (replicating_) replicating_->resign();
  replicating_.reset();
  LeaderOutput output = leader_->resign();
  leader_.reset();
  end_readers(why);
  refuse_waiting(why);
  perform(std::move(output));
}

void Partition::fetched(const FollowerSession& from, const FetchFrom& fetch) {
  if (replicating_ && leader_->epoch() == fetch.epoch) return replicating_->fetched(from, fetch);
  // Not in this epoch, or not yet.
  FetchAnswer answer;
  answer.partition = fetch.partition;
  answer.epoch = fetch.epoch;
  if (options_.link != nullptr) options_.link->answer(from, std::move(answer));
}

void Partition::progressed(const FollowerSession& from, const ProgressReport& report) {
  if (replicating_) replicating_->progressed(from, report);
}

void Partition::review() {
  if (replicating_) return replicating_->review();
  if (!view_.leader && !stopping_) report_end();
}

// --- Following ------------------------------------------------------------------------------------

void Partition::follow() {
  if (options_.link == nullptr) return;
  following_ = std::make_unique<Following>(loop_, trace_, *log_, *options_.link,
                                           static_cast<FollowingHost&>(*this), options_.id,
                                           view_.leader, view_.epoch);
}

void Partition::stop_following() { following_.reset(); }

void Partition::answered(NodeId leader, FetchAnswer answer) {
  if (following_ && following_->leader() == leader) following_->answered(std::move(answer));
}

void Partition::session_began(NodeId leader) {
  if (following_ && following_->leader() == leader) following_->session_began();
}

void Partition::hw_told(Offset hw) {
  if (hw <= hw_) return;
  hw_ = hw;
  log_->note_hw(hw_);
}

FollowerStanding Partition::standing() const {
  const bool counted = std::ranges::binary_search(view_.isr, options_.self) ||
                       std::ranges::binary_search(view_.elr, options_.self);
  return {counted, view_.loss_at};
}

// --- The log changes its end ----------------------------------------------------------------------

env::Done<void> Partition::log_changed(env::Done<void> done) {
  changing_log_ = true;
  return scope_.wrap([this, done = std::move(done)](Status changed) mutable {
    changing_log_ = false;
    hw_ = std::clamp(hw_, log_->log_start(), log_->leo());
    done(std::move(changed));
    settle();
  });
}

void Partition::cut(Offset to, env::Done<void> done) {
  log_->truncate(to, log_changed(std::move(done)));
}

void Partition::begin_anew(Offset at, env::Done<void> done) {
  log_->restart_at(at, log_changed(std::move(done)));
}

// --- Without a leader -----------------------------------------------------------------------------

// Tells how far this replica goes once all of it is on the disk; until the next leader nothing is appended
// and nothing cut. Told again at each review until the metadata shows it, or a leader.
void Partition::report_end() {
  if (options_.link == nullptr || changing_log_ || view_.end_reported) return;
  const Epoch epoch = view_.epoch;
  if (reported_ == epoch) return;
  reported_ = epoch;
  log_->sync(scope_.wrap([this, epoch](const Status& synced) {
    if (reported_ == epoch) reported_ = {};
    if (!synced || view_.leader || view_.epoch != epoch || stopping_ || changing_log_) return;
    options_.link->report_end(options_.id, epoch, log_->last_epoch(), log_->durable_leo());
  }));
}

}  // namespace bascule::partition

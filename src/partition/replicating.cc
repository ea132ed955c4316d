#include "src/partition/replicating.h"

#include <algorithm>
#include <utility>

namespace bascule::partition {
namespace {

// A follower without new records still hears of the high watermark, this much later.
constexpr Duration k_hw_delay = milliseconds(10);
// A proposal whose outcome has not shown is made again: copies are told apart by their version.
constexpr Duration k_propose_again = seconds(1);

}  // namespace

Replicating::Replicating(env::Loop& loop, Tracer& trace, log::Log& log, ReplicationLink& link,
                         Leader& leader, IsrProposal& proposal, PartitionId partition, NodeId self,
                         Duration lag_max, std::function<void(LeaderOutput)> perform)
    : loop_(loop),
      trace_(trace),
      log_(log),
      link_(link),
      leader_(leader),
      proposal_(proposal),
      partition_(partition),
      self_(self),
      lag_max_(lag_max),
      perform_(std::move(perform)),
      sessions_(leader.epoch()) {}

Replicating::~Replicating() { loop_.cancel(hw_timer_); }

void Replicating::view_changed(ReplicationView view) {
  view_ = std::move(view);
  std::vector<ReplicaLife> lives;
  for (const ReplicaView& r : view_.replicas) {
    if (r.node != self_ && r.incarnation) lives.push_back(r.life());
  }
  std::vector<NodeId> before;
  for (const auto& [node, f] : sessions_.all()) before.push_back(node);
  sessions_.allow(lives, loop_.now());
  for (const NodeId node : before) {
    const Follower* f = sessions_.find(node);
    if (f == nullptr || !f->matched) leader_.forget(node);
  }
  perform_(leader_.isr_changed({view_.isr, proposal_.nodes(), view_.min_isr}));
}

// --- Serving --------------------------------------------------------------------------------------

FetchAnswer Replicating::blank() const {
  FetchAnswer answer;
  answer.partition = partition_;
  answer.epoch = leader_.epoch();
  answer.outcome = FetchOutcome::records;
  answer.hw = leader_.hw();
  answer.log_start = log_.log_start();
  return answer;
}

void Replicating::fetched(const FollowerSession& from, const FetchFrom& fetch) {
  auto answer = sessions_.fetch(from, fetch, {log_.log_start(), log_.leo(), log_.epochs()});
  if (!answer) return;
  const Follower* f = sessions_.find(from.follower.node);
  if (f == nullptr || !f->matched) leader_.forget(from.follower.node);
  if (answer->outcome != FetchOutcome::records) {
    trace_.probe("partition.lead.not_matched");
    answer->hw = leader_.hw();
    return link_.answer(from, std::move(*answer));
  }
  count(from, {fetch.partition, fetch.epoch, fetch.progress});
  if (log_.leo() > fetch.from) return serve_soon();
  if (f->hw_known < leader_.hw() || f->log_start_known < log_.log_start()) tell_hw_later();
}

void Replicating::progressed(const FollowerSession& from, const ProgressReport& report) {
  count(from, report);
}

void Replicating::count(const FollowerSession& from, const ProgressReport& report) {
  if (!sessions_.progress(from, report, counted_leo(report.progress, view_.durability), log_.leo(),
                          loop_.now()))
    return;
  perform_(leader_.progress(from.follower.node, report.progress));
  // Who has caught up joins at once: the set may be below min_isr.
  const bool member = std::ranges::binary_search(view_.isr, from.follower.node);
  if (!member && !proposal_.open() &&
      counted_leo(report.progress, view_.durability) >= leader_.hw())
    review();
}

void Replicating::serve_soon() {
  if (std::exchange(serving_, true)) return;
  loop_.post(scope_.wrap([this] {
    serving_ = false;
    serve_all();
  }));
}

void Replicating::serve_all() {
  for (auto& [node, follower] : sessions_.all()) serve(node, follower);
}

void Replicating::serve(NodeId node, Follower& f) {
  if (!f.asking || f.reading || log_.leo() <= f.next) return;
  f.reading = true;
  const FollowerSession to{{node, f.incarnation}, f.session};
  log_.read({.from = f.next, .until = log_.leo(), .bytes_max = k_fetch_bytes_max},
            scope_.wrap([this, to](Result<log::ReadResult> read) { served(to, std::move(read)); }));
}

void Replicating::served(const FollowerSession& to, Result<log::ReadResult> read) {
  Follower* f = sessions_.find(to.follower.node);
  if (f == nullptr || f->incarnation != to.follower.incarnation) return;
  f->reading = false;
  if (f->session != to.number || !f->asking) return serve_soon();
  FetchAnswer answer = blank();
  if (read) {
    answer.batches = std::move(read->batches);
    f->hw_known = answer.hw;
    f->log_start_known = answer.log_start;
  } else if (read.error().code == Errc::not_found) {
    answer.outcome = FetchOutcome::below_start;
  } else {
    answer.outcome = FetchOutcome::not_now;
    trace_.probe("partition.lead.read_failed");
  }
  f->asking = false;
  link_.answer(to, std::move(answer));
}

// The same leadership may go on later, and a question that stood here would not be known then.
void Replicating::resign() {
  for (auto& [node, f] : sessions_.all()) {
    if (!f.asking) continue;
    FetchAnswer answer = blank();
    answer.outcome = FetchOutcome::not_now;
    link_.answer({{node, f.incarnation}, f.session}, std::move(answer));
  }
}

void Replicating::tell_hw_later() {
  if (hw_timer_) return;
  hw_timer_ = loop_.after(k_hw_delay, scope_.wrap([this] {
    hw_timer_ = {};
    tell_hw();
  }));
}

void Replicating::tell_hw() {
  for (auto& [node, f] : sessions_.all()) {
    if (!f.asking || f.reading) continue;
    if (f.hw_known >= leader_.hw() && f.log_start_known >= log_.log_start()) continue;
    if (log_.leo() > f.next) continue;  // it travels with the records
    f.asking = false;
    f.hw_known = leader_.hw();
    f.log_start_known = log_.log_start();
    link_.answer({{node, f.incarnation}, f.session}, blank());
  }
}

// --- The in-sync set ------------------------------------------------------------------------------

IsrFacts Replicating::facts() const {
  return {self_,       view_.replicas, view_.isr,       leader_.hw(), leader_.epoch_start(),
          loop_.now(), lag_max_,       view_.durability};
}

void Replicating::review() {
  sessions_.note_time(log_.leo(), view_.durability, loop_.now());
  if (proposal_.open()) {
    if (loop_.now() - proposal_.at >= k_propose_again) propose();
    return;
  }
  const IsrFacts now = facts();
  if (auto suspects = cleared_suspects(now, sessions_); !suspects.empty())
    link_.clear_suspects(partition_, view_.version, std::move(suspects));
  auto next = next_isr(now, sessions_);
  if (!next) return;
  proposal_ = {view_.version, std::move(*next), {}};
  // Counted before anybody can know of it.
  perform_(leader_.isr_changed({view_.isr, proposal_.nodes(), view_.min_isr}));
  trace_.probe("partition.lead.isr_proposed");
  propose();
}

void Replicating::propose() {
  proposal_.at = loop_.now();
  link_.propose_isr(partition_, proposal_.from, proposal_.set);
}

}  // namespace bascule::partition

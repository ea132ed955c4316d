#include "src/partition/follower_sessions.h"

#include <algorithm>

namespace bascule::partition {

Offset end_of_epoch(Epoch epoch, const std::vector<log::EpochStart>& epochs, Offset leo) {
  const auto above = std::ranges::upper_bound(epochs, epoch, {}, &log::EpochStart::epoch);
  return above == epochs.end() ? leo : above->start;
}

FetchAnswer judge_end(const FetchFrom& fetch, const LogEnds& log) {
  FetchAnswer answer;
  answer.partition = fetch.partition;
  answer.epoch = fetch.epoch;
  answer.log_start = log.log_start;
  answer.outcome = FetchOutcome::records;
  if (fetch.from < log.log_start) {
    answer.outcome = FetchOutcome::below_start;
    return answer;
  }
  // Nothing that could differ: an empty log, or one that is committed to its end where ours begins.
  const bool nothing_kept = !fetch.last_epoch && fetch.from <= log.leo;
  const bool committed_to_our_start = fetch.from == log.log_start && fetch.hw >= fetch.from;
  if (nothing_kept || committed_to_our_start) return answer;
  const auto above =
      std::ranges::upper_bound(log.epochs, fetch.last_epoch, {}, &log::EpochStart::epoch);
  if (above == log.epochs.begin()) {
    // All that we have is of later epochs: what it has of earlier ones cannot be compared.
    answer.outcome = FetchOutcome::below_start;
    return answer;
  }
  answer.common_epoch = (above - 1)->epoch;
  answer.common_end = above == log.epochs.end() ? log.leo : above->start;
  const bool found = answer.common_epoch == fetch.last_epoch && fetch.from <= answer.common_end &&
                     fetch.from >= (above - 1)->start;
  if (!found) answer.outcome = FetchOutcome::diverging;
  return answer;
}

void FollowerSessions::allow(const std::vector<ReplicaLife>& lives, MonotonicTime now) {
  std::map<NodeId, Follower> next;
  for (const ReplicaLife& life : lives) {
    const auto at = followers_.find(life.node);
    if (at != followers_.end() && at->second.incarnation == life.incarnation) {
      next.emplace(life.node, std::move(at->second));
    } else {
      // Its lag counts from here: it had no chance before.
      Follower fresh;
      fresh.incarnation = life.incarnation;
      fresh.caught_up = now;
      fresh.mark_time = now;
      next.emplace(life.node, fresh);
    }
  }
  followers_ = std::move(next);
}

std::optional<FetchAnswer> FollowerSessions::fetch(const FollowerSession& from,
                                                   const FetchFrom& fetch, const LogEnds& log) {
  FetchAnswer refusal;
  refusal.partition = fetch.partition;
  refusal.epoch = fetch.epoch;
  Follower* f = find(from.follower.node);
  if (f == nullptr || f->incarnation != from.follower.incarnation || fetch.epoch != epoch_)
    return refusal;
  if (from.number < f->session) return std::nullopt;
  if (from.number > f->session) {
    f->session = from.number;
    f->matched = false;
    f->asking = false;
    f->progress = {};
    f->hw_known = {};
    f->log_start_known = {};
  }
  FetchAnswer answer = judge_end(fetch, log);
  if (answer.outcome != FetchOutcome::records) {
    f->matched = false;
    f->asking = false;
    f->progress = {};
    return answer;
  }
  f->matched = true;
  f->asking = true;
  f->next = fetch.from;
  f->hw_known = std::max(f->hw_known, std::min(fetch.hw, log.leo));
  return answer;
}

bool FollowerSessions::progress(const FollowerSession& from, const ProgressReport& report,
                                Offset counted, Offset leo, MonotonicTime now) {
  Follower* f = find(from.follower.node);
  if (f == nullptr || f->incarnation != from.follower.incarnation || from.number != f->session ||
      report.epoch != epoch_ || !f->matched || report.progress.durable > report.progress.written ||
      report.progress.written > leo)
    return false;
  f->progress = report.progress;
  advance_mark(*f, counted, leo, now);
  return true;
}

// A follower that is always a little behind a busy leader is caught up as of the time at which the leader
// had what the follower has now.
void FollowerSessions::advance_mark(Follower& f, Offset counted, Offset leo, MonotonicTime now) {
  if (counted >= leo) {
    f.caught_up = now;
  } else if (counted >= f.mark) {
    f.caught_up = std::max(f.caught_up, f.mark_time);
  } else {
    return;
  }
  f.mark = leo;
  f.mark_time = now;
}

void FollowerSessions::note_time(Offset leo, model::DurabilityMode mode, MonotonicTime now) {
  for (auto& [node, f] : followers_) {
    if (f.matched && counted_leo(f.progress, mode) >= leo) advance_mark(f, leo, leo, now);
  }
}

FollowerSessions::Follower* FollowerSessions::find(NodeId node) {
  const auto at = followers_.find(node);
  return at == followers_.end() ? nullptr : &at->second;
}

const FollowerSessions::Follower* FollowerSessions::find(NodeId node) const {
  const auto at = followers_.find(node);
  return at == followers_.end() ? nullptr : &at->second;
}

}  // namespace bascule::partition

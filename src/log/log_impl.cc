#include "src/log/log_impl.h"

#include <algorithm>

namespace bascule::log {

LogStats LogImpl::stats() const {
  LogStats out = stats_;
  out.segments = segments_.size();
  return out;
}

std::vector<SegmentInfo> LogImpl::segments() const {
  std::vector<SegmentInfo> out;
  for (const SegmentRef& s : segments_)
    if (!s->empty())
      out.push_back({s->first, s->end, s->summary.batch_bytes, s->summary.last_time});
  return out;
}

void LogImpl::note_hw(Offset hw) {
  if (hw <= hw_) return;
  hw_ = hw;
  host_.changed();
}

LogsEntry LogImpl::logs_entry() const {
  return {.partition = options_.partition,
          .assignment = options_.assignment,
          .generation = manifest_.generation,
          .leo = durable_leo_,
          .last_epoch = last_epoch_,
          .hw = std::min(hw_, durable_leo_),
          .suspect = suspect_,
          .is_end = sealed_lazily_,
          .clean = stopped_};
}

void LogImpl::stop(env::Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  refuse_space_waiters({Errc::stopping, "the log is stopping"});
  scope_.spawn<void>(stop_now(), std::move(done));
}

Co<void> LogImpl::stop_now() {
  (void)co_await structure_.lock();
  flush();
  auto status = co_await wait_durable();
  if (status && host_.serving() && wants_sealing()) (void)co_await seal_rolled();
  if (reads_ > 0)
    (void)co_await call<void>([this](env::Done<void> done) { reads_ended_ = std::move(done); });
  stopped_ = status.has_value();
  observer_ = nullptr;
  structure_.unlock();
  co_return status;
}

void LogImpl::check_invariants() const {
  ASSERT(log_start() <= leo_, log_start(), leo_);
  ASSERT(durable_leo_ <= written_leo_ && written_leo_ <= leo_, durable_leo_, written_leo_, leo_);
  ASSERT(durable_seq_ <= written_seq_ && cached_seq_ <= written_seq_);
  ASSERT(written_seq_ <= submitted_seq_ && submitted_seq_ <= groups_first_ + groups_.size());
  ASSERT(in_flight_ <= submitted_seq_ - groups_first_);
  for (size_t i = 1; i < epochs_.size(); ++i)
    ASSERT(epochs_[i - 1].epoch < epochs_[i].epoch && epochs_[i - 1].start <= epochs_[i].start);
  Offset at;
  for (const SegmentRef& s : segments_) {
    ASSERT(s->first <= s->end && (s->empty() || at <= s->first), s->first, s->end, at);
    ASSERT(s->write_position % k_group_alignment == 0);
    if (!s->empty()) at = s->end;
  }
  ASSERT(at <= leo_);
  if (active_) ASSERT(!active_->sealed && !active_->never_write);
  for (size_t i = 1; i < groups_.size(); ++i) ASSERT(groups_[i - 1]->next == groups_[i]->first);
}

}  // namespace bascule::log

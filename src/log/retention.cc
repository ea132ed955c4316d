// The log's start moves up; whole segments below it go, into the pool where they may.
#include <algorithm>

#include "src/log/log_impl.h"

namespace bascule::log {

void LogImpl::set_log_start(Offset to, env::Done<void> done) {
  REQUIRE(to <= durable_leo_, to, durable_leo_);
  if (!host_.serving()) {
    loop().post([done = std::move(done)]() mutable { done(fail(not_serving())); });
    return;
  }
  scope_.spawn<void>(set_log_start_now(to), std::move(done));
}

Co<void> LogImpl::set_log_start_now(Offset to) {
  (void)co_await structure_.lock();
  if (to <= manifest_.log_start) {
    structure_.unlock();
    co_return Status();
  }
  if (stopping_) {
    structure_.unlock();
    co_return fail(Errc::stopping, "the log is stopping");
  }
  std::vector<SegmentRef> kept;
  std::vector<SegmentRef> gone;
  for (const SegmentRef& s : segments_) (s->sealed && s->end <= to ? gone : kept).push_back(s);
  Manifest m = manifest_;
  m.log_start = to;
  for (const SegmentRef& s : gone) {
    std::erase_if(m.segments, [&](const SegmentEntry& e) { return e.id == s->id; });
    m.retired.push_back(s->id);
  }
  std::erase_if(m.damaged, [&](const OffsetRange& r) { return r.next <= to; });
  auto status = co_await change_manifest(m);
  if (status) {
    segments_ = std::move(kept);
    for (const SegmentRef& s : gone) {
      stats_.bytes -= s->summary.batch_bytes;
      dropped_.emplace_back(s, true);
    }
    hw_ = std::max(hw_, to);
    // Epochs that lie wholly below keep nothing to start.
    while (epochs_.size() > 1 && epochs_[1].start <= to) epochs_.erase(epochs_.begin());
    host_.changed();
  }
  gone.clear();
  structure_.unlock();
  kick_maintenance();
  co_return status;
}

}  // namespace bascule::log

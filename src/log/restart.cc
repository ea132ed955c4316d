// A log that begins anew at some offset, empty: what a follower does whose records the leader has no more.
#include <utility>

#include "src/log/log_impl.h"

namespace bascule::log {

void LogImpl::restart_at(Offset at, env::Done<void> done) {
  REQUIRE(!stopping_);
  if (!host_.serving()) {
    loop().post([done = std::move(done)]() mutable { done(fail(not_serving())); });
    return;
  }
  scope_.spawn<void>(restart_now(at), std::move(done));
}

Co<void> LogImpl::restart_now(Offset at) {
  (void)co_await structure_.lock();
  flush();
  auto status = co_await wait_durable();
  SegmentRef fresh = next_;
  if (status && !fresh) {
    auto made =
        co_await new_segment(host_.options().extent_bytes_first, false, manifest_.next_segment_id);
    if (made)
      fresh = *made;
    else
      status = fail(std::move(made.error()));
  }
  if (!status) {
    structure_.unlock();
    co_return status;
  }
  fresh->first = at;
  fresh->end = at;
  SegmentEntry entry = fresh->entry();
  entry.based = true;
  entry.first = at;
  Manifest m = manifest_;
  ++m.generation;
  m.segments = {entry};
  for (const SegmentRef& s : segments_)
    if (s != fresh) m.retired.push_back(s->id);
  m.next_segment_id = std::max(m.next_segment_id, fresh->id + 1);
  m.log_start = at;
  m.recovery_offset = at;
  m.recovery_segment = fresh->id;
  m.recovery_position = 0;
  m.damaged.clear();
  status = co_await change_manifest(m);
  if (!status) {
    if (fresh != next_) (void)co_await host_.dispose(fresh->path, fresh->reserved, false);
    structure_.unlock();
    co_return status;
  }
  std::vector<SegmentRef> gone = std::exchange(segments_, {fresh});
  for (const SegmentRef& s : gone) {
    if (s == fresh) continue;
    if (sealed_lazily_) s->never_write = s->never_write || !s->sealed;
    dropped_.emplace_back(s, false);
  }
  gone.clear();
  active_ = fresh;
  next_ = nullptr;
  sealed_lazily_ = false;
  epochs_.clear();
  cut_memory(at);
  hw_ = at;
  structure_.unlock();
  kick_maintenance();
  co_return Status();
}

}  // namespace bascule::log

// What makes a file's syncs tell the truth beside one another.
//
// A sync that fails may have dropped from the page cache what it did not write, whoever wrote it, and the
// system tells that to one caller only: a sync right after it succeeds and proves nothing. So the syncs
// of a file go one at a time, and once one has failed all later ones fail without being tried (P. Rebello
// et al., "Can Applications Recover from fsync Failures?", 2020). What a sync before that one reported
// durable is durable.
#pragma once

#include <mutex>
#include <utility>

#include "src/base/result.h"

namespace bascule::io {

class SyncLatch {
 public:
  // `sync` gives a Status, and may block. From any thread.
  template <class Sync>
  Status run(Sync sync) {
    const std::lock_guard lock(mutex_);
    if (failed_) failed_ = sync();
    return failed_;
  }

 private:
  std::mutex mutex_;
  Status failed_;  // that of the first sync that failed
};

}  // namespace bascule::io

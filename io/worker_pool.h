// A few threads for calls that may block (files, names), behind the loop: a job's `work` runs on one of
// them, then `finish` on the loop's thread. Jobs of a pool with one thread run in the order given.
//
// Buffers' reference counts are not atomic, so a job is made, finished and destroyed on the loop's thread;
// `work` may only read and write what it points to.
#pragma once

#include <memory>
#include <utility>

#include "io/asio_loop.h"

namespace bascule::io {

class Job {
 public:
  virtual ~Job() = default;
  virtual void work() = 0;
  virtual void finish() = 0;
};

class WorkerPool {
 public:
  WorkerPool(AsioLoop& loop, int threads);
  // Waits for the jobs at work; all others are dropped, and no `finish` runs any more.
  ~WorkerPool();

  void run(std::unique_ptr<Job> job);

  // `call` gives a Result<T> on a worker; `done` gets it on the loop. Neither may hold a buffer that
  // the worker copies or drops.
  template <class T, class Call>
  void call(Call call, env::Done<T> done);

 private:
  struct Shared;

  AsioLoop& loop_;
  std::shared_ptr<Shared> shared_;
};

template <class T, class Call>
class CallJob final : public Job {
 public:
  CallJob(Call call, env::Done<T> done) : call_(std::move(call)), done_(std::move(done)) {}
  void work() override { result_ = call_(); }
  void finish() override { done_(std::move(result_)); }

 private:
  Call call_;
  env::Done<T> done_;
  Result<T> result_ = fail(Errc::internal);  // until work() has run
};

template <class T, class Call>
void WorkerPool::call(Call call, env::Done<T> done) {
  run(std::make_unique<CallJob<T, Call>>(std::move(call), std::move(done)));
}

}  // namespace bascule::io

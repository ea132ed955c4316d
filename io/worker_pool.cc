#include "io/worker_pool.h"

#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "src/base/assert.h"

namespace bascule::io {

struct WorkerPool::Shared {
  explicit Shared(AsioLoop& l) : loop(l) {}

  AsioLoop& loop;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::unique_ptr<Job>> waiting;    // guarded by mutex
  std::vector<std::unique_ptr<Job>> finished;  // guarded by mutex
  bool collecting = false;                     // guarded by mutex: a collection is on its way
  bool stopping = false;                       // guarded by mutex
  bool gone = false;                           // loop's thread only

  void serve(const std::shared_ptr<Shared>& self);
  void collect(const std::shared_ptr<Shared>& self);
};

void WorkerPool::Shared::serve(const std::shared_ptr<Shared>& self) {
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [this] { return stopping || !waiting.empty(); });
    if (stopping) return;
    std::unique_ptr<Job> job = std::move(waiting.front());
    waiting.pop_front();
    lock.unlock();
    job->work();
    lock.lock();
    finished.push_back(std::move(job));
    if (stopping || std::exchange(collecting, true)) continue;
    // Under the mutex: the pool, and with it the loop, cannot go before this thread has been joined.
    loop.post_from_any_thread([self] { self->collect(self); });
  }
}

// Each finish is a turn of its own, as any completion is.
void WorkerPool::Shared::collect(const std::shared_ptr<Shared>& self) {
  std::vector<std::unique_ptr<Job>> jobs;
  {
    const std::lock_guard lock(mutex);
    jobs.swap(finished);
    collecting = false;
  }
  for (std::unique_ptr<Job>& job : jobs) {
    loop.post([self, job = std::move(job)] {
      if (!self->gone) job->finish();
    });
  }
}

WorkerPool::WorkerPool(AsioLoop& loop, int threads)
    : loop_(loop), shared_(std::make_shared<Shared>(loop)) {
  REQUIRE(threads > 0, threads);
  // Signals are for the loop's thread alone.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 0; i < threads; ++i)
    shared_->threads.emplace_back([shared = shared_] { shared->serve(shared); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
  }
  shared_->wake.notify_all();
  for (std::thread& thread : shared_->threads) thread.join();
  shared_->gone = true;
  // What jobs hold may start another while it is destroyed; run() only drops it then.
  std::exchange(shared_->waiting, {}).clear();
  std::exchange(shared_->finished, {}).clear();
}

void WorkerPool::run(std::unique_ptr<Job> job) {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->waiting.push_back(std::move(job));
  }
  shared_->wake.notify_one();
}

}  // namespace bascule::io

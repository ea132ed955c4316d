#include "io/asio_loop.h"

#include <unistd.h>

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "io/asio_access.h"
#include "src/base/assert.h"

namespace bascule::io {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// Completions that one burst takes from the system, and rounds of posted tasks: beyond them the burst
// ends, so that gathered writes leave even where work never ceases.
constexpr int k_completions_per_burst = 512;
constexpr int k_rounds_per_burst = 16;

MonotonicTime steady_now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::nanoseconds>(since).count()};
}

WallTime system_now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::nanoseconds>(since).count()};
}

SteadyTime to_steady(MonotonicTime t) {
  return SteadyTime(
      std::chrono::duration_cast<SteadyTime::duration>(std::chrono::nanoseconds(t.ns)));
}

}  // namespace

struct AsioLoop::Impl {
  using TimerKey =
      std::pair<MonotonicTime, uint64_t>;  // time, then the id: its order of scheduling

  // One thread runs the context; others may post to it, so its own locks stay on.
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  asio::steady_timer alarm{context};
  MonotonicTime alarm_at =
      MonotonicTime::never();  // what `alarm` waits for; never: it does not wait
  uint64_t alarm_generation = 0;

  std::deque<env::Task> ready;
  std::vector<env::Task> turn_end;
  std::map<TimerKey, env::Task> timers;
  std::map<uint64_t, MonotonicTime> timer_times;
  uint64_t last_timer = 0;
  bool running = false;
  bool stopped = false;

  // Clocks of the present turn; read when first asked.
  mutable std::optional<MonotonicTime> now;
  mutable std::optional<WallTime> wall;

  std::mutex remote_mutex;
  std::vector<env::Task> remote;  // guarded by remote_mutex
  bool remote_woken = false;      // guarded by remote_mutex: a wake is on its way

  ~Impl() { drop_all(); }

  void begin_turn() {
    now.reset();
    wall.reset();
  }

  void run_task(env::Task task) {
    begin_turn();
    task();
  }

  void take_remote() {
    std::vector<env::Task> tasks;
    {
      const std::lock_guard lock(remote_mutex);
      tasks.swap(remote);
      remote_woken = false;
    }
    for (env::Task& task : tasks) ready.push_back(std::move(task));
  }

  // Completions and wakes that the system has ready.
  void run_completions() {
    for (int i = 0; i < k_completions_per_burst; ++i) {
      begin_turn();
      if (context.poll_one() == 0) return;
    }
  }

  // Those due at the start of the call: a timer that schedules another for now does not hold us here.
  void run_timers() {
    if (timers.empty()) return;
    const MonotonicTime until = steady_now();
    const uint64_t last = last_timer;
    while (!timers.empty()) {
      const auto first = timers.begin();
      if (first->first.first > until || first->first.second > last) return;
      env::Task task = std::move(first->second);
      timer_times.erase(first->first.second);
      timers.erase(first);
      run_task(std::move(task));
    }
  }

  void run_ready() {
    for (int round = 0; round < k_rounds_per_burst && !ready.empty(); ++round) {
      for (size_t left = ready.size(); left > 0; --left) {
        env::Task task = std::move(ready.front());
        ready.pop_front();
        run_task(std::move(task));
      }
    }
  }

  void run_turn_end() {
    std::vector<env::Task> tasks;
    tasks.swap(turn_end);
    for (env::Task& task : tasks) run_task(std::move(task));
  }

  void burst() {
    run_completions();
    run_timers();
    run_ready();
    run_turn_end();
  }

  bool idle() const { return ready.empty() && turn_end.empty(); }

  // Sees to it that a wait ends when the next timer is due. An alarm that is too early is left alone: a
  // wake for nothing costs less than setting it anew at each change.
  void set_alarm() {
    if (timers.empty() || alarm_at <= timers.begin()->first.first) return;
    alarm_at = timers.begin()->first.first;
    alarm.expires_at(to_steady(alarm_at));
    alarm.async_wait([this, generation = ++alarm_generation](const asio::error_code&) {
      if (generation == alarm_generation) alarm_at = MonotonicTime::never();
    });
  }

  void wait() {
    set_alarm();
    begin_turn();
    context.run_one();
  }

  // Tasks may post while they are destroyed; they get a few rounds, then it is a cycle and our bug.
  void drop_all() {
    for (int round = 0; round < 100; ++round) {
      take_remote();
      if (idle() && timers.empty()) return;
      std::exchange(ready, {}).clear();
      std::exchange(turn_end, {}).clear();
      timer_times.clear();
      std::exchange(timers, {}).clear();
    }
    ASSERT(false, ready.size(), turn_end.size(), timers.size());
  }
};

asio::io_context& AsioAccess::context(AsioLoop& loop) { return loop.impl_->context; }

AsioLoop::AsioLoop() : impl_(std::make_unique<Impl>()) {}

// Tasks that are dropped may still use the loop, so impl_ stays in place while they go.
AsioLoop::~AsioLoop() { impl_->drop_all(); }

MonotonicTime AsioLoop::now() const {
  if (!impl_->now) impl_->now = steady_now();
  return *impl_->now;
}

WallTime AsioLoop::wall() const {
  if (!impl_->wall) impl_->wall = system_now();
  return *impl_->wall;
}

void AsioLoop::post(env::Task task) { impl_->ready.push_back(std::move(task)); }

env::TimerId AsioLoop::schedule(MonotonicTime at, env::Task task) {
  const uint64_t id = ++impl_->last_timer;
  impl_->timers.emplace(Impl::TimerKey{at, id}, std::move(task));
  impl_->timer_times.emplace(id, at);
  return env::TimerId(id);
}

void AsioLoop::cancel(env::TimerId timer) {
  const auto time = impl_->timer_times.find(timer.value);
  if (time == impl_->timer_times.end()) return;
  const auto entry = impl_->timers.find(Impl::TimerKey{time->second, timer.value});
  ASSERT(entry != impl_->timers.end(), timer.value);
  // What the task holds may use the loop while it is destroyed: the tables are whole again by then.
  const env::Task task = std::move(entry->second);
  impl_->timers.erase(entry);
  impl_->timer_times.erase(time);
}

void AsioLoop::at_turn_end(env::Task task) { impl_->turn_end.push_back(std::move(task)); }

void AsioLoop::fail_stop(const Error& why) {
  const std::string text = "bascule: stopped at once: " + why.to_string() + "\n";
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
  _exit(k_fail_stop_status);
}

void AsioLoop::run() {
  REQUIRE(!impl_->running);
  impl_->running = true;
  impl_->stopped = false;
  while (true) {
    impl_->burst();
    if (impl_->stopped) break;
    if (impl_->idle()) impl_->wait();
  }
  impl_->running = false;
}

void AsioLoop::stop() { impl_->stopped = true; }

bool AsioLoop::run_until(const std::function<bool()>& predicate, Duration limit) {
  REQUIRE(!impl_->running);
  impl_->running = true;
  impl_->begin_turn();
  bool late = false;
  const env::TimerId timer = after(limit, [&late] { late = true; });
  bool holds = predicate();
  while (!holds && !late) {
    if (impl_->idle()) impl_->wait();
    impl_->burst();
    holds = predicate();
  }
  cancel(timer);
  impl_->begin_turn();
  impl_->running = false;
  return holds;
}

void AsioLoop::post_from_any_thread(env::Task task) {
  const std::lock_guard lock(impl_->remote_mutex);
  impl_->remote.push_back(std::move(task));
  if (std::exchange(impl_->remote_woken, true)) return;
  asio::post(impl_->context, [impl = impl_.get()] { impl->take_remote(); });
}

}  // namespace bascule::io

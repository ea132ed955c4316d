// Coroutines over the completion-based interfaces, for long sequences of operations (recovery, rolls,
// truncation, the start of a controller), which as nested callbacks nobody could check.
//
// `Co<T>` is a lazy coroutine that gives a Result<T>; `co_await`ing one runs it. `call<T>(f)` awaits one
// operation: `f` is given its completion. A tree of them hangs below one root, started by
// `CoScope::spawn`. Destroying the scope destroys its roots, whatever they wait for; a completion that
// is dropped without being called (the file was closed, the process died) destroys its root as well.
// A scope is never destroyed from inside one of its coroutines: completions that leave the owner
// are called after their root has ended.
//
// g++ 12 copies the temporaries of a full expression with co_await bit by bit into the frame. So
// closures given to `call` capture by reference, and coroutines that are awaited take named objects by
// reference: nothing in such an expression has a destructor but the awaited object itself.
#pragma once

#include <coroutine>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/assert.h"
#include "src/base/result.h"
#include "src/env/loop.h"

namespace bascule::env {

namespace co_detail {

struct Root {
  bool alive = true;
  bool starting = true;
  std::coroutine_handle<> frame;
  Loop* loop = nullptr;
  Task after;  // tells the caller of spawn, once the frame is gone

  void kill() {
    if (!std::exchange(alive, false)) return;
    frame.destroy();
  }
};
using RootRef = std::shared_ptr<Root>;

struct PromiseBase {
  RootRef root;
  std::coroutine_handle<> parent;
  void unhandled_exception() { ASSERT(false); }  // nothing throws here
};

struct ResumeParent {
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) const noexcept {
    return self.promise().parent;
  }
  void await_resume() const noexcept {}
};

// The body of a root: its frame ends itself, then tells.
struct RootCo {
  struct promise_type : PromiseBase {
    RootCo get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct End {
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
        RootRef root = self.promise().root;
        root->alive = false;
        self.destroy();
        if (!root->after) return;
        if (root->starting) {
          root->loop->post(std::move(root->after));
        } else {
          root->after();
        }
      }
      void await_resume() const noexcept {}
    };
    End final_suspend() noexcept { return {}; }
    void return_void() {}
  };
  std::coroutine_handle<promise_type> handle;
};

// The completion of one awaited operation.
template <class T>
class Resume {
 public:
  Resume(RootRef root, std::coroutine_handle<> frame, std::optional<Result<T>>* slot)
      : root_(std::move(root)), frame_(frame), slot_(slot) {}
  Resume(Resume&&) noexcept = default;
  Resume(const Resume&) = delete;
  ~Resume() {
    if (root_) root_->kill();
  }
  void operator()(Result<T> result) {
    const RootRef root = std::exchange(root_, nullptr);
    if (!root || !root->alive) return;
    slot_->emplace(std::move(result));
    frame_.resume();
  }

 private:
  RootRef root_;
  std::coroutine_handle<> frame_;
  std::optional<Result<T>>* slot_;
};

template <class T, class F>
class Call {
 public:
  explicit Call(F start) : start_(std::move(start)) {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> frame) {
    // The operation may drop its completion at once, and this object with it.
    F start = std::move(start_);
    start(Done<T>(Resume<T>(frame.promise().root, frame, &result_)));
  }
  Result<T> await_resume() { return std::move(*result_); }

 private:
  F start_;
  std::optional<Result<T>> result_;
};

}  // namespace co_detail

template <class T, class F>
auto call(F start) {
  return co_detail::Call<T, F>(std::move(start));
}

template <class T>
class [[nodiscard]] Co {
 public:
  struct promise_type : co_detail::PromiseBase {
    std::optional<Result<T>> result;
    Co get_return_object() { return Co(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    co_detail::ResumeParent final_suspend() noexcept { return {}; }
    void return_value(Result<T> value) { result.emplace(std::move(value)); }
  };

  Co(Co&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Co(const Co&) = delete;
  ~Co() {
    if (frame_) frame_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> parent) {
    frame_.promise().root = parent.promise().root;
    frame_.promise().parent = parent;
    return frame_;
  }
  Result<T> await_resume() { return std::move(*frame_.promise().result); }

 private:
  explicit Co(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

// Owns the roots that run for one object; its last member.
class CoScope {
 public:
  explicit CoScope(Loop& loop) : loop_(loop) {}
  CoScope(const CoScope&) = delete;
  CoScope& operator=(const CoScope&) = delete;
  ~CoScope() {
    for (const auto& root : roots_) root->kill();
  }

  // Runs `co` up to its first wait; `done` is called once, in a later turn, unless the scope ends first.
  template <class T>
  void spawn(Co<T> co, Done<T> done) {
    std::erase_if(roots_, [](const co_detail::RootRef& root) { return !root->alive; });
    auto root = std::make_shared<co_detail::Root>();
    root->loop = &loop_;
    roots_.push_back(root);
    co_detail::RootCo body = run<T>(root, std::move(co), std::move(done));
    body.handle.promise().root = root;
    root->frame = body.handle;
    body.handle.resume();
    root->starting = false;
  }

 private:
  template <class T>
  static co_detail::RootCo run(co_detail::RootRef root, Co<T> co, Done<T> done) {
    Result<T> result = co_await co;
    root->after = [done = std::move(done), result = std::move(result)]() mutable {
      if (done) done(std::move(result));
    };
  }

  Loop& loop_;
  std::vector<co_detail::RootRef> roots_;
};

// Lets one coroutine at a time pass, in the order of their asking.
class CoMutex {
 public:
  explicit CoMutex(Loop& loop) : loop_(loop) {}
  auto lock() {
    return call<void>([this](Done<void> done) {
      if (held_) {
        waiting_.push_back(std::move(done));
        return;
      }
      held_ = true;
      loop_.post([done = std::move(done)]() mutable { done({}); });
    });
  }
  void unlock() {
    if (waiting_.empty()) {
      held_ = false;
      return;
    }
    Done<void> next = std::move(waiting_.front());
    waiting_.pop_front();
    loop_.post([next = std::move(next)]() mutable { next({}); });
  }

 private:
  Loop& loop_;
  bool held_ = false;
  std::deque<Done<void>> waiting_;
};

}  // namespace bascule::env

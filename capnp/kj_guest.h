// KJ's event loop as a guest of ours: KJ promises run inside turns of env::Loop, and nobody waits.
//
// When KJ has events, it says so to its EventPort, which posts a task that runs a bounded number of
// them. Any code that makes, fulfils or destroys promises outside of that task does so inside enter(),
// which makes this guest's loop the thread's current one: the thread may have several guests (a
// simulated cluster has one per node), of which one is current at a time.
//
// KJ throws exceptions. Those of promise callbacks stay in the promises; enter() catches what is
// thrown by code run inside it, so none reaches our loop.
#pragma once

#include <kj/async.h>
#include <kj/time.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/result.h"
#include "src/env/loop.h"

namespace bascule::rpc {

class KjGuest final : public kj::MonotonicClock, private kj::EventPort {
 public:
  // `loop` outlives the guest; all promises made inside it are gone before it.
  explicit KjGuest(env::Loop& loop);
  ~KjGuest() noexcept;
  KjGuest(const KjGuest&) = delete;
  KjGuest& operator=(const KjGuest&) = delete;

  env::Loop& loop() { return loop_; }

  // Runs `f` with the guest's loop as the thread's current one. Nests. An exception that `f` throws
  // ends here: `internal` with its text.
  template <class F>
  Status enter(F&& f) {
    Enter entered(*this);
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { f(); })) return caught(*exception);
    return {};
  }

  // Runs KJ's events until there are none. Cancelled calls end in events of their own, after what they
  // belonged to has dropped them: whoever takes down what calls refer to settles before it goes. Outside
  // of KJ's events only.
  void settle();

  // Runs `task` outside of KJ, after the events that run now: there, what the events belong to may be
  // destroyed. In the order of the calls.
  void defer(env::Task task);

  // kj::MonotonicClock, by the loop's clock.
  kj::TimePoint now() const override;

 private:
  class Enter {
   public:
    explicit Enter(KjGuest& guest) : guest_(guest) {
      if (guest_.entered_++ == 0) guest_.scope_.emplace(guest_.kj_loop_);
    }
    ~Enter() {
      if (--guest_.entered_ == 0) guest_.scope_.reset();
    }
    Enter(const Enter&) = delete;
    Enter& operator=(const Enter&) = delete;

   private:
    KjGuest& guest_;
  };

  static Status caught(const kj::Exception& exception);
  void run_soon();
  void run();
  void run_events(kj::uint count);

  // kj::EventPort. The first two are for .wait(), which nobody calls.
  bool wait() override;
  bool poll() override;
  void setRunnable(bool runnable) override;

  env::Loop& loop_;
  kj::EventLoop kj_loop_;
  std::optional<kj::WaitScope> scope_;  // while entered_ > 0
  uint32_t entered_ = 0;
  bool running_ = false;   // KJ's events are being run
  bool runnable_ = false;  // KJ has events
  bool posted_ = false;    // a task that runs them is on its way
  std::vector<env::Task> deferred_;
  env::Scope alive_;
};

// The loss of a connection as KJ says it.
kj::Exception disconnected(const Error& error);
// What a KJ exception means to a caller: connection_lost, overloaded, unsupported or internal.
Error error_of(const kj::Exception& exception);

}  // namespace bascule::rpc

#include "io/signals.h"

#include <asio/signal_set.hpp>
#include <csignal>
#include <utility>

#include "io/asio_access.h"

namespace bascule::io {

struct Signals::State : std::enable_shared_from_this<State> {
  State(AsioLoop& loop, std::move_only_function<void(Signal)> h)
      : set(AsioAccess::context(loop), SIGTERM, SIGINT, SIGHUP), handler(std::move(h)) {}

  void wait() {
    set.async_wait([self = shared_from_this()](const asio::error_code& error, int number) {
      if (error || self->gone) return;
      self->handler(number == SIGHUP   ? Signal::hangup
                    : number == SIGINT ? Signal::interrupt
                                       : Signal::terminate);
      if (!self->gone) self->wait();
    });
  }

  asio::signal_set set;
  std::move_only_function<void(Signal)> handler;
  bool gone = false;
};

Signals::Signals(AsioLoop& loop, std::move_only_function<void(Signal)> handler)
    : state_(std::make_shared<State>(loop, std::move(handler))) {
  state_->wait();
}

Signals::~Signals() {
  state_->gone = true;
  asio::error_code ignored;
  // The wait holds the state: clearing the set alone would leave it there for ever.
  state_->set.cancel(ignored);
  state_->set.clear(ignored);
}

}  // namespace bascule::io

// SIGTERM, SIGINT and SIGHUP as turns of the loop.
#pragma once

#include <functional>
#include <memory>

#include "io/asio_loop.h"

namespace bascule::io {

enum class Signal : uint8_t { terminate, interrupt, hangup };

class Signals {
 public:
  // Calls `handler` in a turn for each signal that arrives, until this is destroyed. Several signals of
  // one kind may arrive as one. The process must have no second object of this class that is alive.
  Signals(AsioLoop& loop, std::move_only_function<void(Signal)> handler);
  ~Signals();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace bascule::io

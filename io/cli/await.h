// Blocking convenience for commands: runs the loop until one operation has completed.
#pragma once

#include <functional>
#include <optional>

#include "io/asio_loop.h"
#include "src/env/loop.h"

namespace bascule::cli {

// `start` gets the completion, and begins the operation.
template <class T>
Result<T> await(io::AsioLoop& loop, std::move_only_function<void(env::Done<T>)> start) {
  std::optional<Result<T>> outcome;
  start([&loop, &outcome](Result<T> result) {
    outcome = std::move(result);
    loop.stop();
  });
  while (!outcome) loop.run();
  return std::move(*outcome);
}

}  // namespace bascule::cli

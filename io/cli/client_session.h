// One command's connection to a broker: an event loop, a client, and a way to wait for completions.
#pragma once

#include <memory>

#include "io/cli/app.h"
#include "io/cli/await.h"
#include "src/client/client.h"
#include "src/env/loop.h"

namespace bascule::cli {

class ClientSession {
 public:
  // Connects when there is something to do. `invalid`: the options are wrong.
  static Result<std::unique_ptr<ClientSession>> open(const ConnectOptions& options);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  client::Client& client();
  io::AsioLoop& loop();

  // Runs the loop until `done` was called. `start` gets it.
  template <class T>
  Result<T> await(std::move_only_function<void(env::Done<T>)> start) {
    return cli::await<T>(loop(), std::move(start));
  }
  // Runs the loop until stop_loop().
  void run_loop();
  void stop_loop();
  // Of the options: longest that one request may take.
  Duration request_timeout() const;
  MonotonicTime now() const;
  // Runs the loop that long.
  void pause(Duration duration);

 private:
  struct Parts;
  explicit ClientSession(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace bascule::cli

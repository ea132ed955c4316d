// env::Network of production: TCP on the loop's own thread. Names are resolved on a helper thread.
#pragma once

#include <memory>

#include "io/asio_loop.h"
#include "io/worker_pool.h"
#include "src/env/network.h"

namespace bascule::io {

class AsioNetwork final : public env::Network {
 public:
  explicit AsioNetwork(AsioLoop& loop);
  // Pending connects and listens are dropped. Streams and listeners may live longer.
  ~AsioNetwork() override;

  void listen(env::Address address, Accept accept,
              env::Done<std::unique_ptr<env::Listener>> done) override;
  // A name with several addresses is tried address by address, within one `timeout`.
  void connect(env::Address address, Duration timeout,
               env::Done<std::unique_ptr<env::Stream>> done) override;

 private:
  // `then` gets a Result of the endpoints, in a later turn.
  template <class Then>
  void resolve_then(const env::Address& address, Then then);

  AsioLoop& loop_;
  std::unique_ptr<WorkerPool> resolver_;  // made when the first name is asked for
  env::Scope scope_;
};

}  // namespace bascule::io

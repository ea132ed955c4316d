// A network whose every stream is under TLS, on top of any network: what listens is a TLS server, what
// connects a TLS client. For brokers among each other; listeners for clients take their TLS themselves, since
// theirs begins later, or only where a client asks for it.
//
// Streams are handed out at once, before their handshake: what is read and written waits for it, and a
// handshake that fails shows at the first read (`unauthenticated`, `unsupported`, else as of a broken stream).
// So whoever bounds streams and their time bounds handshakes too. Each stream is an env::TlsStream.
#pragma once

#include <memory>

#include "src/env/network.h"
#include "src/env/tls.h"

namespace bascule::io {

class TlsNetwork final : public env::Network {
 public:
  // All outlive it, its listeners and the calls under way.
  TlsNetwork(env::Network& below, env::TlsServer& server, env::TlsClient& client)
      : below_(below), server_(server), client_(client) {}

  void listen(env::Address address, Accept accept,
              env::Done<std::unique_ptr<env::Listener>> done) override;
  void connect(env::Address address, Duration timeout,
               env::Done<std::unique_ptr<env::Stream>> done) override;

 private:
  env::Network& below_;
  env::TlsServer& server_;
  env::TlsClient& client_;
};

}  // namespace bascule::io

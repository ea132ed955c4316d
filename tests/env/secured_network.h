// A network whose every stream is secured, both ends by one authority made for the purpose. Streams are handed
// out at once: what is read and written waits for the handshake.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "io/tls_authority.h"
#include "io/tls_context.h"
#include "src/env/network.h"

namespace bascule::env {

class SecuredNetwork final : public Network {
 public:
  // Certificates are made and read in `directory`.
  static Result<std::unique_ptr<Network>> make(Loop& loop, std::unique_ptr<Network> below,
                                               const std::string& directory) {
    BASCULE_TRY_ASSIGN(const io::TlsFiles files, io::make_tls_files(directory, {}));
    BASCULE_TRY_ASSIGN(auto server,
                       io::TlsServerContext::open(loop, {files.certificate, files.key}));
    BASCULE_TRY_ASSIGN(auto client, io::TlsClientContext::open(loop, {files.ca}));
    return std::unique_ptr<Network>(
        new SecuredNetwork(std::move(below), std::move(server), std::move(client)));
  }

  void listen(Address address, Accept accept, Done<std::unique_ptr<Listener>> done) override {
    below_->listen(
        std::move(address),
        [this, accept = std::move(accept)](std::unique_ptr<Stream> stream) mutable {
          accept(server_->accept(std::move(stream), {}, [](const Status&) {}));
        },
        std::move(done));
  }
  void connect(Address address, Duration timeout, Done<std::unique_ptr<Stream>> done) override {
    const std::string name = address.host;
    below_->connect(
        std::move(address), timeout,
        [this, name, done = std::move(done)](Result<std::unique_ptr<Stream>> stream) mutable {
          if (!stream) return done(fail(std::move(stream.error())));
          done(client_->connect(std::move(*stream), name, {}, [](const Status&) {}));
        });
  }

 private:
  SecuredNetwork(std::unique_ptr<Network> below, std::unique_ptr<TlsServer> server,
                 std::unique_ptr<TlsClient> client)
      : server_(std::move(server)), client_(std::move(client)), below_(std::move(below)) {}

  std::unique_ptr<TlsServer> server_;
  std::unique_ptr<TlsClient> client_;
  std::unique_ptr<Network> below_;
};

}  // namespace bascule::env

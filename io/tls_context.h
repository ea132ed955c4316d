// Certificates, keys and authorities from PEM files, and the servers and clients that use them.
//
// A server reads its files again when asked (SIGHUP): connections that are there stay as they are, new ones
// get the new certificates. Files that do not make sense together change nothing: what was loaded before
// stays in use, and the caller is told why. All on the loop's thread; files are small and read at once.
#pragma once

#include <memory>
#include <string>

#include "io/tls_session.h"
#include "src/base/result.h"
#include "src/env/loop.h"
#include "src/env/tls.h"

namespace bascule::io {

enum class ClientCertificates : uint8_t {
  none,      // are not asked for
  optional,  // one that is shown must be good
  required,
};

struct TlsServerFiles {
  std::string certificate{};  // PEM: the server's, then those between it and the authority
  std::string key{};          // PEM, without a passphrase
  std::string client_ca{};    // PEM: who may have signed a client's; empty: clients show none
  ClientCertificates clients = ClientCertificates::none;
};

struct TlsClientFiles {
  std::string ca{};  // PEM: who may have signed the server's; empty: the system's authorities
  std::string certificate{};  // what this client shows, with its key; both empty: nothing
  std::string key{};
  ServerNames names = ServerNames::checked;
};

class TlsServerContext final : public env::TlsServer {
 public:
  // Errors: `invalid`, naming the file and what is wrong with it. `loop` outlives all.
  static Result<std::unique_ptr<TlsServerContext>> open(env::Loop& loop, TlsServerFiles files);
  ~TlsServerContext() override;

  // Streams may outlive the context.
  std::unique_ptr<env::TlsStream> accept(std::unique_ptr<env::Stream> stream,
                                         env::TlsHandshake handshake,
                                         env::Done<void> secured) override;
  bool requires_identity() const override;

  // Errors as `open`; then nothing has changed.
  Status reload();
  // What `other` has loaded, from here on.
  void adopt(TlsServerContext& other) { loaded_.swap(other.loaded_); }
  env::TlsIdentity identity() const;
  // "certificate of broker-1, valid until 2027-01-01T00:00:00Z", for the log; says so if it has expired.
  std::string describe() const;
  bool expired() const;

 private:
  struct Loaded;
  TlsServerContext(env::Loop& loop, TlsServerFiles files, std::unique_ptr<Loaded> loaded);

  env::Loop& loop_;
  TlsServerFiles files_;
  std::unique_ptr<Loaded> loaded_;
};

class TlsClientContext final : public env::TlsClient {
 public:
  static Result<std::unique_ptr<TlsClientContext>> open(env::Loop& loop, TlsClientFiles files);
  ~TlsClientContext() override;

  std::unique_ptr<env::TlsStream> connect(std::unique_ptr<env::Stream> stream,
                                          const std::string& server_name,
                                          env::TlsHandshake handshake,
                                          env::Done<void> secured) override;
  Status reload();
  void adopt(TlsClientContext& other) { loaded_.swap(other.loaded_); }

 private:
  struct Loaded;
  TlsClientContext(env::Loop& loop, TlsClientFiles files, std::unique_ptr<Loaded> loaded);

  env::Loop& loop_;
  TlsClientFiles files_;
  std::unique_ptr<Loaded> loaded_;
};

}  // namespace bascule::io

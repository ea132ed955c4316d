// A throw-away certificate authority, for development and tests: it makes itself and signs certificates
// for servers and clients. EC P-256, SHA-256, short-lived. Not for production: its key lies where it is used.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/openssl.h"
#include "src/base/result.h"
#include "src/base/time.h"

namespace bascule::io {

// A certificate and its key, as PEM.
struct TlsCertificate {
  std::string certificate;
  std::string key;
};

struct TlsCertificateOptions {
  std::string common_name;
  // For a server: the host names and address literals that clients may call it by.
  std::vector<std::string> names{};
  enum class Use : uint8_t { server, client, both } use = Use::server;
  // From now on; both may be negative: a certificate that has expired, or is not valid yet.
  Duration valid_from = seconds(-300);
  Duration valid_until = seconds(30 * 86'400);
};

class TlsAuthority {
 public:
  static Result<TlsAuthority> create(const std::string& common_name,
                                     Duration valid_for = seconds(30 * 86'400));

  std::string certificate() const;  // PEM: what others trust
  // `invalid`: a name or an address that cannot stand in a certificate.
  Result<TlsCertificate> issue(const TlsCertificateOptions& options) const;

 private:
  TlsAuthority(KeyPtr key, CertificatePtr certificate)
      : key_(std::move(key)), certificate_(std::move(certificate)) {}
  KeyPtr key_;
  CertificatePtr certificate_;
};

// All that one machine needs to speak TLS with itself.
struct TlsFiles {
  std::string ca;           // DIR/ca.pem: for clients, and as the brokers' client authority
  std::string certificate;  // DIR/server.pem, also for the brokers' connections to each other
  std::string key;          // DIR/server-key.pem
  std::string client_certificate;  // DIR/client.pem
  std::string client_key;          // DIR/client-key.pem
};

// Of broker `node` of a cluster: DIR/node-N.pem, DIR/node-N-key.pem.
struct TlsBrokerFiles {
  std::string certificate;
  std::string key;
};

struct TlsFilesOptions {
  std::vector<std::string> names{};  // beside localhost, 127.0.0.1 and ::1
  // Brokers of a cluster, from 1: each gets a certificate of its own, with the name "node-N" too.
  uint32_t nodes = 0;
  std::string client = "client";  // common name of the client's certificate: its principal
  Duration valid_for = seconds(30 * 86'400);
};

// Where make_tls_files puts things.
TlsFiles tls_files_in(const std::string& directory);
TlsBrokerFiles tls_broker_files_in(const std::string& directory, uint32_t node);
// Makes a new authority, and a server's and a client's certificate by it, and those of `nodes`, in `directory`,
// which is created where it is missing. The authority's own key is not kept. Each file is replaced whole; keys are readable by
// their owner alone. Errors: `invalid` (a name), `io_error`.
Result<TlsFiles> make_tls_files(const std::string& directory, const TlsFilesOptions& options);

}  // namespace bascule::io

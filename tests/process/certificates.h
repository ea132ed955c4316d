// Certificates for processes under test, made on the spot.
#pragma once

#include <string>
#include <vector>

#include "io/tls_authority.h"

namespace bascule::process_test {

// An authority whose own certificate, and what it signs, are files in a directory.
class Certificates {
 public:
  // `directory` is made.
  explicit Certificates(std::string directory);

  std::string ca() const { return directory_ + "/ca.pem"; }
  // PEM files for 127.0.0.1 and `options.names`; the paths of the certificate and its key.
  struct Pair {
    std::string certificate;
    std::string key;
  };
  Pair issue(io::TlsCertificateOptions options) const;
  // Of broker `node`, with the name that other brokers expect.
  Pair broker(uint32_t node, std::vector<std::string> names = {}) const;

 private:
  std::string directory_;
  io::TlsAuthority authority_;
};

// What `serve` is told: its certificate, and who signs those of other brokers and of clients.
std::vector<std::string> tls_arguments(const Certificates::Pair& own, const std::string& ca);

}  // namespace bascule::process_test

#include "tests/process/certificates.h"

#include <filesystem>
#include <fstream>
#include <utility>

namespace bascule::process_test {
namespace {

void write(const std::string& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace

Certificates::Certificates(std::string directory)
    : directory_(std::move(directory)),
      authority_(io::TlsAuthority::create("an authority of a test").value()) {
  std::filesystem::create_directories(directory_);
  write(ca(), authority_.certificate());
}

Certificates::Pair Certificates::issue(io::TlsCertificateOptions options) const {
  options.names.emplace_back("127.0.0.1");
  const io::TlsCertificate made = authority_.issue(options).value();
  const std::string stem = directory_ + "/" + options.common_name;
  Pair out{stem + ".pem", stem + "-key.pem"};
  write(out.certificate, made.certificate);
  write(out.key, made.key);
  return out;
}

Certificates::Pair Certificates::broker(uint32_t node, std::vector<std::string> names) const {
  return issue({.common_name = "node-" + std::to_string(node),
                .names = std::move(names),
                .use = io::TlsCertificateOptions::Use::both});
}

std::vector<std::string> tls_arguments(const Certificates::Pair& own, const std::string& ca) {
  return {"--tls-cert", own.certificate, "--tls-key", own.key, "--tls-client-ca",
          ca,           "--tls-peer-ca", ca};
}

}  // namespace bascule::process_test

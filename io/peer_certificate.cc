#include "io/peer_certificate.h"

#include <string_view>
#include <utility>

#include "src/base/assert.h"
#include "src/env/tls.h"

namespace bascule::io {
namespace {

constexpr std::string_view k_node = "{node}";

class CertificateAuthenticator final : public peers::Authenticator {
 public:
  CertificateAuthenticator(std::unique_ptr<peers::Authenticator> secret, std::string pattern)
      : secret_(std::move(secret)), pattern_(std::move(pattern)) {}

  bool proves() const override { return secret_->proves(); }
  peers::Nonce nonce() override { return secret_->nonce(); }
  peers::Mac mac(ByteView message) const override { return secret_->mac(message); }

  Status admit(const env::Stream& stream, NodeId claimed) const override {
    const auto* const secured = dynamic_cast<const env::TlsStream*>(&stream);
    ASSERT(secured != nullptr, "brokers are to speak TLS here");
    const std::string name = broker_name(pattern_, claimed);
    if (secured->identity().has_name(name)) return {};
    return fail(Errc::permission_denied, "its certificate is for " + secured->identity().listed() +
                                             ", not for \"" + name + "\"");
  }

 private:
  std::unique_ptr<peers::Authenticator> secret_;
  std::string pattern_;
};

}  // namespace

std::string broker_name(const std::string& pattern, NodeId node) {
  std::string name = pattern;
  if (const size_t at = name.find(k_node); at != std::string::npos)
    name.replace(at, k_node.size(), node.to_string());
  return name;
}

std::unique_ptr<peers::Authenticator> make_certificate_authenticator(
    std::unique_ptr<peers::Authenticator> secret, std::string name_pattern) {
  return std::make_unique<CertificateAuthenticator>(std::move(secret), std::move(name_pattern));
}

}  // namespace bascule::io

#include "io/peer_secret.h"

#include <openssl/crypto.h>
#include <sys/random.h>

#include <cerrno>
#include <utility>

#include "io/hmac.h"

namespace bascule::io {
namespace {

class SecretAuthenticator final : public peers::Authenticator {
 public:
  explicit SecretAuthenticator(std::string secret) : secret_(std::move(secret)) {}
  ~SecretAuthenticator() override { OPENSSL_cleanse(secret_.data(), secret_.size()); }

  bool proves() const override { return true; }

  peers::Nonce nonce() override {
    peers::Nonce nonce;
    size_t filled = 0;
    while (filled < nonce.size()) {
      const ssize_t n = ::getrandom(nonce.data() + filled, nonce.size() - filled, 0);
      if (n < 0 && errno == EINTR) continue;
      // Every kernel that this runs on has it; without it nothing could be proven.
      ASSERT(n > 0, errno);
      filled += static_cast<size_t>(n);
    }
    return nonce;
  }

  peers::Mac mac(ByteView message) const override {
    return hmac_sha256(as_bytes(secret_), message);
  }

 private:
  std::string secret_;
};

}  // namespace

Result<std::unique_ptr<peers::Authenticator>> make_secret_authenticator(std::string secret) {
  if (secret.size() < k_secret_bytes_min || secret.size() > k_secret_bytes_max) {
    return fail(Errc::invalid, "the cluster's secret has " + std::to_string(secret.size()) +
                                   " bytes; it needs " + std::to_string(k_secret_bytes_min) +
                                   " to " + std::to_string(k_secret_bytes_max));
  }
  return std::make_unique<SecretAuthenticator>(std::move(secret));
}

}  // namespace bascule::io

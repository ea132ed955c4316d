#include "io/hmac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "src/base/assert.h"

namespace bascule::io {

HmacSha256 hmac_sha256(ByteView key, ByteView message) {
  // OpenSSL takes a null key for "the key of the call before".
  static constexpr uint8_t k_nothing = 0;
  HmacSha256 out{};
  unsigned size = 0;
  const uint8_t* const done =
      HMAC(EVP_sha256(), key.empty() ? &k_nothing : key.data(), static_cast<int>(key.size()),
           message.empty() ? &k_nothing : message.data(), message.size(), out.data(), &size);
  ASSERT(done != nullptr && size == out.size());
  return out;
}

bool same_hmac(const HmacSha256& a, const HmacSha256& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace bascule::io

// How brokers prove to each other that they belong together. The core knows no cryptography: the
// composition root hands this in (io/peer_secret.h: HMAC-SHA256 of the cluster's secret; a keyed function
// in the simulator).
#pragma once

#include <array>
#include <cstdint>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/env/network.h"

namespace bascule::peers {

using Nonce = std::array<uint8_t, 32>;
using Mac = std::array<uint8_t, 32>;

class Authenticator {
 public:
  virtual ~Authenticator() = default;

  // Whether both sides prove that they know the secret. False: nothing is asked, because the transport
  // does it (mutual TLS) or the operator wrote that it is meant. Both sides must be of one mind.
  virtual bool proves() const = 0;
  // Never the same twice, and in production not to be foreseen.
  virtual Nonce nonce() = 0;
  // Nobody who does not know the secret can make it, and it says nothing of the secret.
  virtual Mac mac(ByteView message) const = 0;
  // Whether the stream may speak for `claimed`: where the transport knows who is at its other end (a
  // certificate's name), it is compared here. Errors: `permission_denied`.
  virtual Status admit(const env::Stream& stream, NodeId claimed) const {
    (void)stream;
    (void)claimed;
    return {};
  }
};

// No secret: anybody who can reach the port is believed.
class NoAuthenticator final : public Authenticator {
 public:
  bool proves() const override { return false; }
  Nonce nonce() override { return {}; }
  Mac mac(ByteView) const override { return {}; }
};

// In a time that does not depend on where they differ.
inline bool equal_macs(const Mac& a, const Mac& b) {
  uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

}  // namespace bascule::peers

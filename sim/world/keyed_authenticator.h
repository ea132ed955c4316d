// The peers' secret of the made-up world: a keyed mixing of the message, which no program here tries to
// forge, and nonces from a generator.
#pragma once

#include "src/base/codec.h"
#include "src/base/prng.h"
#include "src/peers/authenticator.h"

namespace bascule::sim {

class KeyedAuthenticator final : public peers::Authenticator {
 public:
  KeyedAuthenticator(uint64_t key, uint64_t seed) : key_(key), random_(seed) {}

  bool proves() const override { return true; }
  peers::Nonce nonce() override {
    peers::Nonce nonce;
    for (size_t i = 0; i < nonce.size(); i += 8) store_le(nonce.data() + i, random_.next());
    return nonce;
  }
  peers::Mac mac(ByteView message) const override {
    peers::Mac mac;
    for (size_t lane = 0; lane < mac.size(); lane += 8) {
      uint64_t state = mix64(key_ + lane);
      for (const uint8_t byte : message) state = mix64(state ^ byte);
      store_le(mac.data() + lane, mix64(state ^ message.size()));
    }
    return mac;
  }

 private:
  uint64_t key_;
  Prng random_;
};

}  // namespace bascule::sim

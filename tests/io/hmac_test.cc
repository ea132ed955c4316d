#include "io/hmac.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace bascule::io {
namespace {

std::string hex(const HmacSha256& hmac) {
  std::string out;
  for (const uint8_t byte : hmac) {
    char text[3];
    std::snprintf(text, sizeof(text), "%02x", byte);
    out += text;
  }
  return out;
}

// RFC 4231 §4.2, §4.3, §4.7.
TEST(hmac, gives_what_the_rfc_says) {
  EXPECT_EQ(hex(hmac_sha256(Bytes(20, 0x0b), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(Bytes(131, 0xaa),
                            as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

// An empty key is a key, also after a call with another one.
TEST(hmac, takes_an_empty_key_and_an_empty_message) {
  const std::string of_nothing = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
  EXPECT_EQ(hex(hmac_sha256({}, {})), of_nothing);
  (void)hmac_sha256(as_bytes("key"), as_bytes("message"));
  EXPECT_EQ(hex(hmac_sha256({}, {})), of_nothing);
}

TEST(hmac, differs_in_any_bit) {
  const HmacSha256 one = hmac_sha256(as_bytes("k"), as_bytes("m"));
  EXPECT_TRUE(same_hmac(one, one));
  for (size_t i = 0; i < one.size(); ++i) {
    HmacSha256 other = one;
    other[i] ^= 1;
    EXPECT_FALSE(same_hmac(one, other));
  }
}

}  // namespace
}  // namespace bascule::io

#include "src/base/crc32c.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace bascule {
namespace {

// RFC 3720 B.4, and the check value of the CRC catalogues.
TEST(crc32c, gives_the_published_values) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283U);
  EXPECT_EQ(crc32c(Bytes(32, 0)), 0x8a9136aaU);
  EXPECT_EQ(crc32c(Bytes(32, 0xff)), 0x62a8ab43U);
  EXPECT_EQ(crc32c({}), 0U);
}

RC_GTEST_PROP(crc32c, continues_over_any_division, (std::vector<uint8_t> bytes)) {
  const size_t cut = *rc::gen::inRange<size_t>(0, bytes.size() + 1);
  const ByteView all(bytes);
  RC_ASSERT(crc32c(all.subspan(cut), crc32c(all.first(cut))) == crc32c(all));
}

}  // namespace
}  // namespace bascule

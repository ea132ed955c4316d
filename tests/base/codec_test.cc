#include "src/base/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace bascule {
namespace {

RC_GTEST_PROP(codec, varints_come_back, (uint64_t n)) {
  Bytes bytes;
  Writer(bytes).varint(n);
  RC_ASSERT(bytes.size() == varint_size(n));
  Reader reader(bytes);
  RC_ASSERT(reader.varint() == n);
  RC_ASSERT(reader.finish("n").has_value());
}

RC_GTEST_PROP(codec, signed_varints_come_back, (int64_t n)) {
  Bytes bytes;
  Writer(bytes).signed_varint(n);
  Reader reader(bytes);
  RC_ASSERT(reader.signed_varint() == n);
}

RC_GTEST_PROP(codec, any_cut_of_any_encoding_fails_cleanly, (std::string text, uint64_t n)) {
  Bytes bytes;
  Writer writer(bytes);
  writer.sized(std::string_view(text));
  writer.fixed<uint32_t>(static_cast<uint32_t>(n));
  writer.varint(n);
  const size_t cut = *rc::gen::inRange<size_t>(0, bytes.size());
  Reader reader(ByteView(bytes).first(cut));
  (void)reader.sized();
  (void)reader.fixed<uint32_t>();
  (void)reader.varint();
  RC_ASSERT(reader.failed());
  RC_ASSERT(reader.finish("cut").error().code == Errc::invalid);
}

TEST(codec, a_failed_reader_gives_zeros_from_then_on) {
  const Bytes bytes{5, 'a'};
  Reader reader(bytes);
  EXPECT_TRUE(reader.sized().empty());
  EXPECT_TRUE(reader.failed());
  EXPECT_EQ(reader.fixed<uint8_t>(), 0);
  EXPECT_EQ(reader.varint(), 0U);
}

TEST(codec, a_varint_over_64_bits_is_refused) {
  const Bytes too_long(11, 0x80);
  Reader a(too_long);
  (void)a.varint();
  EXPECT_TRUE(a.failed());
  Bytes too_large(9, 0xff);
  too_large.push_back(0x02);
  Reader b(too_large);
  (void)b.varint();
  EXPECT_TRUE(b.failed());
}

TEST(codec, trailing_bytes_are_an_error) {
  const Bytes bytes{1, 2};
  Reader reader(bytes);
  (void)reader.varint();
  EXPECT_FALSE(reader.finish("two").has_value());
}

TEST(codec, zigzag_keeps_small_numbers_small) {
  EXPECT_EQ(zigzag(0), 0U);
  EXPECT_EQ(zigzag(-1), 1U);
  EXPECT_EQ(zigzag(1), 2U);
  EXPECT_EQ(unzigzag(zigzag(INT64_MIN)), INT64_MIN);
}

}  // namespace
}  // namespace bascule

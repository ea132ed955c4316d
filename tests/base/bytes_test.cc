#include "src/base/bytes.h"

#include <gtest/gtest.h>

namespace bascule {
namespace {

TEST(bytes, copies_of_a_buffer_share_it) {
  BufferRef a = BufferRef::copy_of(as_bytes("hello"));
  EXPECT_TRUE(a.unique());
  BufferRef b = a;
  EXPECT_FALSE(a.unique());
  EXPECT_EQ(a.data(), b.data());
  b = {};
  EXPECT_TRUE(a.unique());
}

TEST(bytes, allocation_has_the_alignment_asked) {
  for (const size_t alignment : {16U, 512U, 4096U}) {
    const BufferRef buffer = BufferRef::allocate(10'000, alignment);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % alignment, 0U);
    EXPECT_EQ(buffer.size(), 10'000U);
  }
}

TEST(bytes, a_slice_keeps_its_buffer_alive) {
  Slice slice;
  {
    BufferRef buffer = BufferRef::copy_of(as_bytes("hello world"));
    slice = Slice(buffer, 6, 5);
  }
  EXPECT_EQ(as_text(slice), "world");
  EXPECT_EQ(as_text(slice.sub(1, 3)), "orl");
}

TEST(bytes, an_empty_slice_is_an_empty_view) {
  EXPECT_TRUE(Slice().empty());
  EXPECT_EQ(Slice().view().size(), 0U);
  EXPECT_TRUE(equal(Slice(), ByteView{}));
}

TEST(bytes_death, a_slice_beyond_its_buffer_is_refused) {
  const BufferRef buffer = BufferRef::allocate(8);
  EXPECT_DEATH(Slice(buffer, 4, 5), "REQUIRE");
}

TEST(bytes_death, a_shared_buffer_is_not_written) {
  BufferRef buffer = BufferRef::allocate(8);
  const BufferRef other = buffer;
  EXPECT_DEATH((void)buffer.mutable_bytes(), "REQUIRE");
}

}  // namespace
}  // namespace bascule

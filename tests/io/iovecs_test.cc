#include "io/iovecs.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace bascule::io {
namespace {

std::string rest(const Iovecs& vectors) {
  std::string text;
  for (unsigned i = 0; i < vectors.count(); ++i)
    text.append(static_cast<const char*>(vectors.data()[i].iov_base), vectors.data()[i].iov_len);
  return text;
}

RC_GTEST_PROP(iovecs, any_short_writes_leave_exactly_the_rest,
              (const std::vector<std::string>& texts)) {
  std::vector<Slice> pieces;
  std::string all;
  for (const std::string& text : texts) {
    pieces.push_back(Slice::copy_of(as_bytes(text)));
    all += text;
  }
  Iovecs vectors(pieces);
  while (true) {
    RC_ASSERT(vectors.bytes_left() == all.size());
    RC_ASSERT(rest(vectors) == all);
    if (all.empty()) break;
    const auto step = *rc::gen::inRange<size_t>(1, all.size() + 1);
    vectors.advance(step);
    all.erase(0, step);
  }
  RC_ASSERT(vectors.empty());
}

TEST(iovecs, one_call_takes_no_more_pieces_than_the_system_does) {
  const std::vector<Slice> pieces(3'000, Slice::copy_of(as_bytes("x")));
  Iovecs vectors(pieces);
  EXPECT_EQ(vectors.count(), Iovecs::k_count_max);
  vectors.advance(2'500);
  EXPECT_EQ(vectors.count(), 500u);
}

}  // namespace
}  // namespace bascule::io

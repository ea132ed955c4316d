#include "src/peers/frame.h"

#include <gtest/gtest.h>

#include "src/base/codec.h"
#include "src/base/crc32c.h"
#include "src/base/prng.h"

namespace bascule::peers {
namespace {

Slice random_slice(Prng& random, size_t size) {
  BufferRef buffer = BufferRef::allocate(size);
  for (uint8_t& byte : buffer.mutable_bytes()) byte = static_cast<uint8_t>(random.next());
  return buffer;
}

Frame some_frame(uint64_t seed, std::vector<size_t> attachments) {
  Prng random(seed);
  Frame frame{FrameKind::call, random_slice(random, 48), {}};
  for (const size_t size : attachments) frame.attachments.push_back(random_slice(random, size));
  return frame;
}

Bytes bytes_of(const Frame& frame) {
  const auto pieces = encode_frame(frame);
  Bytes all;
  for (const Slice& piece : pieces.value())
    all.insert(all.end(), piece.data(), piece.data() + piece.size());
  return all;
}

bool same(const Frame& a, const Frame& b) {
  if (a.kind != b.kind || !equal(a.body, b.body) || a.attachments.size() != b.attachments.size())
    return false;
  for (size_t i = 0; i < a.attachments.size(); ++i) {
    if (!equal(a.attachments[i], b.attachments[i])) return false;
  }
  return true;
}

// Feeds `bytes` in pieces of at most `step`; gives what came out, or the error.
Result<std::vector<Frame>> read_all(ByteView bytes, size_t step,
                                    size_t payload_max = k_payload_bytes_max) {
  FrameReader reader(payload_max);
  std::vector<Frame> frames;
  while (!bytes.empty()) {
    MutableBytes into = reader.into();
    EXPECT_FALSE(into.empty());
    const size_t n = std::min({step, into.size(), bytes.size()});
    std::memcpy(into.data(), bytes.data(), n);
    reader.filled(n);
    bytes = bytes.subspan(n);
    while (true) {
      BASCULE_TRY_ASSIGN(auto frame, reader.next());
      if (!frame) break;
      frames.push_back(*std::move(frame));
    }
  }
  EXPECT_FALSE(reader.in_frame());
  return frames;
}

TEST(frame, comes_out_as_it_went_in_wherever_it_is_split) {
  const std::vector<Frame> frames{some_frame(1, {}), some_frame(2, {100, 0, 700, 3}),
                                  Frame{FrameKind::ping, {}, {}}, some_frame(3, {70'000, 1})};
  Bytes bytes;
  for (const Frame& frame : frames) {
    const Bytes one = bytes_of(frame);
    bytes.insert(bytes.end(), one.begin(), one.end());
  }
  for (const size_t step : {1, 2, 3, 7, 31, 32, 33, 64, 1000, 65'535, 65'536, 1'000'000}) {
    const auto read = read_all(bytes, step);
    ASSERT_TRUE(read.has_value()) << step << read.error().to_string();
    ASSERT_EQ(read->size(), frames.size()) << step;
    for (size_t i = 0; i < frames.size(); ++i)
      EXPECT_TRUE(same((*read)[i], frames[i])) << step << i;
  }
}

TEST(frame, is_whole_whichever_byte_it_is_cut_at) {
  const Frame frame = some_frame(4, {40, 600});
  const Bytes bytes = bytes_of(frame);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    FrameReader reader(k_payload_bytes_max);
    std::optional<Frame> got;
    for (const ByteView part : {ByteView(bytes).first(cut), ByteView(bytes).subspan(cut)}) {
      EXPECT_FALSE(got && !part.empty());
      ByteView left = part;
      while (!left.empty()) {
        MutableBytes into = reader.into();
        const size_t n = std::min(into.size(), left.size());
        std::memcpy(into.data(), left.data(), n);
        reader.filled(n);
        left = left.subspan(n);
        auto next = reader.next();
        ASSERT_TRUE(next.has_value());
        if (*next) got = std::move(**next);
      }
    }
    ASSERT_TRUE(got.has_value()) << cut;
    EXPECT_TRUE(same(*got, frame)) << cut;
  }
}

TEST(frame, one_wrong_bit_anywhere_is_noticed) {
  const Bytes good = bytes_of(some_frame(5, {20, 0, 600}));
  for (size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes bad = good;
      bad[i] = static_cast<uint8_t>(bad[i] ^ (1 << bit));
      FrameReader reader(k_payload_bytes_max);
      std::memcpy(reader.into().data(), bad.data(), bad.size());
      reader.filled(bad.size());
      const auto next = reader.next();
      EXPECT_FALSE(next.has_value()) << "byte " << i << " bit " << bit;
    }
  }
}

TEST(frame, a_large_attachment_leaves_by_reference_and_small_ones_together) {
  const Frame frame = some_frame(6, {10, 20, 4096, 30, 8192, 5000});
  const auto pieces = encode_frame(frame).value();
  // Front with the first two, 4096, the small one, 8192, 5000.
  ASSERT_EQ(pieces.size(), 5u);
  EXPECT_EQ(pieces[1].data(), frame.attachments[2].data());
  EXPECT_EQ(pieces[3].data(), frame.attachments[4].data());
  EXPECT_EQ(pieces[4].data(), frame.attachments[5].data());
  EXPECT_EQ(total_bytes(pieces), bytes_of(frame).size());
}

TEST(frame, attachments_of_one_frame_share_one_buffer) {
  const Bytes bytes = bytes_of(some_frame(7, {1000, 2000}));
  const auto frames = read_all(bytes, 1 << 20);
  ASSERT_TRUE(frames && frames->size() == 1);
  const Frame& frame = frames->front();
  EXPECT_EQ(frame.attachments[0].data() + 1000, frame.attachments[1].data());
}

Bytes header(uint32_t body, uint32_t attachments, uint32_t payload) {
  Bytes out;
  Writer writer(out);
  writer.fixed<uint32_t>(k_frame_magic);
  writer.fixed<uint8_t>(k_frame_version);
  writer.fixed<uint8_t>(static_cast<uint8_t>(FrameKind::call));
  writer.fixed<uint16_t>(0);
  writer.fixed<uint32_t>(body);
  writer.fixed<uint32_t>(attachments);
  writer.fixed<uint32_t>(payload);
  writer.fixed<uint32_t>(0);
  writer.fixed<uint32_t>(0);
  writer.fixed<uint32_t>(crc32c(out));
  return out;
}

TEST(frame, sizes_are_judged_by_the_header_alone) {
  EXPECT_TRUE(decode_frame_header(header(8, 1, 100), 100).has_value());
  EXPECT_EQ(decode_frame_header(header(8, 1, 101), 100).error().code, Errc::corrupt);
  EXPECT_EQ(decode_frame_header(header(101, 0, 100), 100).error().code, Errc::corrupt);
  EXPECT_EQ(decode_frame_header(header(90, 3, 100), 100).error().code, Errc::corrupt);
  EXPECT_EQ(decode_frame_header(header(0, UINT32_MAX, 100), 100).error().code, Errc::corrupt);
  EXPECT_EQ(decode_frame_header(header(UINT32_MAX, UINT32_MAX, UINT32_MAX), SIZE_MAX).error().code,
            Errc::corrupt);
}

TEST(frame, another_version_is_told_apart_from_damage) {
  Bytes bytes = header(0, 0, 0);
  bytes[4] = 2;
  EXPECT_EQ(decode_frame_header(bytes, 100).error().code, Errc::unsupported);
  bytes[0] = 'G';
  EXPECT_EQ(decode_frame_header(bytes, 100).error().code, Errc::corrupt);
}

TEST(frame, what_is_too_large_is_not_made) {
  Frame frame{FrameKind::call, {}, {Slice(BufferRef::allocate(k_payload_bytes_max - 4))}};
  std::memset(const_cast<uint8_t*>(frame.attachments[0].data()), 0, frame.attachments[0].size());
  EXPECT_TRUE(encode_frame(frame).has_value());
  frame.body = Slice::copy_of(Bytes(8));
  EXPECT_EQ(encode_frame(frame).error().code, Errc::too_large);
  const Frame many{FrameKind::call, {}, std::vector<Slice>(k_attachments_max + 1)};
  EXPECT_EQ(encode_frame(many).error().code, Errc::too_large);
}

}  // namespace
}  // namespace bascule::peers

#include "src/model/batch.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "src/base/crc32c.h"
#include "src/model/record.h"

namespace bascule::model {
namespace {

const Uuid k_log{{0x1234, 0x5678}};
const Uuid k_other_log{{0x1234, 0x5679}};

// A batch of `count` records, sealed for a log at an offset.
Bytes sealed_batch(uint32_t count, const Uuid& log = k_log, Offset base = Offset(7)) {
  BatchBuilder builder;
  for (uint32_t i = 0; i < count; ++i) {
    Record record{WallTime{1000 + i}, "a.b", "", "k", {{"h", "v"}}, std::to_string(i)};
    EXPECT_TRUE(builder.add(view_of(record)).has_value());
  }
  BufferRef buffer = builder.finish();
  BatchHeader header = *decode_batch_header(buffer.view(), 0);
  header.base_offset = base;
  header.epoch = Epoch(3);
  header.append_time = WallTime{5000};
  encode_batch_header(header, batch_crc_seed(log), buffer.mutable_bytes());
  return to_bytes(buffer.view());
}

TEST(batch, a_header_comes_back) {
  const Bytes batch = sealed_batch(3);
  const auto header = verify_batch(batch, batch_crc_seed(k_log));
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->base_offset, Offset(7));
  EXPECT_EQ(header->next_offset(), Offset(10));
  EXPECT_EQ(header->epoch, Epoch(3));
  EXPECT_EQ(header->record_count, 3U);
  EXPECT_EQ(header->base_timestamp.ns, 1000);
  EXPECT_EQ(header->max_timestamp.ns, 1002);
}

TEST(batch, bytes_of_another_log_are_rejected) {
  const Bytes batch = sealed_batch(1);
  EXPECT_EQ(verify_batch(batch, batch_crc_seed(k_other_log)).error().code, Errc::corrupt);
  EXPECT_EQ(verify_batch(batch, 0).error().code, Errc::corrupt);
}

RC_GTEST_PROP(batch, any_flipped_bit_is_found, ()) {
  Bytes batch = sealed_batch(2);
  const size_t bit = *rc::gen::inRange<size_t>(0, batch.size() * 8);
  batch[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
  RC_ASSERT(!verify_batch(batch, batch_crc_seed(k_log)).has_value());
}

RC_GTEST_PROP(batch, any_cut_is_found, ()) {
  const Bytes batch = sealed_batch(2);
  const size_t size = *rc::gen::inRange<size_t>(0, batch.size());
  RC_ASSERT(verify_batch(ByteView(batch).first(size), batch_crc_seed(k_log)).error().code ==
            Errc::corrupt);
}

TEST(batch, an_unknown_version_or_attribute_stops_the_reader_by_name) {
  Bytes batch = sealed_batch(1);
  const auto reseal = [&] {
    const ByteView b(batch);
    store_le<uint32_t>(batch.data() + 12,
                       crc32c(b.subspan(16, 80), crc32c(b.first(12), batch_crc_seed(k_log))));
  };
  batch[4] = 2;
  reseal();
  const auto version = decode_batch_header(batch, batch_crc_seed(k_log));
  EXPECT_EQ(version.error().code, Errc::unsupported);
  EXPECT_NE(version.error().context.find("version 2"), std::string::npos);
  batch[4] = 1;
  batch[7] = 0x80;
  reseal();
  const auto attribute = decode_batch_header(batch, batch_crc_seed(k_log));
  EXPECT_EQ(attribute.error().code, Errc::unsupported);
  EXPECT_NE(attribute.error().context.find("attribute"), std::string::npos);
}

TEST(batch, sealed_nonsense_is_invalid) {
  const BatchHeader good = *decode_batch_header(sealed_batch(2), batch_crc_seed(k_log));
  const auto code_of = [](const BatchHeader& h) {
    Bytes bytes(limits::k_batch_header_bytes);
    encode_batch_header(h, 0, bytes);
    return decode_batch_header(bytes, 0).error().code;
  };
  BatchHeader h = good;
  h.total_bytes = limits::k_batch_header_bytes - 1;
  EXPECT_EQ(code_of(h), Errc::invalid);
  h = good;
  h.total_bytes = UINT32_MAX;
  EXPECT_EQ(code_of(h), Errc::invalid);
  h = good;
  h.record_count = 3;
  EXPECT_EQ(code_of(h), Errc::invalid);
  h = good;
  h.last_offset_delta = -2;
  EXPECT_EQ(code_of(h), Errc::invalid);
  h = good;
  h.attributes = attribute::k_control;
  EXPECT_EQ(code_of(h), Errc::invalid);
  h = good;
  h.body_bytes_uncompressed = 1;
  EXPECT_EQ(code_of(h), Errc::invalid);
  h = good;
  h.base_offset = Offset(UINT64_MAX);
  EXPECT_EQ(code_of(h), Errc::invalid);
}

TEST(batch, the_seed_tells_logs_apart) {
  EXPECT_NE(batch_crc_seed(k_log), batch_crc_seed(k_other_log));
  EXPECT_EQ(batch_crc_seed(Uuid{}), 0U);
}

}  // namespace
}  // namespace bascule::model

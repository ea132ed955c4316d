#include "src/model/record.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "src/base/crc32c.h"

namespace bascule::model {
namespace {

rc::Gen<Record> any_record() {
  return rc::gen::apply(
      [](int64_t ns, std::string subject, std::string reply, bool has_key, std::string key,
         std::vector<std::pair<std::string, std::string>> headers, bool has_value,
         std::string value) {
        Record r{WallTime{ns}, std::move(subject), std::move(reply), {}, std::move(headers), {}};
        if (has_key) r.key = std::move(key);
        if (has_value) r.value = std::move(value);
        return r;
      },
      rc::gen::arbitrary<int64_t>(), rc::gen::arbitrary<std::string>(),
      rc::gen::arbitrary<std::string>(), rc::gen::arbitrary<bool>(),
      rc::gen::arbitrary<std::string>(),
      rc::gen::arbitrary<std::vector<std::pair<std::string, std::string>>>(),
      rc::gen::arbitrary<bool>(), rc::gen::arbitrary<std::string>());
}

Result<std::vector<Record>> records_of(ByteView batch) {
  BASCULE_TRY_ASSIGN(const BatchHeader header, verify_batch(batch, 0));
  Bytes scratch;
  BASCULE_TRY_ASSIGN(const ByteView body, batch_body(header, batch, scratch));
  RecordReader reader(body, header.base_timestamp);
  RecordView view;
  std::vector<Record> out;
  while (reader.next(view)) out.push_back(view.to_record());
  BASCULE_TRY(reader.status());
  return out;
}

RC_GTEST_PROP(record, batches_come_back_with_any_compression, ()) {
  const auto records = *rc::gen::nonEmpty(rc::gen::container<std::vector<Record>>(any_record()));
  BatchBuilder builder(*rc::gen::element(Compression::none, Compression::lz4, Compression::zstd));
  for (const Record& r : records) RC_ASSERT(builder.add(view_of(r)).has_value());
  const BufferRef batch = builder.finish();
  RC_ASSERT(*records_of(batch.view()) == records);
  const BatchHeader header = *decode_batch_header(batch.view(), 0);
  RC_ASSERT(validate_records(header, batch.view()).has_value());
}

RC_GTEST_PROP(record, the_size_foretold_is_the_size_written, ()) {
  const Record record = *any_record();
  BatchBuilder builder;
  const size_t before = builder.bytes();
  RC_ASSERT(builder.add(view_of(record)).has_value());
  RC_ASSERT(builder.bytes() - before == record_bytes(view_of(record), record.timestamp));
}

RC_GTEST_PROP(record, garbage_in_a_body_is_an_error_and_nothing_worse, ()) {
  const auto body = *rc::gen::arbitrary<std::vector<uint8_t>>();
  RecordReader reader(body, WallTime{0});
  RecordView view;
  size_t count = 0;
  while (reader.next(view)) ++count;
  RC_ASSERT(count <= body.size());
}

TEST(record, an_absent_value_and_an_empty_one_differ) {
  BatchBuilder builder;
  const Record tombstone{WallTime{1}, "s", "", "k", {}, std::nullopt};
  const Record empty{WallTime{1}, "s", "", "k", {}, ""};
  ASSERT_TRUE(builder.add(view_of(tombstone)).has_value());
  ASSERT_TRUE(builder.add(view_of(empty)).has_value());
  const auto out = *records_of(builder.finish().view());
  EXPECT_FALSE(out[0].value.has_value());
  EXPECT_EQ(out[1].value, "");
}

TEST(record, a_record_over_the_limits_is_refused_and_changes_nothing) {
  BatchBuilder builder;
  Record record{WallTime{1}, "s", "", {}, {}, std::string(limits::k_value_bytes_max + 1, 'x')};
  EXPECT_EQ(builder.add(view_of(record)).error().code, Errc::too_large);
  record.value = "x";
  record.subject = std::string(limits::k_subject_bytes_max + 1, 's');
  EXPECT_EQ(builder.add(view_of(record)).error().code, Errc::too_large);
  EXPECT_TRUE(builder.empty());
}

TEST(record, a_batch_over_the_limit_is_refused_and_what_was_gathered_stays) {
  BatchBuilder builder;
  const Record record{WallTime{1}, "s", "", {}, {}, std::string(limits::k_value_bytes_max, 'x')};
  ASSERT_TRUE(builder.add(view_of(record)).has_value());
  EXPECT_EQ(builder.add(view_of(record)).error().code, Errc::too_large);
  EXPECT_EQ(records_of(builder.finish().view())->size(), 1U);
}

TEST(record, a_thinned_batch_keeps_its_offsets) {
  BatchBuilder builder;
  const Record record{WallTime{1}, "s", "", {}, {}, "v"};
  ASSERT_TRUE(builder.add_at(2, view_of(record)).has_value());
  ASSERT_TRUE(builder.add_at(5, view_of(record)).has_value());
  const BufferRef batch = builder.finish();
  const BatchHeader header = *verify_batch(batch.view(), 0);
  EXPECT_EQ(header.offset_count(), 6U);
  EXPECT_EQ(header.record_count, 2U);
  EXPECT_EQ(validate_records(header, batch.view()).error().code, Errc::invalid)
      << "no producer may send a thinned batch";
}

// A header that says something else about its body than the body does.
TEST(record, a_leader_refuses_a_batch_whose_header_lies) {
  BatchBuilder builder;
  const Record record{WallTime{9}, "s", "", {}, {}, "v"};
  ASSERT_TRUE(builder.add(view_of(record)).has_value());
  ASSERT_TRUE(builder.add(view_of(record)).has_value());
  const BufferRef batch = builder.finish();
  const BatchHeader good = *decode_batch_header(batch.view(), 0);
  ASSERT_TRUE(validate_records(good, batch.view()).has_value());
  BatchHeader h = good;
  h.record_count = 1;
  EXPECT_FALSE(validate_records(h, batch.view()).has_value());
  h = good;
  h.last_offset_delta = 4;
  EXPECT_FALSE(validate_records(h, batch.view()).has_value());
  h = good;
  h.max_timestamp = WallTime{10};
  EXPECT_FALSE(validate_records(h, batch.view()).has_value());
  h = good;
  h.base_timestamp = WallTime{8};
  EXPECT_FALSE(validate_records(h, batch.view()).has_value());
}

TEST(record, a_compressed_body_that_does_not_decompress_is_corrupt) {
  BatchBuilder builder(Compression::zstd);
  const Record record{WallTime{9}, "s", "", {}, {}, std::string(1000, 'v')};
  ASSERT_TRUE(builder.add(view_of(record)).has_value());
  BufferRef batch = builder.finish();
  BatchHeader header = *decode_batch_header(batch.view(), 0);
  ASSERT_EQ(header.compression(), Compression::zstd);
  header.body_bytes_uncompressed += 1;
  Bytes scratch;
  EXPECT_EQ(batch_body(header, batch.view(), scratch).error().code, Errc::corrupt);
}

}  // namespace
}  // namespace bascule::model

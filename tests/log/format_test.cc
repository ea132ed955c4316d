#include "src/log/format.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "src/base/codec.h"
#include "src/base/crc32c.h"

namespace bascule::log {
namespace {

Frame some_frame() {
  return {.nonce = Uuid{{3, 4}},
          .write_number = 9,
          .position = 8192,
          .batch_bytes = 700,
          .batch_count = 2,
          .first = Offset(55),
          .durable_leo = Offset(50),
          .headers_crc = 0xabcd};
}

Manifest some_manifest() {
  Manifest m;
  m.partition = {StreamId(7), PartitionIndex(2)};
  m.assignment = AssignmentId(9);
  m.log_id = Uuid{{1, 2}};
  m.metadata_index = Index(77);
  m.generation = 4;
  m.log_start = Offset(10);
  m.recovery_offset = Offset(30);
  m.recovery_segment = 3;
  m.recovery_position = 4096;
  m.next_segment_id = 5;
  m.lost = true;
  m.damaged = {{Offset(12), Offset(14)}};
  SegmentEntry sealed;
  sealed.id = 2;
  sealed.nonce = Uuid{{5, 6}};
  sealed.based = sealed.sealed = sealed.never_write = true;
  sealed.first = Offset(10);
  sealed.end = Offset(30);
  sealed.end_position = 12288;
  sealed.summary = {
      999, WallTime{-5}, WallTime{70}, {{Epoch(1), Offset(10)}, {Epoch(3), Offset(20)}}};
  SegmentEntry open;
  open.id = 3;
  m.segments = {sealed, open};
  m.retired = {1, 4};
  return m;
}

TEST(frame, is_found_again_only_with_its_nonce_place_and_log) {
  Bytes sector(k_frame_bytes);
  encode_frame(some_frame(), 17, sector);
  EXPECT_EQ(decode_frame(sector, 17, Uuid{{3, 4}}, 8192), some_frame());
  EXPECT_FALSE(decode_frame(sector, 17, Uuid{{3, 5}}, 8192));
  EXPECT_FALSE(decode_frame(sector, 17, Uuid{{3, 4}}, 4096));
  EXPECT_FALSE(decode_frame(sector, 18, Uuid{{3, 4}}, 8192));
  EXPECT_FALSE(decode_frame(ByteView(sector).first(511), 17, Uuid{{3, 4}}, 8192));
}

RC_GTEST_PROP(frame, no_flipped_bit_goes_unnoticed, ()) {
  Bytes sector(k_frame_bytes);
  encode_frame(some_frame(), 17, sector);
  const auto at = *rc::gen::inRange<size_t>(0, k_frame_bytes);
  sector[at] ^= static_cast<uint8_t>(1u << *rc::gen::inRange(0, 8));
  RC_ASSERT(!decode_frame(sector, 17, Uuid{{3, 4}}, 8192));
}

TEST(manifest, decodes_to_what_was_encoded) {
  const auto decoded = decode_manifest(encode_manifest(some_manifest()));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, some_manifest());
}

RC_GTEST_PROP(manifest, no_flipped_bit_and_no_short_file_decodes, ()) {
  Bytes bytes = encode_manifest(some_manifest());
  if (*rc::gen::arbitrary<bool>()) {
    bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size()));
  } else {
    const auto at = *rc::gen::inRange<size_t>(0, bytes.size());
    bytes[at] ^= static_cast<uint8_t>(1u << *rc::gen::inRange(0, 8));
  }
  RC_ASSERT(!decode_manifest(bytes));
}

TEST(manifest, a_later_version_is_unsupported_by_name) {
  Bytes bytes = encode_manifest(some_manifest());
  bytes[4] = 2;
  // As a later program writes it: the checksum covers all but itself.
  store_le<uint32_t>(bytes.data() + 8,
                     crc32c(ByteView(bytes).subspan(12), crc32c(ByteView(bytes).first(8))));
  const auto decoded = decode_manifest(bytes);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, Errc::unsupported);
}

TEST(manifest, a_rotten_version_is_damage_and_no_later_program) {
  Bytes bytes = encode_manifest(some_manifest());
  bytes[4] = 2;
  const auto decoded = decode_manifest(bytes);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, Errc::corrupt);
}

RC_GTEST_PROP(logs_file, decodes_to_what_was_encoded, ()) {
  LogsFile logs;
  logs.clean = *rc::gen::arbitrary<bool>();
  logs.boot_id = Uuid{{*rc::gen::arbitrary<uint64_t>(), 1}};
  const auto n = *rc::gen::inRange<size_t>(0, 5);
  for (size_t i = 0; i < n; ++i) {
    LogsEntry e;
    e.partition = {StreamId(i), PartitionIndex(*rc::gen::arbitrary<uint32_t>())};
    e.assignment = AssignmentId(*rc::gen::arbitrary<uint64_t>());
    e.generation = *rc::gen::arbitrary<uint64_t>();
    e.leo = Offset(*rc::gen::arbitrary<uint64_t>());
    e.last_epoch = Epoch(*rc::gen::arbitrary<uint64_t>());
    e.hw = Offset(*rc::gen::arbitrary<uint64_t>());
    e.suspect = *rc::gen::arbitrary<bool>();
    e.is_end = *rc::gen::arbitrary<bool>();
    e.clean = *rc::gen::arbitrary<bool>();
    logs.entries.push_back(e);
  }
  const auto decoded = decode_logs(encode_logs(logs));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == logs);
}

RC_GTEST_PROP(formats, random_bytes_are_errors_and_nothing_worse, (const Bytes& bytes)) {
  RC_ASSERT(!decode_manifest(bytes));
  RC_ASSERT(!decode_logs(bytes));
  RC_ASSERT(!decode_any_frame(bytes, 0));
}

TEST(names, are_parsed_back) {
  EXPECT_EQ(segment_file_name(0x1f), "000000000000001f.log");
  EXPECT_EQ(parse_segment_file_name("000000000000001f.log", ".log"), 0x1fu);
  EXPECT_FALSE(parse_segment_file_name("1f.log", ".log"));
  EXPECT_FALSE(parse_segment_file_name("000000000000001g.log", ".log"));
  const auto parsed = parse_log_directory_name(
      log_directory_name({StreamId(7), PartitionIndex(1)}, AssignmentId(3)));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->partition, (PartitionId{StreamId(7), PartitionIndex(1)}));
  EXPECT_EQ(parsed->assignment, AssignmentId(3));
  EXPECT_FALSE(parse_log_directory_name("7-1"));
  EXPECT_FALSE(parse_log_directory_name("7-x-3"));
}

}  // namespace
}  // namespace bascule::log

#include "src/broker/thinning.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "src/base/codec.h"
#include "src/base/crc32c.h"
#include "src/model/compression.h"
#include "src/model/record.h"
#include "src/model/subject.h"
#include "tests/broker/batches.h"

namespace bascule::broker {
namespace {

constexpr uint32_t k_seed = 0x5eed;

struct Seen {
  std::map<uint64_t, std::string> records;  // offset → subject
  std::vector<model::BatchHeader> headers;
};

// Reads deliveries as a client does: verifies every batch, and that ranges follow one another.
Seen read_all(const std::vector<Delivery>& deliveries, Offset from) {
  Seen seen;
  Offset at = from;
  for (const Delivery& d : deliveries) {
    EXPECT_EQ(d.base_offset, at);
    EXPECT_GT(d.next_offset, d.base_offset);
    at = d.next_offset;
    size_t bytes = 0;
    for (const Slice& slice : d.batches) {
      bytes += slice.size();
      for (size_t pos = 0; pos < slice.size();) {
        const auto header = model::decode_batch_header(slice.view().subspan(pos), k_seed);
        if (!header) {
          ADD_FAILURE() << header.error().to_string();
          return seen;
        }
        const ByteView batch = slice.view().subspan(pos, header->total_bytes);
        EXPECT_TRUE(model::batch_body_matches(*header, batch));
        EXPECT_EQ(header->epoch, d.epoch);
        EXPECT_GE(header->base_offset, d.base_offset);
        EXPECT_LE(header->next_offset(), d.next_offset);
        Bytes scratch;
        model::RecordReader reader(*model::batch_body(*header, batch, scratch),
                                   header->base_timestamp);
        model::RecordView record;
        while (reader.next(record)) {
          const uint64_t offset = header->base_offset.value + record.offset_delta;
          EXPECT_EQ(record.timestamp.ns, static_cast<int64_t>(offset) * 10);
          EXPECT_EQ(record.key, "k" + std::to_string(offset));
          EXPECT_EQ(record.value->substr(0, record.value->find('x')),
                    "value of " + std::to_string(offset));
          EXPECT_TRUE(seen.records.emplace(offset, record.subject).second);
        }
        EXPECT_TRUE(reader.status().has_value());
        seen.headers.push_back(*header);
        pos += header->total_bytes;
      }
    }
    EXPECT_EQ(d.bytes, bytes);
  }
  return seen;
}

Wanted wanted(uint64_t from, uint64_t until, std::string filter = {}) {
  return {.from = Offset(from),
          .until = Offset(until),
          .before = {},
          .filter = std::move(filter),
          .header_seed = k_seed};
}

std::vector<Slice> three() {
  return {join({make_batch({Offset(10), Epoch(1), WallTime{100}, {"a.x", "b", "a.y"}}, k_seed),
                make_batch({Offset(13), Epoch(1), WallTime{200}, {"b", "b"}}, k_seed)}),
          make_batch({Offset(15), Epoch(2), WallTime{300}, {"a.z"}}, k_seed)};
}

TEST(Thinning, whole_batches_pass_untouched_and_one_delivery_holds_one_epoch) {
  const std::vector<Slice> log = three();
  const auto out = thin(log, wanted(10, 16));
  ASSERT_TRUE(out.has_value());
  ASSERT_EQ(out->deliveries.size(), 2u);
  ASSERT_EQ(out->deliveries[0].batches.size(), 1u);
  EXPECT_EQ(out->deliveries[0].batches[0].data(), log[0].data()) << "no copy";
  EXPECT_EQ(out->deliveries[0].batches[0].size(), log[0].size());
  EXPECT_EQ(out->deliveries[1].epoch, Epoch(2));
  EXPECT_EQ(out->next, Offset(16));
  EXPECT_EQ(read_all(out->deliveries, Offset(10)).records.size(), 6u);
}

TEST(Thinning, a_start_in_the_middle_of_a_batch_gives_a_derived_one_from_there) {
  const auto out = thin(three(), wanted(12, 16));
  ASSERT_TRUE(out.has_value());
  const Seen seen = read_all(out->deliveries, Offset(12));
  EXPECT_EQ(seen.records.begin()->first, 12u);
  EXPECT_EQ(seen.records.size(), 4u);
  EXPECT_NE(seen.headers[0].attributes & model::attribute::k_derived, 0);
  EXPECT_EQ(seen.headers[0].base_offset, Offset(12));
  EXPECT_EQ(seen.headers[0].next_offset(), Offset(13));
  EXPECT_EQ(seen.headers[0].append_time, WallTime{100});
  EXPECT_EQ(seen.headers[1].attributes & model::attribute::k_derived, 0);
}

TEST(Thinning, a_stop_in_the_middle_of_a_batch_is_exact) {
  const auto out = thin(three(), wanted(10, 14));
  ASSERT_TRUE(out.has_value());
  EXPECT_TRUE(out->stopped);
  EXPECT_EQ(out->next, Offset(14));
  EXPECT_EQ(read_all(out->deliveries, Offset(10)).records.rbegin()->first, 13u);
}

TEST(Thinning, a_filter_keeps_offsets_and_covers_the_range_where_nothing_matched) {
  const auto out = thin(three(), wanted(10, 16, "a.*"));
  ASSERT_TRUE(out.has_value());
  const Seen seen = read_all(out->deliveries, Offset(10));
  EXPECT_EQ(seen.records, (std::map<uint64_t, std::string>{{10, "a.x"}, {12, "a.y"}, {15, "a.z"}}));
  EXPECT_EQ(seen.headers[0].record_count, 2u);
  EXPECT_EQ(seen.headers[0].next_offset(), Offset(13));
  EXPECT_EQ(out->deliveries[0].next_offset, Offset(15)) << "the batch without a match counts";
  EXPECT_EQ(seen.headers.back().attributes & model::attribute::k_derived, 0)
      << "all of it matched: the original";
}

TEST(Thinning, nothing_matched_still_moves_the_position) {
  const auto out = thin(three(), wanted(10, 16, "nobody"));
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(out->next, Offset(16));
  ASSERT_EQ(out->deliveries.size(), 2u);
  EXPECT_TRUE(out->deliveries[0].batches.empty());
  EXPECT_EQ(out->deliveries[0].next_offset, Offset(15));
}

TEST(Thinning, a_stop_time_ends_before_the_first_batch_appended_at_it) {
  Wanted w = wanted(10, 16);
  w.before = WallTime{200};
  const auto out = thin(three(), w);
  ASSERT_TRUE(out.has_value());
  EXPECT_TRUE(out->stopped);
  EXPECT_EQ(out->next, Offset(13));
}

TEST(Thinning, a_batch_of_another_log_a_bad_header_and_a_missing_batch_are_corrupt) {
  const auto code = [](const std::vector<Slice>& log, const Wanted& w) {
    const auto out = thin(log, w);
    return out ? Errc::internal : out.error().code;
  };
  Wanted other = wanted(10, 16);
  other.header_seed = 1;
  EXPECT_EQ(code(three(), other), Errc::corrupt);
  const std::vector<Slice> good = three();
  EXPECT_EQ(code({good[1]}, wanted(10, 16)), Errc::corrupt) << "a gap";
  Bytes bytes = to_bytes(good[0]);
  bytes.back() ^= 1;
  EXPECT_EQ(code({Slice::copy_of(bytes)}, wanted(10, 16, "b")), Errc::corrupt)
      << "a body that is taken apart";
  EXPECT_EQ(code({good[0].sub(0, good[0].size() - 1)}, wanted(10, 16)), Errc::corrupt);
}

// The greatest batch that a leader takes: its body, 10 MiB before compression, has no room for a header.
// Times wind backwards by years, so that against another first record each takes more bytes.
Slice greatest_batch(Offset base, Epoch epoch) {
  constexpr size_t k_fill = 1000;
  Bytes body;
  Writer out(body);
  uint32_t count = 0;
  WallTime latest{0};
  const auto write = [&](const std::string& subject, const std::string& value, WallTime at) {
    Bytes record;
    Writer fields(record);
    fields.varint(2);
    fields.varint(count++);
    fields.signed_varint(at.ns);
    fields.sized(std::string_view(subject));
    fields.sized(std::string_view());
    fields.varint(0);
    fields.sized(std::string_view(value));
    out.sized(ByteView(record));
    latest = std::max(latest, at);
  };
  write("first", "", WallTime{0});
  write("dropped", "", WallTime{int64_t{1} << 60});
  while (limits::k_batch_body_bytes_max - body.size() > 3 * k_fill)
    write("kept", std::string(k_fill, 'x'), WallTime{static_cast<int64_t>(count % 2)});
  const size_t left = limits::k_batch_body_bytes_max - body.size();
  for (size_t fill = left - 64; body.size() < limits::k_batch_body_bytes_max; ++fill) {
    const size_t before = body.size();
    write("kept", std::string(fill, 'x'), WallTime{0});
    if (body.size() == limits::k_batch_body_bytes_max) break;
    body.resize(before);
    --count;
  }
  Bytes compressed;
  EXPECT_TRUE(model::compress(model::Compression::zstd, body, compressed));
  model::BatchHeader header;
  header.attributes = static_cast<uint16_t>(model::Compression::zstd);
  header.total_bytes = static_cast<uint32_t>(limits::k_batch_header_bytes + compressed.size());
  header.body_crc = crc32c(compressed);
  header.body_bytes_uncompressed = static_cast<uint32_t>(body.size());
  header.last_offset_delta = static_cast<int32_t>(count) - 1;
  header.record_count = count;
  header.base_offset = base;
  header.epoch = epoch;
  header.max_timestamp = latest;
  Bytes batch(limits::k_batch_header_bytes);
  model::encode_batch_header(header, k_seed, batch);
  batch.insert(batch.end(), compressed.begin(), compressed.end());
  EXPECT_TRUE(model::verify_batch(batch, k_seed).has_value());
  EXPECT_TRUE(model::validate_records(header, batch).has_value()) << "a leader takes it";
  return Slice::copy_of(batch);
}

// Offsets of the records in `deliveries`, each batch verified and within its bound.
std::vector<uint64_t> offsets_of(const std::vector<Delivery>& deliveries, Offset from,
                                 size_t bytes_max) {
  std::vector<uint64_t> offsets;
  Offset at = from;
  for (const Delivery& d : deliveries) {
    EXPECT_EQ(d.base_offset, at);
    EXPECT_LE(d.bytes, bytes_max);
    at = d.next_offset;
    Offset inner = d.base_offset;
    for (const Slice& slice : d.batches)
      for (size_t pos = 0; pos < slice.size();) {
        const auto header = model::verify_batch(slice.view().subspan(pos), k_seed);
        EXPECT_TRUE(header.has_value());
        if (!header) return offsets;
        EXPECT_GE(header->base_offset, inner);
        inner = header->next_offset();
        EXPECT_LE(inner, d.next_offset);
        Bytes scratch;
        model::RecordReader reader(
            *model::batch_body(*header, slice.view().subspan(pos, header->total_bytes), scratch),
            header->base_timestamp);
        model::RecordView record;
        while (reader.next(record))
          offsets.push_back(header->base_offset.value + record.offset_delta);
        EXPECT_TRUE(reader.status().has_value());
        pos += header->total_bytes;
      }
  }
  return offsets;
}

TEST(Thinning, the_greatest_compressed_batch_is_delivered_when_it_is_thinned_out) {
  const Slice batch = greatest_batch(Offset(100), Epoch(1));
  const uint64_t next = model::decode_batch_header(batch, k_seed)->next_offset().value;
  constexpr size_t k_fits = limits::k_message_bytes_max - (64 << 10);
  // A start behind its first record: what is left grows, since the first time is another one.
  for (const uint64_t from : {uint64_t{101}, uint64_t{102}}) {
    const auto out = thin({batch}, wanted(from, next));
    ASSERT_TRUE(out.has_value()) << out.error().to_string();
    EXPECT_EQ(out->next, Offset(next));
    const auto offsets = offsets_of(out->deliveries, Offset(from), k_fits);
    ASSERT_EQ(offsets.size(), next - from);
    EXPECT_EQ(offsets.front(), from);
    EXPECT_EQ(offsets.back(), next - 1);
  }
  const auto filtered = thin({batch}, wanted(100, next, "kept"));
  ASSERT_TRUE(filtered.has_value()) << filtered.error().to_string();
  EXPECT_EQ(offsets_of(filtered->deliveries, Offset(100), k_fits).size(), next - 102);
}

TEST(Thinning, small_reads_that_become_large_are_delivered_in_steps) {
  std::vector<Slice> log;
  Offset next(0);
  for (int i = 0; i < 4; ++i) {
    log.push_back(greatest_batch(next, Epoch(1)));
    next = model::decode_batch_header(log.back(), k_seed)->next_offset();
  }
  std::vector<uint64_t> offsets;
  Wanted w = wanted(0, next.value, "kept");
  int steps = 0;
  while (w.from < next) {
    // The log gives batches from the one that holds `from`.
    const auto first = std::ranges::find_if(log, [&](const Slice& s) {
      return model::decode_batch_header(s, k_seed)->next_offset() > w.from;
    });
    const auto out = thin({first, log.end()}, w);
    ASSERT_TRUE(out.has_value()) << out.error().to_string();
    const auto got = offsets_of(out->deliveries, w.from, limits::k_message_bytes_max - (64 << 10));
    offsets.insert(offsets.end(), got.begin(), got.end());
    ASSERT_GT(out->next, w.from);
    w.from = out->next;
    ++steps;
  }
  EXPECT_EQ(steps, 4);
  EXPECT_EQ(offsets.size(), next.value - 8);
  EXPECT_TRUE(std::ranges::is_sorted(offsets));
}

RC_GTEST_PROP(ThinningProperty, gives_exactly_what_matches_in_the_range, ()) {
  const std::vector<std::string> subjects{"a.x", "a.y", "b", "c.d.e"};
  const std::string filter = *rc::gen::element<std::string>("", "a.*", "b", "c.>", ">", "none");
  std::vector<Slice> log;
  std::map<uint64_t, std::string> all;
  uint64_t next = *rc::gen::inRange<uint64_t>(0, 100);
  const uint64_t first = next;
  std::vector<Slice> gathered;
  for (int i = *rc::gen::inRange(1, 8); i > 0; --i) {
    LogBatch b{.base = Offset(next), .epoch = Epoch(1 + next / 20), .append_time = WallTime{1}};
    for (int r = *rc::gen::inRange(1, 6); r > 0; --r) {
      b.subjects.push_back(*rc::gen::elementOf(subjects));
      all[next++] = b.subjects.back();
    }
    b.compression = *rc::gen::element(model::Compression::none, model::Compression::lz4);
    gathered.push_back(make_batch(b, k_seed));
    if (*rc::gen::arbitrary<bool>()) {
      log.push_back(join(gathered));
      gathered.clear();
    }
  }
  if (!gathered.empty()) log.push_back(join(gathered));
  // The log gives batches from the one that holds `from`: drop whole slices before it is not needed.
  const uint64_t from = *rc::gen::inRange<uint64_t>(first, next);
  const uint64_t until = *rc::gen::inRange<uint64_t>(from + 1, next + 1);
  const auto out = thin(log, wanted(from, until, filter));
  RC_ASSERT(out.has_value());
  RC_ASSERT(out->next == Offset(until));
  std::map<uint64_t, std::string> expected;
  for (uint64_t o = from; o < until; ++o) {
    if (filter.empty() || model::subject_matches(filter, all[o])) expected[o] = all[o];
  }
  RC_ASSERT(read_all(out->deliveries, Offset(from)).records == expected);
}

}  // namespace
}  // namespace bascule::broker

#include "capnp/replication_codec.h"

#include <gtest/gtest.h>

namespace bascule::capnp_codec {
namespace {

const PartitionId k_partition{StreamId(7), PartitionIndex(3)};

partition::FetchMessage fetches() {
  partition::FetchMessage m;
  m.session = 5;
  m.fetches.push_back(
      {k_partition, Epoch(4), Offset(100), Epoch(3), Offset(90), {Offset(99), Offset(95)}});
  m.progress.push_back({k_partition, Epoch(4), {Offset(100), Offset(100)}});
  return m;
}

partition::AnswerMessage answers(std::vector<Slice>& batches) {
  partition::AnswerMessage m;
  m.session = 6;
  partition::FetchAnswer& one = m.answers.emplace_back();
  one.partition = k_partition;
  one.epoch = Epoch(4);
  one.outcome = partition::FetchOutcome::records;
  one.hw = Offset(12);
  one.log_start = Offset(2);
  one.batches = {Slice::copy_of(as_bytes("one")), Slice::copy_of(as_bytes("two"))};
  partition::FetchAnswer& two = m.answers.emplace_back();
  two.partition = k_partition;
  two.epoch = Epoch(5);
  two.outcome = partition::FetchOutcome::diverging;
  two.common_epoch = Epoch(3);
  two.common_end = Offset(77);
  batches = one.batches;
  return m;
}

TEST(ReplicationCodec, what_is_written_is_read_back) {
  const ReplicationCodec codec;
  EXPECT_EQ(*codec.decode_fetch(codec.encode(fetches())), fetches());
  std::vector<Slice> batches;
  const partition::AnswerMessage sent = answers(batches);
  const auto got = codec.decode_answer(codec.encode(sent), batches);
  ASSERT_TRUE(got.has_value());
  ASSERT_EQ(got->answers.size(), 2u);
  EXPECT_EQ(got->answers[0].batches.size(), 2u);
  EXPECT_EQ(got->answers[0].batches[1].view().size(), 3u);
  EXPECT_EQ(got->answers[1].common_end, Offset(77));
  EXPECT_EQ(got->session, 6u);
}

TEST(ReplicationCodec, batches_that_do_not_fit_the_answers_are_corrupt) {
  const ReplicationCodec codec;
  std::vector<Slice> batches;
  const Bytes bytes = codec.encode(answers(batches));
  batches.push_back(Slice::copy_of(as_bytes("three")));
  EXPECT_EQ(codec.decode_answer(bytes, batches).error().code, Errc::corrupt);
  batches.resize(1);
  EXPECT_EQ(codec.decode_answer(bytes, batches).error().code, Errc::corrupt);
}

TEST(ReplicationCodec, any_bytes_may_come) {
  const ReplicationCodec codec;
  const Bytes whole = codec.encode(fetches());
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(codec.decode_fetch(ByteView(whole).first(n)).has_value()) << n;
  for (size_t at = 0; at < whole.size(); ++at) {
    Bytes bad = whole;
    bad[at] ^= 0x41;
    const auto read =
        codec.decode_fetch(bad);  // what it is, is another's matter; it must not crash
    EXPECT_TRUE(!read || read->fetches.size() <= partition::k_fetches_max);
  }
  partition::FetchMessage impossible = fetches();
  impossible.progress[0].progress = {Offset(1), Offset(2)};
  EXPECT_EQ(codec.decode_fetch(codec.encode(impossible)).error().code, Errc::corrupt);
}

}  // namespace
}  // namespace bascule::capnp_codec

#include "capnp/command_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "src/controller/metadata_table.h"
#include "tests/controller/generators.h"

namespace bascule::capnp_codec {
namespace {

using controller::CommandGenerator;
using controller::MetadataTable;

// A table after some random life of a cluster.
MetadataTable random_table(uint64_t seed, uint64_t steps) {
  MetadataTable table(controller::cluster_id());
  CommandGenerator generator(Prng(seed), 3);
  for (uint64_t i = 1; i <= steps; ++i) (void)table.apply(Index(i), generator.next(table));
  return table;
}

RC_GTEST_PROP(CommandCodecProperty, commands_come_back_as_they_were, ()) {
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  MetadataTable table(controller::cluster_id());
  CommandGenerator generator(Prng(seed), 4);
  const MetadataCodec codec;
  for (uint64_t i = 1; i <= 40; ++i) {
    const controller::Command command = generator.next(table);
    const auto bytes = codec.encode_command(command);
    RC_ASSERT(bytes.has_value());
    const auto back = codec.decode_command(*bytes);
    RC_ASSERT(back.has_value());
    RC_ASSERT(*back == command);
    (void)table.apply(Index(i), command);
  }
}

RC_GTEST_PROP(CommandCodecProperty, a_snapshot_restores_to_a_table_of_the_same_hash, ()) {
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  const MetadataTable table = random_table(seed, *rc::gen::inRange<uint64_t>(0, 80));
  const MetadataCodec codec;
  const auto bytes = codec.encode_snapshot(table.state());
  RC_ASSERT(bytes.has_value());
  auto state = codec.decode_snapshot(*bytes);
  RC_ASSERT(state.has_value());
  RC_ASSERT(*state == table.state());
  const auto restored = MetadataTable::restore(std::move(*state));
  if (!table.check_feature_level()) {
    RC_ASSERT(restored.error().code == Errc::unsupported);
    return;
  }
  RC_ASSERT(restored.has_value());
  RC_ASSERT(restored->hash() == table.hash());
}

// What a decoder may say of bytes that were changed: nothing, or an error, and never more than that.
template <class T>
void check_error(const Result<T>& r) {
  if (!r) RC_ASSERT(r.error().code == Errc::corrupt || r.error().code == Errc::unsupported);
}

Bytes mutated(Bytes bytes, Prng& random) {
  for (uint64_t n = random.between(1, 4); n > 0 && !bytes.empty(); --n) {
    switch (random.below(4)) {
      case 0:
        bytes[random.below(bytes.size())] ^= static_cast<uint8_t>(1u << random.below(8));
        break;
      case 1: bytes[random.below(bytes.size())] = static_cast<uint8_t>(random.next()); break;
      case 2: bytes.resize(random.below(bytes.size() + 1)); break;
      default: {  // a word from elsewhere: pointers that share, loop or point outside
        if (bytes.size() < 16) break;
        const size_t from = random.below(bytes.size() / 8) * 8;
        const size_t to = random.below(bytes.size() / 8) * 8;
        if (from + 8 <= bytes.size() && to + 8 <= bytes.size())
          std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(from), 8,
                      bytes.begin() + static_cast<ptrdiff_t>(to));
      }
    }
  }
  return bytes;
}

RC_GTEST_PROP(CommandCodecProperty, mutated_bytes_are_an_error_or_a_command_that_applies_safely,
              ()) {
  Prng random(*rc::gen::arbitrary<uint64_t>());
  MetadataTable table = random_table(random.next(), 30);
  CommandGenerator generator(Prng(random.next()), 3);
  const MetadataCodec codec;
  for (uint64_t i = 31; i <= 90; ++i) {
    const auto bytes = codec.encode_command(generator.next(table));
    const auto command = codec.decode_command(mutated(*bytes, random));
    check_error(command);
    if (command) (void)table.apply(Index(i), *command);
    RC_ASSERT(table.find_broken_invariant().has_value());
  }
}

RC_GTEST_PROP(CommandCodecProperty, mutated_snapshots_are_refused_or_unchanged, ()) {
  Prng random(*rc::gen::arbitrary<uint64_t>());
  const MetadataTable table = random_table(random.next(), 40);
  const MetadataCodec codec;
  const Bytes bytes = *codec.encode_snapshot(table.state());
  for (int i = 0; i < 40; ++i) {
    const auto state = codec.decode_snapshot(mutated(bytes, random));
    check_error(state);
    if (state) RC_ASSERT(controller::state_hash(*state) == table.hash());
  }
}

TEST(CommandCodec, nothing_zeros_and_noise_are_corrupt) {
  const MetadataCodec codec;
  for (size_t size : {0, 1, 7, 8, 16, 64, 4096}) {
    const Bytes zeros(size, 0);
    const Bytes ones(size, 0xff);
    for (const Bytes& bytes : {zeros, ones}) {
      ASSERT_FALSE(codec.decode_command(bytes).has_value()) << size;
      EXPECT_EQ(codec.decode_command(bytes).error().code, Errc::corrupt) << size;
      ASSERT_FALSE(codec.decode_snapshot(bytes).has_value()) << size;
      EXPECT_EQ(codec.decode_snapshot(bytes).error().code, Errc::corrupt) << size;
    }
  }
}

TEST(CommandCodec, bytes_that_are_not_aligned_are_read_as_well) {
  const MetadataCodec codec;
  const controller::Command command = controller::DeleteStream{StreamId(7)};
  Bytes shifted{0};
  const Bytes bytes = *codec.encode_command(command);
  shifted.insert(shifted.end(), bytes.begin(), bytes.end());
  const auto back = codec.decode_command(ByteView(shifted).subspan(1));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, command);
}

TEST(CommandCodec, a_command_with_more_items_than_its_bound_is_too_large) {
  controller::EndElectionWait c;
  c.partitions.resize(controller::k_command_items_max + 1);
  const auto r = MetadataCodec().encode_command(c);
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().code, Errc::too_large);
}

}  // namespace
}  // namespace bascule::capnp_codec

// Values to bytes and back; any bytes to an error or a value.
#include "capnp/peer_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "src/base/prng.h"
#include "tests/peers/test_broker.h"

namespace bascule::peers {
namespace {

// Draws values of all kinds from one number.
struct Draw {
  explicit Draw(uint64_t seed) : random(seed) {}

  // Small, large, zero.
  uint64_t number() {
    return random.chance(1, 4) ? random.below(3) : random.next() >> random.below(64);
  }
  bool yes() { return random.chance(1, 2); }
  Uuid uuid() { return random.uuid(); }
  Slice slice(size_t max) {
    const size_t size = static_cast<size_t>(random.below(max + 1));
    if (size == 0) return {};
    BufferRef buffer = BufferRef::allocate(size);
    for (uint8_t& byte : buffer.mutable_bytes()) byte = static_cast<uint8_t>(random.next());
    return buffer;
  }
  std::string text(size_t max) { return to_string(slice(max)); }
  raft::MemberId member_id() { return {NodeId(static_cast<uint32_t>(number())), uuid()}; }
  // Ascending nodes from `first` on, so that the lists of a configuration share none.
  std::vector<raft::Member> members(uint32_t first, uint64_t least) {
    std::vector<raft::Member> all;
    for (uint64_t i = least + random.below(4); i > 0; --i)
      all.push_back({{NodeId(first++), uuid()}, text(30)});
    return all;
  }
  raft::Configuration configuration() { return {members(1, 1), {}, members(100, 0), {}}; }
  raft::Body body(size_t kind) {
    switch (kind) {
      case 0: return raft::VoteRequest{yes(), yes(), Index(number()), Term(number())};
      case 1: return raft::VoteResponse{yes(), yes()};
      case 2: {
        raft::AppendRequest m{Index(number()), Term(number()), {}, Index(number()), number()};
        for (uint64_t i = random.below(20); i > 0; --i) {
          m.entries.push_back({Term(random.below(3)), static_cast<raft::EntryKind>(random.below(3)),
                               slice(random.chance(1, 5) ? 5000 : 40)});
        }
        return m;
      }
      case 3:
        return raft::AppendResponse{yes(),          Index(number()), Index(number()),
                                    Term(number()), Index(number()), number()};
      case 4:
        return raft::SnapshotRequest{{Index(number()), Term(number()), configuration()},
                                     number(),
                                     number(),
                                     slice(3000),
                                     number()};
      case 5: return raft::SnapshotResponse{Index(number()), number(), number()};
      case 6: return raft::TimeoutNow{};
      case 7: return raft::ReadRequest{number()};
      default: return raft::ReadResponse{number(), yes(), Index(number())};
    }
  }
  raft::Message message() {
    return {member_id(), member_id(), Term(number()), Incarnation(number()),
            body(static_cast<size_t>(random.below(std::variant_size_v<raft::Body>)))};
  }
  Identity identity() {
    return {NodeId(static_cast<uint32_t>(number())),
            uuid(),
            Incarnation(number()),
            uuid(),
            static_cast<uint32_t>(number()),
            static_cast<uint32_t>(number()),
            {text(k_host_bytes_max), static_cast<uint16_t>(number())}};
  }
  std::array<uint8_t, 32> bytes32() {
    std::array<uint8_t, 32> out;
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(random.next());
    return out;
  }
  Handshaking handshaking() {
    switch (random.below(5)) {
      case 0: return Hello{identity(), uuid(), all_channels()[random.below(3)], yes(), bytes32()};
      case 1: return Challenge{identity(), uuid(), bytes32()};
      case 2: return Proof{number(), number(), bytes32()};
      case 3: return Welcome{number(), bytes32()};
      default:
        return Refusal{static_cast<RefusalReason>(
                           random.below(static_cast<uint64_t>(k_last_refusal_reason) + 1)),
                       text(k_text_bytes_max), NodeId(static_cast<uint32_t>(number())), uuid()};
    }
  }
  CallHead call() {
    switch (random.below(3)) {
      case 0: return RequestHead{number(), static_cast<uint16_t>(number())};
      case 1: {
        ResponseHead m{number(), {}};
        if (yes()) m.error = Error{Errc::not_leader, text(100)};
        return m;
      }
      default: return NoticeHead{static_cast<uint16_t>(number())};
    }
  }

  Prng random;
};

bool same(const raft::Entry& a, const raft::Entry& b) {
  return a.term == b.term && a.kind == b.kind && equal(a.data, b.data);
}

// Field by field: bodies have no equality of their own.
struct Same {
  const raft::Body& other;
  template <class T>
  const T& as() const {
    return std::get<T>(other);
  }
  bool operator()(const raft::VoteRequest& a) const {
    const auto& b = as<raft::VoteRequest>();
    return a.pre == b.pre && a.transfer == b.transfer && a.last_index == b.last_index &&
           a.last_term == b.last_term;
  }
  bool operator()(const raft::VoteResponse& a) const {
    const auto& b = as<raft::VoteResponse>();
    return a.pre == b.pre && a.granted == b.granted;
  }
  bool operator()(const raft::AppendRequest& a) const {
    const auto& b = as<raft::AppendRequest>();
    return a.prev_index == b.prev_index && a.prev_term == b.prev_term && a.commit == b.commit &&
           a.round == b.round &&
           std::ranges::equal(a.entries, b.entries,
                              [](const auto& x, const auto& y) { return same(x, y); });
  }
  bool operator()(const raft::AppendResponse& a) const {
    const auto& b = as<raft::AppendResponse>();
    return a.accepted == b.accepted && a.index == b.index && a.last_index == b.last_index &&
           a.conflict_term == b.conflict_term && a.conflict_first == b.conflict_first &&
           a.round == b.round;
  }
  bool operator()(const raft::SnapshotRequest& a) const {
    const auto& b = as<raft::SnapshotRequest>();
    return a.meta == b.meta && a.total_bytes == b.total_bytes && a.offset == b.offset &&
           equal(a.data, b.data) && a.round == b.round;
  }
  bool operator()(const raft::SnapshotResponse& a) const {
    const auto& b = as<raft::SnapshotResponse>();
    return a.index == b.index && a.next_offset == b.next_offset && a.round == b.round;
  }
  bool operator()(const raft::TimeoutNow&) const { return true; }
  bool operator()(const raft::ReadRequest& a) const { return a.id == as<raft::ReadRequest>().id; }
  bool operator()(const raft::ReadResponse& a) const {
    const auto& b = as<raft::ReadResponse>();
    return a.id == b.id && a.ok == b.ok && a.index == b.index;
  }
};

bool same(const raft::Message& a, const raft::Message& b) {
  return a.from == b.from && a.to == b.to && a.term == b.term && a.incarnation == b.incarnation &&
         a.body.index() == b.body.index() && std::visit(Same{b.body}, a.body);
}

RC_GTEST_PROP(peer_codec, raft_messages_come_back_as_they_were, (uint64_t seed)) {
  const capnp_codec::PeerCodec codec;
  for (size_t kind = 0; kind < std::variant_size_v<raft::Body>; ++kind) {
    Draw draw(mix64(seed) + kind);
    raft::Message message = draw.message();
    message.body = draw.body(kind);
    const auto frame = codec.encode_raft(message);
    RC_ASSERT(frame.has_value());
    const auto back = codec.decode_raft(*frame);
    RC_ASSERT(back.has_value());
    RC_ASSERT(same(message, *back));
  }
}

RC_GTEST_PROP(peer_codec, handshakes_and_calls_come_back_as_they_were, (uint64_t seed)) {
  const capnp_codec::PeerCodec codec;
  Draw draw(mix64(seed));
  const Handshaking words = draw.handshaking();
  const auto back = codec.decode_handshake(codec.encode_handshake(words));
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == words);
  const CallHead head = draw.call();
  const auto head_back = codec.decode_call(codec.encode_call(head));
  RC_ASSERT(head_back.has_value());
  RC_ASSERT(*head_back == head);
}

RC_GTEST_PROP(peer_codec, a_handshake_fits_the_bound_of_strangers, (uint64_t seed)) {
  const capnp_codec::PeerCodec codec;
  Draw draw(mix64(seed));
  RC_ASSERT(codec.encode_handshake(draw.handshaking()).size() <= k_handshake_bytes_max);
}

// Changed, cut and lengthened bytes: an error or a value, and a value can be written again.
RC_GTEST_PROP(peer_codec, any_bytes_are_an_error_or_a_value, (uint64_t seed)) {
  const capnp_codec::PeerCodec codec;
  Draw draw(mix64(seed));
  auto frame = codec.encode_raft(draw.message());
  RC_ASSERT(frame.has_value());
  const std::array sources{to_bytes(frame->body), codec.encode_handshake(draw.handshaking()),
                           codec.encode_call(draw.call())};
  for (Bytes bytes : sources) {
    for (uint64_t i = draw.random.between(1, 4); i > 0; --i) {
      if (bytes.empty()) break;
      const size_t at = static_cast<size_t>(draw.random.below(bytes.size()));
      switch (draw.random.below(4)) {
        case 0: bytes[at] = static_cast<uint8_t>(draw.random.next()); break;
        case 1: bytes[at] = static_cast<uint8_t>(bytes[at] ^ (1u << draw.random.below(8))); break;
        case 2: bytes.resize(at); break;
        default: bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), bytes[at]); break;
      }
    }
    const Frame bad{FrameKind::raft, Slice::copy_of(bytes), frame->attachments};
    if (const auto message = codec.decode_raft(bad))
      RC_ASSERT(codec.encode_raft(*message).has_value());
    if (const auto words = codec.decode_handshake(bytes))
      RC_ASSERT(codec.decode_handshake(codec.encode_handshake(*words)).has_value());
    if (const auto head = codec.decode_call(bytes))
      RC_ASSERT(codec.decode_call(codec.encode_call(*head)).has_value());
  }
}

TEST(peer_codec, entries_and_chunks_are_not_copied) {
  const capnp_codec::PeerCodec codec;
  const Slice data = slice_of("a command that lies where it was proposed");
  raft::Message message;
  message.body = raft::AppendRequest{
      Index(1), Term(1), {{Term(1), raft::EntryKind::command, data}}, Index(0), 1};
  const auto frame = codec.encode_raft(message);
  ASSERT_TRUE(frame && frame->attachments.size() == 1);
  EXPECT_EQ(frame->attachments[0].data(), data.data());
  const auto back = codec.decode_raft(*frame);
  EXPECT_EQ(std::get<raft::AppendRequest>(back->body).entries[0].data.data(), data.data());
  message.body = raft::SnapshotRequest{{}, 10, 0, data, 1};
  EXPECT_EQ(codec.encode_raft(message)->attachments[0].data(), data.data());
}

TEST(peer_codec, entries_and_their_data_must_be_as_many) {
  const capnp_codec::PeerCodec codec;
  raft::Message message;
  message.body = raft::AppendRequest{Index(1),
                                     Term(1),
                                     {{Term(1), raft::EntryKind::command, slice_of("a")},
                                      {Term(2), raft::EntryKind::command, slice_of("b")}},
                                     Index(0),
                                     1};
  Frame frame = *codec.encode_raft(message);
  frame.attachments.push_back(slice_of("c"));
  EXPECT_EQ(codec.decode_raft(frame).error().code, Errc::corrupt);
  frame.attachments.resize(1);
  EXPECT_EQ(codec.decode_raft(frame).error().code, Errc::corrupt);
  frame.attachments.clear();
  EXPECT_EQ(codec.decode_raft(frame).error().code, Errc::corrupt);
  message.body = raft::TimeoutNow{};
  frame = *codec.encode_raft(message);
  frame.attachments.push_back(slice_of("what for?"));
  EXPECT_EQ(codec.decode_raft(frame).error().code, Errc::corrupt);
}

TEST(peer_codec, zeros_and_nothing_are_no_message) {
  const capnp_codec::PeerCodec codec;
  for (const size_t size : {0, 1, 7, 8, 16, 24, 64, 4096}) {
    const Bytes zeros(size);
    EXPECT_EQ(codec.decode_handshake(zeros).error().code, Errc::corrupt) << size;
    EXPECT_EQ(codec.decode_raft({FrameKind::raft, Slice::copy_of(zeros), {}}).error().code,
              Errc::corrupt)
        << size;
  }
}

TEST(peer_codec, what_is_beyond_a_frame_is_not_encoded) {
  const capnp_codec::PeerCodec codec;
  raft::Message message;
  message.body = raft::AppendRequest{Index(1), Term(1),
                                     std::vector<raft::Entry>(k_attachments_max + 1), Index(0), 1};
  EXPECT_EQ(codec.encode_raft(message).error().code, Errc::too_large);
}

TEST(peer_codec, a_long_text_is_cut_to_its_bound) {
  const capnp_codec::PeerCodec codec;
  const auto back = codec.decode_handshake(codec.encode_handshake(
      Refusal{RefusalReason::other, std::string(10'000, 'x'), NodeId(1), {}}));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(std::get<Refusal>(*back).text.size(), k_text_bytes_max);
}

}  // namespace
}  // namespace bascule::peers

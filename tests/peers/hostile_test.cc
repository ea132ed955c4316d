// Whoever else reaches the port: an answer where there is one to give, and nothing lost but that connection.
#include <gtest/gtest.h>

#include <array>

#include "src/base/codec.h"
#include "src/base/crc32c.h"
#include "src/env/tls.h"
#include "tests/peers/test_broker.h"

namespace bascule::peers {
namespace {

// A host that sends what it is told to, and reads frames.
struct Raw : sim::Program {
  explicit Raw(env::World w) : world(w) {}
  void connect(const env::Address& address) {
    world.network.connect(address, seconds(1), [this](Result<std::unique_ptr<env::Stream>> s) {
      if (!s) return;
      stream = std::move(*s);
      read();
    });
  }
  void read() {
    stream->read(reader.into(), [this](Result<size_t> n) {
      if (!n || *n == 0) {
        over = true;
        return;
      }
      reader.filled(*n);
      while (true) {
        auto frame = reader.next();
        ASSERT_TRUE(frame.has_value());
        if (!*frame) break;
        frames.push_back(std::move(**frame));
      }
      read();
    });
  }
  void say(ByteView bytes) {
    stream->write({Slice::copy_of(bytes)}, [](Status) {});
  }
  // The last words of the broker, if they are a refusal.
  std::optional<RefusalReason> refusal() const {
    if (frames.empty()) return std::nullopt;
    const auto words = codec.decode_handshake(frames.back().body);
    if (!words || !std::holds_alternative<Refusal>(*words)) return std::nullopt;
    return std::get<Refusal>(*words).reason;
  }
  env::World world;
  capnp_codec::PeerCodec codec;
  std::unique_ptr<env::Stream> stream;
  FrameReader reader{k_payload_bytes_max};
  std::vector<Frame> frames;
  bool over = false;
};

Bytes bytes_of(const Frame& frame) {
  Bytes all;
  const auto pieces = encode_frame(frame);
  for (const Slice& piece : pieces.value())
    all.insert(all.end(), piece.data(), piece.data() + piece.size());
  return all;
}

struct Attack {
  explicit Attack(uint64_t seed, PeersOptions options = {}) : cluster(seed) {
    a = &cluster.start({.node = 1, .options = options}, 2);
    b = &cluster.start({.node = 2}, 2);
    cluster.until([&] { return a->all_open(2) && b->all_open(1); });
    node = &cluster.sim.add_node({.host = "evil", .disk = {}});
    node->start([this](env::World& world) {
      auto made = std::make_unique<Raw>(world);
      raw = made.get();
      return made;
    });
    cluster.until([&] { return raw != nullptr; });
    connect();
  }
  void connect() {
    raw->stream.reset();
    raw->frames.clear();
    raw->over = false;
    raw->reader = FrameReader(k_payload_bytes_max);
    raw->connect(TestCluster::address(1));
    cluster.until([&] { return raw->stream != nullptr; });
  }
  // The others were not touched.
  bool unharmed() const {
    a->peers.check_invariants();
    return a->all_open(2) && b->all_open(1) && !a->seen.saw("lost 2 control");
  }
  TestCluster cluster;
  Broker* a = nullptr;
  Broker* b = nullptr;
  sim::Node* node = nullptr;
  Raw* raw = nullptr;
};

TEST(hostile, another_protocol_is_told_and_closed) {
  Attack attack(1);
  attack.raw->say(as_bytes("GET /metrics HTTP/1.1\r\nHost: broker\r\n\r\n"));
  ASSERT_TRUE(attack.cluster.until([&] { return attack.raw->over; }));
  EXPECT_EQ(attack.raw->refusal(), RefusalReason::malformed);
  EXPECT_TRUE(attack.unharmed());
}

// A TLS library may wait for an answer to very little, so there is one to the first byte.
TEST(hostile, who_speaks_tls_is_told_at_the_first_byte) {
  for (const uint8_t first : {env::k_tls_handshake_byte, env::k_tls_alert_byte}) {
    Attack attack(1);
    attack.raw->say(std::array{first});
    ASSERT_TRUE(attack.cluster.until([&] { return attack.raw->over; }));
    EXPECT_EQ(attack.raw->refusal(), RefusalReason::malformed);
    ASSERT_EQ(attack.a->seen.refusals_sent.size(), 1U);
    EXPECT_NE(attack.a->seen.refusals_sent[0].text.find("the other side speaks TLS"),
              std::string::npos);
    EXPECT_TRUE(attack.unharmed());
  }
}

TEST(hostile, another_version_is_told_by_name) {
  Attack attack(1);
  Bytes bytes = bytes_of({FrameKind::handshake, slice_of("later words"), {}});
  bytes[4] = 9;
  attack.raw->say(bytes);
  ASSERT_TRUE(attack.cluster.until([&] { return attack.raw->over; }));
  EXPECT_EQ(attack.raw->refusal(), RefusalReason::wrong_version);
  EXPECT_TRUE(attack.unharmed());
}

TEST(hostile, a_stranger_may_send_little) {
  Attack attack(1);
  // Only a header: it is judged before anything more is read or kept.
  const Bytes bytes = bytes_of(
      {FrameKind::handshake, Slice(BufferRef::copy_of(Bytes(k_handshake_bytes_max + 1))), {}});
  attack.raw->say(ByteView(bytes).first(k_frame_header_bytes));
  ASSERT_TRUE(attack.cluster.until([&] { return attack.raw->over; }));
  EXPECT_EQ(attack.raw->refusal(), RefusalReason::malformed);
  EXPECT_TRUE(attack.unharmed());
}

TEST(hostile, a_stranger_has_nothing_to_say_but_a_handshake) {
  for (const FrameKind kind : {FrameKind::call, FrameKind::raft, FrameKind::ping}) {
    Attack attack(1);
    attack.raw->say(bytes_of({kind, slice_of("x"), {}}));
    ASSERT_TRUE(attack.cluster.until([&] { return attack.raw->over; }));
    EXPECT_EQ(attack.raw->refusal(), RefusalReason::malformed);
    EXPECT_TRUE(attack.unharmed());
  }
}

TEST(hostile, who_says_nothing_is_closed) {
  Attack attack(1);
  ASSERT_TRUE(attack.cluster.until([&] { return attack.raw->over; }, seconds(3)));
  EXPECT_TRUE(attack.raw->frames.empty());
  EXPECT_TRUE(attack.unharmed());
}

TEST(hostile, who_goes_on_after_a_refusal_is_closed) {
  Attack attack(1);
  attack.raw->say(as_bytes("SSH-2.0-OpenSSH_9.2\r\nand much more of this, longer than a header"));
  for (int i = 0; i < 100 && !attack.raw->over; ++i) {
    attack.raw->say(Bytes(10'000));
    attack.cluster.run(milliseconds(10));
  }
  EXPECT_TRUE(attack.raw->over);
  EXPECT_TRUE(attack.unharmed());
}

TEST(hostile, strangers_are_bounded_in_number) {
  Attack attack(1, {.unauthenticated_max = 3});
  std::vector<std::unique_ptr<env::Stream>> many;
  for (int i = 0; i < 10; ++i) {
    attack.raw->world.network.connect(TestCluster::address(1), seconds(1),
                                      [&](auto s) { many.push_back(std::move(*s)); });
  }
  attack.cluster.run(seconds(1));
  EXPECT_EQ(many.size(), 10u);
  EXPECT_EQ(attack.a->peers.stats().connections_dropped, 8u);  // one was there already
  EXPECT_TRUE(attack.unharmed());
}

// A broker that knows the secret and then sends `bytes`.
struct Inside : Attack {
  explicit Inside(uint64_t seed) : Attack(seed), authenticator(7, seed + 99) {}

  class Judge final : public HandshakeJudge {
   public:
    std::expected<Claim, Refusal> claim(const Established&, Side, const Proof&) override {
      return Claim{0, 0};
    }
  };

  bool shake() {
    Handshake handshake(
        judge, raw->codec, authenticator, *raw->stream,
        {Identity{NodeId(9), Uuid{{9, 9}}, Incarnation(1), Uuid{{9, 1}}, 1, 1, {}}, k_cluster, 0},
        Side::dialer, Channel::control, {});
    raw->say(bytes_of({FrameKind::handshake, Slice::copy_of(handshake.hello()), {}}));
    for (size_t i = 0; i < 2; ++i) {
      if (!cluster.until([&] { return raw->frames.size() > i; })) return false;
      auto step = handshake.take(raw->frames[i].body);
      if (!step || step->refused) return false;
      if (step->say) raw->say(bytes_of({FrameKind::handshake, Slice::copy_of(*step->say), {}}));
      if (step->open) return true;
    }
    return false;
  }
  sim::KeyedAuthenticator authenticator;
  Judge judge;
};

// Node 9 is the higher one: node 1 gives the link, and a judge of the test takes any.
TEST(hostile, a_damaged_byte_at_any_place_of_a_frame_costs_that_connection_alone) {
  const capnp_codec::PeerCodec codec;
  const Bytes good = bytes_of({FrameKind::call,
                               Slice::copy_of(codec.encode_call(NoticeHead{77})),
                               {slice_of("body"), slice_of("attachment")}});
  Inside inside(1);
  for (size_t i = 0; i < good.size(); ++i) {
    if (i > 0) inside.connect();
    ASSERT_TRUE(inside.shake()) << i;
    ASSERT_TRUE(inside.cluster.until(
        [&] { return inside.a->peers.connected(NodeId(9), Channel::control); }));
    inside.raw->say(good);
    Bytes bad = good;
    bad[i] = static_cast<uint8_t>(bad[i] ^ 0x41);
    inside.raw->say(bad);
    ASSERT_TRUE(inside.cluster.until([&] { return inside.raw->over; }, seconds(2))) << i;
    EXPECT_FALSE(inside.a->peers.connected(NodeId(9), Channel::control));
    EXPECT_TRUE(inside.unharmed()) << i;
  }
  EXPECT_EQ(inside.a->peers.stats().notices_dropped, good.size());
  EXPECT_EQ(inside.a->peers.stats().corrupt, good.size());
}

TEST(hostile, a_frame_with_a_good_checksum_and_bad_words_costs_that_connection) {
  const capnp_codec::PeerCodec codec;
  const std::vector<Frame> bad{
      {FrameKind::call, slice_of("not Cap'n Proto!"), {Slice()}},
      {FrameKind::raft, slice_of("not Cap'n Proto!"), {}},
      {FrameKind::call, Slice::copy_of(codec.encode_call(NoticeHead{1})), {}},  // no body
      {FrameKind::handshake, Slice::copy_of(codec.encode_handshake(Welcome{1, {}})), {}}};
  Inside inside(2);
  for (size_t i = 0; i < bad.size(); ++i) {
    if (i > 0) inside.connect();
    ASSERT_TRUE(inside.shake()) << i;
    inside.raw->say(bytes_of(bad[i]));
    ASSERT_TRUE(inside.cluster.until([&] { return inside.raw->over; }, seconds(2))) << i;
    EXPECT_TRUE(inside.unharmed()) << i;
  }
}

TEST(hostile, an_answer_to_nothing_is_ignored) {
  const capnp_codec::PeerCodec codec;
  Inside inside(3);
  ASSERT_TRUE(inside.shake());
  for (uint64_t id = 0; id < 5; ++id) {
    inside.raw->say(bytes_of(
        {FrameKind::call, Slice::copy_of(codec.encode_call(ResponseHead{id, {}})), {Slice()}}));
  }
  inside.cluster.run(seconds(1));
  EXPECT_FALSE(inside.raw->over);
  EXPECT_EQ(inside.a->peers.stats().answers_late, 5u);
}

}  // namespace
}  // namespace bascule::peers

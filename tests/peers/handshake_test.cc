// The handshake as a machine: what proves what, and that nothing heard can be used again.
#include "src/peers/handshake.h"

#include <gtest/gtest.h>

#include "tests/peers/test_broker.h"

namespace bascule::peers {
namespace {

class NoStream final : public env::Stream {
 public:
  void read(MutableBytes, env::Done<size_t>) override {}
  void write(std::vector<Slice>, env::Done<void>) override {}
  size_t queued_bytes() const override { return 0; }
  void shutdown() override {}
  void abort() override {}
  const env::Address& peer() const override { return address_; }

 private:
  env::Address address_;
};

class SaysYes final : public HandshakeJudge {
 public:
  std::expected<Claim, Refusal> claim(const Established& found, Side side,
                                      const Proof& proof) override {
    ++claims;
    (void)found;
    return side == Side::dialer ? Claim{5, 4} : Claim{proof.link, 0};
  }
  int claims = 0;
};

Self self(uint32_t node) {
  return {Identity{NodeId(node), Uuid{{node, 1}}, Incarnation(1), Uuid{{node, 2}}, 1, 1, {}},
          k_cluster, 0};
}

struct End {
  End(uint32_t node, Side side, uint64_t secret = 7, NodeId called = {})
      : authenticator(secret, node * 1000 + secret),
        handshake(judge, codec, authenticator, stream, self(node), side, Channel::bulk, called) {}
  SaysYes judge;
  capnp_codec::PeerCodec codec;
  sim::KeyedAuthenticator authenticator;
  NoStream stream;
  Handshake handshake;
};

TEST(handshake, both_sides_know_each_other_at_its_end) {
  End d(1, Side::dialer);
  End a(2, Side::acceptor);
  const Bytes hello = d.handshake.hello();
  const auto challenge = a.handshake.take(hello);
  ASSERT_TRUE(challenge && challenge->say && !challenge->open);
  const auto proof = d.handshake.take(*challenge->say);
  ASSERT_TRUE(proof && proof->say && !proof->open);
  const auto welcome = a.handshake.take(*proof->say);
  ASSERT_TRUE(welcome && welcome->say && welcome->open);
  const auto end = d.handshake.take(*welcome->say);
  ASSERT_TRUE(end && !end->say && end->open);
  EXPECT_EQ(d.handshake.found().other, self(2).identity);
  EXPECT_EQ(a.handshake.found().other, self(1).identity);
  EXPECT_EQ(a.handshake.found().channel, Channel::bulk);
  EXPECT_EQ(a.handshake.found().link, 5u);
  EXPECT_EQ(d.handshake.found().link, 5u);
}

TEST(handshake, one_with_another_secret_changes_nothing) {
  End d(1, Side::dialer, 7);
  End a(2, Side::acceptor, 8);
  const auto challenge = a.handshake.take(d.handshake.hello());
  const auto proof = d.handshake.take(*challenge->say);
  const auto end = a.handshake.take(*proof->say);
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().reason, RefusalReason::wrong_secret);
  // The acceptor's owner was not even asked.
  EXPECT_EQ(a.judge.claims, 0);
}

TEST(handshake, a_proof_of_another_exchange_proves_nothing) {
  End d(1, Side::dialer);
  End a(2, Side::acceptor);
  const Bytes hello = d.handshake.hello();
  const auto challenge = a.handshake.take(hello);
  const auto proof = d.handshake.take(*challenge->say);
  ASSERT_TRUE(proof->say.has_value());
  // The same words to the same broker again: its nonce is another one.
  End again(2, Side::acceptor, 7);
  (void)again.authenticator.nonce();
  ASSERT_TRUE(again.handshake.take(hello).has_value());
  const auto end = again.handshake.take(*proof->say);
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().reason, RefusalReason::wrong_secret);
}

// Somebody without the secret sends a broker's own proofs back to it, or on to another.
TEST(handshake, a_proof_cannot_be_sent_back) {
  End d(1, Side::dialer);
  End a(2, Side::acceptor);
  const auto challenge = a.handshake.take(d.handshake.hello());
  const auto proof = d.handshake.take(*challenge->say);
  auto words = d.codec.decode_handshake(*proof->say);
  const Proof& said = std::get<Proof>(*words);
  // As the acceptor's welcome.
  const auto end = d.handshake.take(d.codec.encode_handshake(Welcome{said.link, said.mac}));
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().reason, RefusalReason::wrong_secret);
}

TEST(handshake, nothing_that_was_said_can_be_changed_on_the_way) {
  capnp_codec::PeerCodec codec;
  // The dialer's identity, its channel, the acceptor's identity, the link: each as if by somebody between.
  for (int change = 0; change < 5; ++change) {
    End d(1, Side::dialer);
    End a(2, Side::acceptor);
    Hello hello = std::get<Hello>(*codec.decode_handshake(d.handshake.hello()));
    if (change == 0) hello.identity.incarnation = Incarnation(9);
    if (change == 1) hello.channel = Channel::control;
    const auto step = a.handshake.take(codec.encode_handshake(hello));
    ASSERT_TRUE(step.has_value());
    Challenge challenge = std::get<Challenge>(*codec.decode_handshake(*step->say));
    if (change == 2) challenge.identity.storage = Uuid{{6, 6}};
    const auto answer = d.handshake.take(codec.encode_handshake(challenge));
    ASSERT_TRUE(answer.has_value());
    Proof proof = std::get<Proof>(*codec.decode_handshake(*answer->say));
    if (change == 3) proof.link += 1;
    const auto last = a.handshake.take(codec.encode_handshake(proof));
    if (change < 4) {
      ASSERT_FALSE(last.has_value()) << change;
      EXPECT_EQ(last.error().reason, RefusalReason::wrong_secret) << change;
      continue;
    }
    ASSERT_TRUE(last.has_value());
    Welcome welcome = std::get<Welcome>(*codec.decode_handshake(*last->say));
    welcome.link += 1;
    const auto end = d.handshake.take(codec.encode_handshake(welcome));
    ASSERT_FALSE(end.has_value());
    EXPECT_EQ(end.error().reason, RefusalReason::wrong_secret);
  }
}

TEST(handshake, words_out_of_turn_end_it) {
  capnp_codec::PeerCodec codec;
  const std::vector<Handshaking> words{
      Hello{self(1).identity, k_cluster, Channel::control, true, {}},
      Challenge{self(1).identity, k_cluster, {}}, Proof{1, 0, {}}, Welcome{1, {}}};
  for (size_t i = 0; i < words.size(); ++i) {
    if (i == 0) continue;
    End a(2, Side::acceptor);
    const auto step = a.handshake.take(codec.encode_handshake(words[i]));
    ASSERT_FALSE(step.has_value()) << i;
    EXPECT_EQ(step.error().reason, RefusalReason::malformed);
  }
  for (size_t i = 0; i < words.size(); ++i) {
    if (i == 1) continue;
    End d(2, Side::dialer);
    (void)d.handshake.hello();
    const auto step = d.handshake.take(codec.encode_handshake(words[i]));
    ASSERT_FALSE(step.has_value()) << i;
    EXPECT_EQ(step.error().reason, RefusalReason::malformed);
  }
}

TEST(handshake, a_broker_without_a_name_is_malformed) {
  capnp_codec::PeerCodec codec;
  for (int missing = 0; missing < 4; ++missing) {
    Hello hello{self(1).identity, k_cluster, Channel::control, true, {}};
    if (missing == 0) hello.identity.node = {};
    if (missing == 1) hello.identity.storage = {};
    if (missing == 2) hello.identity.incarnation = {};
    if (missing == 3) hello.identity.life = {};
    End a(2, Side::acceptor);
    const auto step = a.handshake.take(codec.encode_handshake(hello));
    ASSERT_FALSE(step.has_value());
    EXPECT_EQ(step.error().reason, RefusalReason::malformed);
  }
}

}  // namespace
}  // namespace bascule::peers

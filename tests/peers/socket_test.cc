// The same over real sockets on the loopback, with the real proof of the secret.
#include <gtest/gtest.h>

#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "io/peer_secret.h"
#include "tests/peers/test_broker.h"

namespace bascule::peers {
namespace {

constexpr Duration k_limit = seconds(20);
constexpr const char* k_secret = "a secret of a cluster";

// A loop with brokers on it. Peers have nothing on a disk: the world's is a made-up one.
class Sockets {
 public:
  Sockets() {
    node_.start([](env::World&) { return nullptr; });
  }

  env::World world() { return {loop, node_.world().disk, network, random, trace}; }
  // Listens on a port of the system's choice.
  std::unique_ptr<Broker> start(BrokerSetup setup, const std::string& secret = k_secret) {
    auto authenticator = io::make_secret_authenticator(secret);
    EXPECT_TRUE(authenticator.has_value());
    setup.options.listen = {"127.0.0.1", 0};
    auto broker = std::make_unique<Broker>(world(), setup, env::Address{"127.0.0.1", 0},
                                           authenticator->get());
    authenticators.push_back(*std::move(authenticator));
    EXPECT_TRUE(until([&] { return broker->started.has_value(); }));
    return broker;
  }
  template <class F>
  bool until(F predicate) {
    return loop.run_until(predicate, k_limit);
  }

  io::AsioLoop loop;
  io::AsioNetwork network{loop};
  Prng random{1};
  NullTracer trace;
  std::vector<std::unique_ptr<Authenticator>> authenticators;

 private:
  sim::Simulation sim_{1};
  sim::Node& node_ = sim_.add_node({.host = "disk", .disk = {}});
};

TEST(peers_on_sockets, two_brokers_connect_and_talk) {
  Sockets sockets;
  const PeersOptions options{.queue_bytes_max = 64 << 20};
  auto a = sockets.start({.node = 1, .options = options});
  auto b =
      sockets.start({.node = 2, .cluster = {}, .seeds = {a->peers.address()}, .options = options});
  ASSERT_TRUE(sockets.until([&] { return a->all_open(2) && b->all_open(1); }));
  EXPECT_EQ(b->seen.learned, k_cluster);

  // Megabytes, both ways at once.
  Prng random(5);
  BufferRef large = BufferRef::allocate(5'000'001);
  for (uint8_t& byte : large.mutable_bytes()) byte = static_cast<uint8_t>(random.next());
  size_t good = 0;
  for (Broker* broker : {a.get(), b.get()}) {
    broker->peers.handle_requests(
        9, [&](const Identity&, Request request, env::Done<Reply> answer) {
          answer(Reply{request.attachments.at(0), {request.body, request.attachments.at(1)}});
        });
  }
  for (int i = 0; i < 3; ++i) {
    for (Broker* broker : {a.get(), b.get()}) {
      const NodeId other(broker == a.get() ? 2 : 1);
      broker->peers.request(other, Channel::bulk, {9, slice_of("small"), {large, slice_of("last")}},
                            k_limit, [&](Result<Reply> reply) {
                              if (!reply) return;
                              good += equal(reply->body, large.view()) &&
                                              as_text(reply->attachments.at(0)) == "small" &&
                                              as_text(reply->attachments.at(1)) == "last"
                                          ? 1
                                          : 0;
                            });
    }
  }
  EXPECT_TRUE(sockets.until([&] { return good == 6; })) << good;
  a->peers.check_invariants();
  b->peers.check_invariants();
}

TEST(peers_on_sockets, a_wrong_secret_is_told_on_both_sides) {
  Sockets sockets;
  auto a = sockets.start({.node = 1});
  auto b = sockets.start({.node = 2, .seeds = {a->peers.address()}}, "another secret of a cluster");
  EXPECT_TRUE(sockets.until([&] {
    return a->seen.saw("refusing 2 wrong_secret") && b->seen.saw("refused by 1 wrong_secret");
  }));
  EXPECT_FALSE(a->peers.connected(NodeId(2), Channel::control));
}

TEST(peers_on_sockets, another_cluster_is_told_on_both_sides) {
  Sockets sockets;
  auto a = sockets.start({.node = 1});
  auto b = sockets.start({.node = 2, .cluster = Uuid{{4, 4}}, .seeds = {a->peers.address()}});
  EXPECT_TRUE(sockets.until([&] {
    return a->seen.saw("refusing 2 another_cluster") && b->seen.saw("refused by 1 another_cluster");
  }));
}

TEST(peers_on_sockets, a_process_that_is_no_more_is_gone) {
  Sockets sockets;
  auto a = sockets.start({.node = 1});
  auto b = sockets.start({.node = 2, .seeds = {a->peers.address()}});
  auto c = sockets.start({.node = 3, .seeds = {a->peers.address()}});
  ASSERT_TRUE(sockets.until([&] { return a->all_open(2) && a->all_open(3) && b->all_open(1); }));
  b.reset();
  EXPECT_TRUE(sockets.until([&] { return a->seen.saw("gone 2 1"); }));
  EXPECT_FALSE(a->seen.saw("gone 3 1"));
  EXPECT_TRUE(a->all_open(3));
}

TEST(peers_on_sockets, stop_ends_all) {
  Sockets sockets;
  auto a = sockets.start({.node = 1});
  auto b = sockets.start({.node = 2, .seeds = {a->peers.address()}});
  ASSERT_TRUE(sockets.until([&] { return a->all_open(2) && b->all_open(1); }));
  bool stopped = false;
  b->peers.stop([&](Status) { stopped = true; });
  ASSERT_TRUE(sockets.until([&] { return stopped; }));
  EXPECT_TRUE(sockets.until([&] { return a->seen.saw("gone 2 1"); }));
}

TEST(peer_secret, is_hmac_sha256) {
  // The value is Python's.
  const auto authenticator = io::make_secret_authenticator("0123456789abcdef");
  ASSERT_TRUE(authenticator.has_value());
  const Mac mac = (*authenticator)->mac(as_bytes("what both sides have said"));
  std::string hex;
  for (const uint8_t byte : mac) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  EXPECT_EQ(hex, "8f2dc53a2ce2fdf96ea76f68a55f4e1f383cdbd2e2224b4cf31d2b752830588a");
}

TEST(peer_secret, nonces_do_not_repeat_and_short_secrets_are_refused) {
  const auto authenticator = io::make_secret_authenticator("0123456789abcdef");
  EXPECT_NE((*authenticator)->nonce(), (*authenticator)->nonce());
  const auto refused = io::make_secret_authenticator("0123456789abcde");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::invalid);
  EXPECT_EQ(refused.error().context.find("0123456789abcde"), std::string::npos);
}

}  // namespace
}  // namespace bascule::peers

#include <algorithm>

#include <gtest/gtest.h>

#include "sim/world/network.h"
#include "sim/world/node.h"

namespace bascule::sim {
namespace {

// Accepts and keeps streams; reads all that comes.
struct Peer : Program {
  std::vector<std::unique_ptr<env::Stream>> streams;
  std::unique_ptr<env::Listener> listener;
  std::string text;
  bool ended = false;
  std::optional<Errc> lost;
  uint8_t buffer[512];

  void take(std::unique_ptr<env::Stream> stream) {
    streams.push_back(std::move(stream));
    read(*streams.back());
  }
  void read(env::Stream& stream) {
    stream.read(buffer, [this, &stream](Result<size_t> r) {
      if (!r) {
        lost = r.error().code;
      } else if (*r == 0) {
        ended = true;
      } else {
        text.append(reinterpret_cast<char*>(buffer), *r);
        read(stream);
      }
    });
  }
};

struct Pair {
  explicit Pair(uint64_t seed) : sim(seed) {
    server_node = &sim.add_node({.host = "server", .disk = {}});
    client_node = &sim.add_node({.host = "client", .disk = {}});
    server_node->start([this](env::World& w) {
      auto peer = std::make_unique<Peer>();
      server = peer.get();
      w.network.listen(
          {"server", 7}, [p = server](auto s) { p->take(std::move(s)); },
          [p = server](auto l) { p->listener = std::move(*l); });
      return peer;
    });
    client_node->start([this](env::World&) {
      auto peer = std::make_unique<Peer>();
      client = peer.get();
      return peer;
    });
    sim.run_until(milliseconds(1));
  }
  std::optional<Errc> connect(uint16_t port, Duration timeout = seconds(1)) {
    auto result = std::make_shared<std::optional<std::optional<Errc>>>();
    client_node->world().network.connect({"server", port}, timeout, [result, p = client](auto s) {
      *result = s ? std::optional<Errc>{} : std::optional(s.error().code);
      if (s) p->take(std::move(*s));
    });
    sim.run_until_true(sim.now() + seconds(30), [&] { return result->has_value(); });
    return result->value();
  }
  void say(Peer& peer, std::string text) {
    peer.streams[0]->write({Slice::copy_of(as_bytes(text))}, [](Status) {});
  }
  void run(Duration d) { sim.run_until(sim.now() + d); }

  Simulation sim;
  Node* server_node;
  Node* client_node;
  Peer* server = nullptr;
  Peer* client = nullptr;
};

TEST(Network, bytes_arrive_in_order_whatever_the_packets_do) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Pair pair(seed);
    ASSERT_EQ(pair.connect(7), std::nullopt);
    std::string sent;
    for (int i = 0; i < 200; ++i) {
      const std::string part(static_cast<size_t>(i * 7 % 1000), static_cast<char>('a' + i % 26));
      sent += part;
      pair.say(*pair.client, part);
      if (i % 3 == 0) pair.run(microseconds(10));
    }
    pair.client->streams[0]->shutdown();
    pair.run(seconds(2));
    EXPECT_EQ(pair.server->text, sent);
    EXPECT_TRUE(pair.server->ended);
  }
}

TEST(Network, nobody_listening_is_refused_and_silence_times_out) {
  Pair pair(1);
  EXPECT_EQ(pair.connect(8), Errc::connection_refused);
  pair.sim.network().block(NodeId(2), NodeId(1));
  EXPECT_EQ(pair.connect(7), Errc::connection_lost);
  pair.sim.network().release_all();
  EXPECT_EQ(pair.connect(7), std::nullopt);
}

TEST(Network, a_block_holds_bytes_and_a_release_lets_them_go) {
  Pair pair(1);
  ASSERT_EQ(pair.connect(7), std::nullopt);
  pair.sim.network().block(NodeId(2), NodeId(1));
  pair.say(*pair.client, "late");
  pair.run(seconds(5));
  EXPECT_EQ(pair.server->text, "");
  pair.say(*pair.client, "r");
  pair.sim.network().release_all();
  pair.run(seconds(1));
  EXPECT_EQ(pair.server->text, "later");
}

TEST(Network, a_dead_process_ends_its_streams_and_a_dead_machine_says_nothing) {
  Pair pair(1);
  ASSERT_EQ(pair.connect(7), std::nullopt);
  pair.server_node->crash_process();
  pair.run(seconds(1));
  EXPECT_TRUE(pair.client->ended || pair.client->lost);
  Pair other(2);
  ASSERT_EQ(other.connect(7), std::nullopt);
  other.server_node->crash_machine();
  other.say(*other.client, "anybody?");
  other.run(seconds(10));
  EXPECT_FALSE(other.client->ended || other.client->lost);
  // Once it is up again, it knows nothing of the stream.
  other.server_node->start([](env::World&) { return std::make_unique<Peer>(); });
  other.say(*other.client, "again?");
  other.run(seconds(1));
  EXPECT_EQ(other.client->lost, Errc::connection_lost);
}

TEST(Network, a_reset_breaks_both_ends) {
  Pair pair(1);
  ASSERT_EQ(pair.connect(7), std::nullopt);
  pair.sim.network().reset(NodeId(1), NodeId(2));
  pair.run(seconds(1));
  EXPECT_EQ(pair.client->lost, Errc::connection_lost);
  EXPECT_EQ(pair.server->lost, Errc::connection_lost);
}

TEST(Network, corrupted_bytes_come_when_asked_for) {
  Pair pair(1);
  ASSERT_EQ(pair.connect(7), std::nullopt);
  pair.sim.network().link(NodeId(2), NodeId(1)).corrupt_next = 1;
  pair.say(*pair.client, std::string(100, 'x'));
  pair.run(seconds(1));
  EXPECT_EQ(pair.server->text.size(), 100u);
  EXPECT_EQ(std::ranges::count(pair.server->text, 'x'), 99);
}

TEST(Network, a_writer_is_held_back_by_a_reader_that_does_not_read) {
  Pair pair(1);
  ASSERT_EQ(pair.connect(7), std::nullopt);
  pair.server_node->pause();
  pair.say(*pair.client, std::string(1 << 20, 'x'));
  pair.run(seconds(1));
  EXPECT_GT(pair.client->streams[0]->queued_bytes(), size_t{900'000});
  pair.server_node->resume();
  pair.run(seconds(20));
  EXPECT_EQ(pair.server->text.size(), size_t{1} << 20);
}

}  // namespace
}  // namespace bascule::sim

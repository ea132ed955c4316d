// Brokers find each other, and keep exactly three streams per pair.
#include <gtest/gtest.h>

#include "tests/peers/test_broker.h"

namespace bascule::peers {
namespace {

TEST(connect, two_brokers_have_three_streams_whoever_called) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    TestCluster cluster(seed);
    Broker& a = cluster.start({.node = 1}, 2);
    Broker& b = cluster.start({.node = 2}, 2);
    ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); })) << seed;
    cluster.run(seconds(3));
    EXPECT_TRUE(a.all_open(2) && b.all_open(1)) << seed;
    EXPECT_EQ(cluster.sim.network().connections(), k_channels) << seed;
    a.peers.check_invariants();
    b.peers.check_invariants();
    EXPECT_FALSE(a.seen.saw("lost 2 control")) << seed;
    EXPECT_FALSE(b.seen.saw("lost 1 control")) << seed;
  }
}

// Both call at the same moment, on slow links that let the calls cross.
TEST(connect, crossing_calls_end_in_three_streams) {
  size_t crossed = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    TestCluster cluster(seed);
    cluster.sim.network().options().latency = milliseconds(15);
    // Each knows the other only as a seed, so that neither waits for the other's call.
    Broker& a = cluster.start({.node = 1, .seeds = {TestCluster::address(2)}});
    Broker& b = cluster.start({.node = 2, .seeds = {TestCluster::address(1)}});
    ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); })) << seed;
    cluster.run(seconds(5));
    EXPECT_TRUE(a.all_open(2) && b.all_open(1)) << seed;
    EXPECT_EQ(cluster.sim.network().connections(), k_channels) << seed;
    EXPECT_FALSE(a.seen.saw("lost 2 control")) << seed;
    EXPECT_FALSE(b.seen.saw("lost 1 control")) << seed;
    a.peers.check_invariants();
    b.peers.check_invariants();
    crossed += a.peers.stats().refusals_sent > 0 || b.peers.stats().refusals_sent > 0 ? 1 : 0;
  }
  EXPECT_GT(crossed, 10u);
}

TEST(connect, a_cluster_forms_from_one_seed_and_each_others_book) {
  TestCluster cluster(3);
  std::vector<Broker*> brokers;
  for (uint32_t n = 1; n <= 5; ++n) brokers.push_back(&cluster.start({.node = n}, 5));
  const auto all = [&] {
    for (uint32_t i = 1; i <= 5; ++i) {
      for (uint32_t j = 1; j <= 5; ++j) {
        if (i != j && !brokers[i - 1]->all_open(j)) return false;
      }
    }
    return true;
  };
  ASSERT_TRUE(cluster.until(all));
  cluster.run(seconds(2));
  EXPECT_TRUE(all());
  EXPECT_EQ(cluster.sim.network().connections(), 10 * k_channels);
}

TEST(connect, who_joins_learns_its_cluster_from_a_seed) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1});
  Broker& b = cluster.start({.node = 2, .cluster = {}, .seeds = {TestCluster::address(1)}});
  ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); }));
  EXPECT_EQ(b.seen.learned, k_cluster);
  EXPECT_EQ(b.peers.self().cluster, k_cluster);
  // The one that was called has learnt where the caller can be reached.
  EXPECT_EQ(a.peers.status().at(0).address, TestCluster::address(2));
}

TEST(connect, two_that_know_no_cluster_learn_it_when_one_does) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1, .cluster = {}}, 2);
  Broker& b = cluster.start({.node = 2, .cluster = {}}, 2);
  ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); }));
  EXPECT_EQ(b.seen.learned, Uuid{});
  a.peers.set_cluster(k_cluster);
  ASSERT_TRUE(cluster.until([&] { return b.seen.learned == k_cluster && b.all_open(1); }));
  ASSERT_TRUE(cluster.until([&] { return a.all_open(2); }));
}

TEST(connect, a_seed_that_is_itself_is_called_once) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1, .seeds = {TestCluster::address(1)}});
  cluster.run(seconds(10));
  EXPECT_EQ(a.peers.stats().connections_accepted, 1u);
  EXPECT_TRUE(a.seen.lines.empty());
  EXPECT_EQ(cluster.sim.network().connections(), 0u);
}

TEST(connect, it_comes_back_after_resets) {
  TestCluster cluster(9);
  Broker& a = cluster.start({.node = 1}, 2);
  Broker& b = cluster.start({.node = 2}, 2);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); })) << i;
    cluster.run(milliseconds(i * 37));
    cluster.sim.network().reset(cluster.id("n1"), cluster.id("n2"));
    cluster.run(milliseconds(5));
  }
  ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); }));
  cluster.run(seconds(5));
  EXPECT_EQ(cluster.sim.network().connections(), k_channels);
  EXPECT_FALSE(a.seen.saw("gone 2 1"));
  EXPECT_FALSE(b.seen.saw("gone 1 1"));
}

// One direction of the network is cut while streams are made and broken, at random.
TEST(connect, whatever_the_network_does_it_ends_in_three_streams) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    TestCluster cluster(seed);
    Prng random(seed);
    Broker& a = cluster.start({.node = 1}, 2);
    Broker& b = cluster.start({.node = 2}, 2);
    const NodeId n1 = cluster.id("n1");
    const NodeId n2 = cluster.id("n2");
    for (int i = 0; i < 20; ++i) {
      switch (random.below(4)) {
        case 0: cluster.sim.network().block(n1, n2); break;
        case 1: cluster.sim.network().block(n2, n1); break;
        case 2: cluster.sim.network().reset(n1, n2); break;
        default: cluster.sim.network().release_all(); break;
      }
      cluster.run(random.between(milliseconds(1), milliseconds(random.chance(1, 5) ? 4000 : 60)));
      a.peers.check_invariants();
      b.peers.check_invariants();
    }
    cluster.sim.network().release_all();
    ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); })) << seed;
    cluster.run(seconds(10));
    EXPECT_TRUE(a.all_open(2) && b.all_open(1)) << seed;
    EXPECT_EQ(cluster.sim.network().connections(), k_channels) << seed;
    EXPECT_FALSE(a.seen.saw("gone 2 1")) << seed;
    EXPECT_FALSE(b.seen.saw("gone 1 1")) << seed;
  }
}

TEST(connect, a_forgotten_broker_is_called_no_more) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1}, 2);
  Broker& b = cluster.start({.node = 2});  // knows nobody
  ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); }));
  // Or the other side would call back.
  b.peers.forget(NodeId(1));
  a.peers.forget(NodeId(2));
  cluster.run(seconds(5));
  EXPECT_EQ(cluster.sim.network().connections(), 0u);
  EXPECT_TRUE(a.peers.status().empty());
  EXPECT_TRUE(a.seen.saw("lost 2 control") || b.seen.saw("lost 1 control"));
}

TEST(connect, a_new_address_is_called_at_once) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1, .book = {{2, {"nowhere", 1}}}});
  Broker& b = cluster.start({.node = 2});
  cluster.run(seconds(5));
  EXPECT_FALSE(a.all_open(2));
  ASSERT_TRUE(a.peers.set_address(NodeId(2), TestCluster::address(2)).has_value());
  EXPECT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); }, seconds(2)));
}

TEST(connect, another_node_at_the_called_address_is_not_taken_for_it) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1, .book = {{3, TestCluster::address(2)}}});
  Broker& b = cluster.start({.node = 2});
  ASSERT_TRUE(cluster.until([&] { return a.seen.saw("refusing 2 not_the_called"); }));
  ASSERT_TRUE(cluster.until([&] { return b.seen.saw("refused by 1 not_the_called"); }));
  EXPECT_FALSE(a.peers.connected(NodeId(3), Channel::control));
}

TEST(connect, pauses_between_attempts_grow_to_their_bound) {
  TestCluster cluster(5);
  Broker& a = cluster.start({.node = 1, .book = {{2, TestCluster::address(2)}}});
  Broker& b = cluster.start({.node = 2, .secret = 8});
  cluster.run(seconds(20));
  // About 5 while doubling from 20 ms, then at most 2 in a second.
  EXPECT_GT(b.peers.stats().connections_accepted, 15u);
  EXPECT_LT(b.peers.stats().connections_accepted, 50u);
  EXPECT_TRUE(a.seen.saw("refused by 2 wrong_secret"));
}

TEST(connect, status_tells_who_is_there) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1}, 3);
  Broker& b = cluster.start({.node = 2}, 3);
  ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); }));
  cluster.run(seconds(10));
  const auto status = a.peers.status();
  ASSERT_EQ(status.size(), 2u);
  EXPECT_TRUE(status[0].connected);
  EXPECT_EQ(status[0].identity->incarnation, Incarnation(1));
  for (const ChannelStatus& channel : status[0].channels) {
    EXPECT_TRUE(channel.open);
    EXPECT_GE(channel.since, seconds(9));
    EXPECT_GT(channel.stats.bytes_in, 0u);
    EXPECT_GT(channel.stats.frames_out, 2u);  // pings
    EXPECT_EQ(channel.queued_bytes, 0u);
  }
  EXPECT_FALSE(status[1].connected);
  EXPECT_FALSE(status[1].identity.has_value());
  EXPECT_NE(status[1].last_error, "");
}

TEST(connect, after_stop_nothing_is_called_and_nothing_is_left) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1}, 2);
  Broker& b = cluster.start({.node = 2}, 2);
  ASSERT_TRUE(cluster.until([&] { return a.all_open(2) && b.all_open(1); }));
  std::vector<std::string> order;
  a.peers.request(NodeId(2), Channel::control, {9, {}, {}}, seconds(5),
                  [&](Result<Reply> reply) { order.emplace_back(errc_name(reply.error().code)); });
  a.peers.stop([&](Status status) { order.emplace_back(status ? "stopped" : "failed"); });
  const size_t lines = a.seen.lines.size();
  cluster.run(seconds(5));
  EXPECT_EQ(order, (std::vector<std::string>{"stopping", "stopped"}));
  EXPECT_EQ(a.seen.lines.size(), lines);
  EXPECT_EQ(cluster.sim.network().connections(), 0u);
  EXPECT_TRUE(b.seen.saw("lost 1 control"));
}

TEST(connect, a_port_in_use_is_told) {
  TestCluster cluster(1);
  BrokerSetup setup{.node = 1, .start = false};
  Broker& a = cluster.start(setup);
  auto& world = cluster.nodes.at("n1")->world();
  std::unique_ptr<env::Listener> taken;
  world.network.listen({"n1", k_port}, [](auto) {}, [&](auto l) { taken = std::move(*l); });
  cluster.run(milliseconds(1));
  a.peers.start([&](Status status) { a.started = std::move(status); });
  cluster.run(milliseconds(1));
  ASSERT_FALSE(a.started.has_value());
  EXPECT_EQ(a.started.error().code, Errc::already_exists);
}

}  // namespace
}  // namespace bascule::peers

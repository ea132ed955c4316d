// Who is alive, who is gone, who is a copy.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/peers/test_broker.h"

namespace bascule::peers {
namespace {

struct Two {
  explicit Two(uint64_t seed) : cluster(seed) {
    a = &cluster.start({.node = 1}, 3);
    b = &cluster.start({.node = 2}, 3);
    connected = cluster.until([&] { return a->all_open(2) && b->all_open(1); });
    cluster.run(seconds(1));
  }
  TestCluster cluster;
  Broker* a = nullptr;
  Broker* b = nullptr;
  bool connected = false;
};

TEST(lives, a_killed_process_is_gone_after_two_refused_connects) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    // Either side of the pair finds out.
    for (const bool lower_dies : {false, true}) {
      Two two(seed);
      ASSERT_TRUE(two.connected);
      Broker& left = lower_dies ? *two.b : *two.a;
      two.cluster.nodes.at(lower_dies ? "n1" : "n2")->crash_process();
      const std::string gone = lower_dies ? "gone 1 1" : "gone 2 1";
      ASSERT_TRUE(two.cluster.until([&] { return left.seen.saw(gone); }, milliseconds(90))) << seed;
      two.cluster.run(seconds(5));
      EXPECT_EQ(left.seen.count(gone), 1u) << seed;
    }
  }
}

TEST(lives, one_refused_connect_is_not_enough) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Two two(seed);
    // The connections break, the first connect of each side is refused, the second goes through.
    const NodeId n1 = two.cluster.id("n1");
    const NodeId n2 = two.cluster.id("n2");
    two.cluster.sim.network().link(n1, n2).refuse_next = 1;
    two.cluster.sim.network().link(n2, n1).refuse_next = 1;
    two.cluster.sim.network().reset(n1, n2);
    two.cluster.run(seconds(5));
    EXPECT_TRUE(two.a->all_open(2) && two.b->all_open(1)) << seed;
    EXPECT_FALSE(two.a->seen.saw("gone 2 1")) << seed;
    EXPECT_FALSE(two.b->seen.saw("gone 1 1")) << seed;
  }
}

TEST(lives, the_two_refused_connects_are_50_ms_apart) {
  Two two(1);
  two.cluster.nodes.at("n2")->crash_process();
  const auto start = two.cluster.sim.now();
  ASSERT_TRUE(two.cluster.until([&] { return two.a->seen.saw("gone 2 1"); }));
  EXPECT_GE(two.cluster.sim.now() - start, milliseconds(50));
}

TEST(lives, a_partition_is_not_a_death) {
  Two two(1);
  two.cluster.cut("n1", "n2");
  two.cluster.run(seconds(30));
  EXPECT_TRUE(two.a->seen.saw("lost 2 control"));
  EXPECT_FALSE(two.a->seen.saw("gone 2 1"));
  EXPECT_FALSE(two.b->seen.saw("gone 1 1"));
  two.cluster.sim.network().release_all();
  ASSERT_TRUE(two.cluster.until([&] { return two.a->all_open(2) && two.b->all_open(1); }));
  two.cluster.run(seconds(5));
  EXPECT_FALSE(two.a->seen.saw("gone 2 1"));
}

TEST(lives, a_host_without_power_is_not_a_dead_process_until_it_says_so) {
  Two two(1);
  two.cluster.nodes.at("n2")->crash_machine();
  two.cluster.run(seconds(30));
  EXPECT_TRUE(two.a->seen.saw("lost 2 control"));
  EXPECT_FALSE(two.a->seen.saw("gone 2 1"));
}

TEST(lives, a_paused_process_is_not_a_dead_one) {
  Two two(1);
  two.cluster.nodes.at("n2")->pause();
  two.cluster.run(seconds(20));
  EXPECT_TRUE(two.a->seen.saw("lost 2 control"));
  EXPECT_FALSE(two.a->seen.saw("gone 2 1"));
  two.cluster.nodes.at("n2")->resume();
  ASSERT_TRUE(two.cluster.until([&] { return two.a->all_open(2) && two.b->all_open(1); }));
}

TEST(lives, a_restarted_process_is_back_as_its_next_incarnation) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Two two(seed);
    two.cluster.nodes.at("n2")->crash_process();
    Broker& next = two.cluster.start({.node = 2, .incarnation = 2}, 3);
    ASSERT_TRUE(two.cluster.until([&] { return two.a->all_open(2) && next.all_open(1); })) << seed;
    EXPECT_EQ(two.a->peers.status().at(0).identity->incarnation, Incarnation(2));
    EXPECT_FALSE(two.a->seen.saw("gone 2 2"));
    two.a->peers.check_invariants();
  }
}

TEST(lives, after_power_loss_the_next_life_takes_the_place_of_half_open_streams) {
  Two two(1);
  two.cluster.nodes.at("n2")->crash_machine();
  Broker& next = two.cluster.start({.node = 2, .incarnation = 2}, 3);
  // Its host resets what it has forgotten as soon as something is sent there.
  ASSERT_TRUE(two.cluster.until([&] { return two.a->all_open(2) && next.all_open(1); },
                                milliseconds(2500)));
}

TEST(lives, a_late_dead_incarnation_is_refused) {
  Two two(1);
  two.cluster.nodes.at("n2")->crash_process();
  Broker* next = &two.cluster.start({.node = 2, .incarnation = 5}, 3);
  ASSERT_TRUE(two.cluster.until([&] { return next->all_open(1); }));
  two.cluster.nodes.at("n2")->crash_process();
  // A disk of yesterday.
  next = &two.cluster.start({.node = 2, .incarnation = 4}, 3);
  two.cluster.run(seconds(5));
  EXPECT_TRUE(next->seen.saw("refused by 1 dead_life") || two.a->seen.saw("refusing 2 dead_life"));
  EXPECT_FALSE(two.a->all_open(2));
  ASSERT_FALSE(next->seen.refusals.empty());
}

TEST(lives, an_incarnation_known_from_elsewhere_refuses_earlier_ones) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1}, 2);
  a.peers.note_incarnation(NodeId(2), storage_of({.node = 2}), Incarnation(7));
  Broker& b = cluster.start({.node = 2, .incarnation = 6}, 2);
  ASSERT_TRUE(cluster.until([&] { return b.seen.saw("refused by 1 dead_life"); }));
  EXPECT_FALSE(a.all_open(2));
}

TEST(lives, a_wiped_broker_returns_with_another_storage) {
  Two two(1);
  two.cluster.nodes.at("n2")->crash_process();
  Broker& next = two.cluster.start({.node = 2, .storage = 77}, 3);
  ASSERT_TRUE(two.cluster.until([&] { return two.a->all_open(2) && next.all_open(1); }));
  EXPECT_EQ(two.a->peers.status().at(0).identity->storage, storage_of({.node = 2, .storage = 77}));
}

// The original lives on; the copy is told so by each broker that knows the original.
TEST(lives, a_copy_of_a_living_broker_is_told) {
  for (const uint64_t incarnation : {1, 2, 9}) {
    Two two(incarnation);
    Broker& copy = two.cluster.start({.node = 2, .incarnation = incarnation, .host = "copy"}, 3);
    two.cluster.run(seconds(10));
    EXPECT_TRUE(two.a->all_open(2) && two.b->all_open(1)) << incarnation;
    EXPECT_FALSE(copy.all_open(1)) << incarnation;
    // The same incarnation in another process is proof; a later one might be a restart that is early.
    const char* reason =
        incarnation == 1 ? "refused by 1 clone" : "refused by 1 earlier_life_connected";
    EXPECT_TRUE(copy.seen.saw(reason)) << incarnation;
    EXPECT_FALSE(two.b->seen.saw("refused by 1 clone")) << incarnation;
  }
}

TEST(lives, one_node_id_on_two_storages_is_told) {
  Two two(1);
  Broker& other = two.cluster.start({.node = 2, .storage = 99, .host = "other"}, 3);
  ASSERT_TRUE(two.cluster.until([&] { return other.seen.saw("refused by 1 clone"); }));
  ASSERT_FALSE(other.seen.refusals.empty());
  EXPECT_NE(other.seen.refusals[0].text.find("another process is connected"), std::string::npos);
  EXPECT_TRUE(two.a->all_open(2) && two.b->all_open(1));
}

TEST(lives, a_copy_that_calls_its_original_is_told) {
  TestCluster cluster(1);
  Broker& a = cluster.start({.node = 1});
  Broker& copy = cluster.start(
      {.node = 1, .incarnation = 2, .host = "copy", .seeds = {TestCluster::address(1)}});
  ASSERT_TRUE(cluster.until([&] {
    return copy.seen.saw("refused by 1 clone") ||
           copy.seen.saw("refusing 1 earlier_life_connected");
  }));
  EXPECT_FALSE(a.seen.saw("refused by 1 clone"));
}

// Processes and machines die and come back, links are cut one way or both, at random. Nobody is called gone
// who is not, and in the end everybody is connected to everybody, once per channel.
TEST(lives, whatever_dies_and_returns_all_find_each_other_again) {
  constexpr uint32_t k_brokers = 3;
  size_t gone = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    TestCluster cluster(seed);
    Prng random(seed);
    std::map<uint32_t, Broker*> brokers;
    std::map<uint32_t, uint64_t> incarnations;
    const auto start = [&](uint32_t n) {
      brokers[n] = &cluster.start({.node = n, .incarnation = ++incarnations[n]}, k_brokers);
    };
    const auto host = [](uint32_t n) { return "n" + std::to_string(n); };
    for (uint32_t n = 1; n <= k_brokers; ++n) start(n);
    for (int step = 0; step < 40; ++step) {
      const auto n = static_cast<uint32_t>(random.between(1, k_brokers));
      const auto other = static_cast<uint32_t>(random.between(1, k_brokers));
      switch (random.below(6)) {
        case 0:
        case 1:
          if (brokers[n] != nullptr) {
            if (random.chance(1, 2))
              cluster.nodes.at(host(n))->crash_process();
            else
              cluster.nodes.at(host(n))->crash_machine();
            brokers[n] = nullptr;
          }
          break;
        case 2: cluster.sim.network().block(cluster.id(host(n)), cluster.id(host(other))); break;
        case 3: cluster.sim.network().reset(cluster.id(host(n)), cluster.id(host(other))); break;
        case 4: cluster.sim.network().release_all(); break;
        default:
          if (brokers[n] == nullptr) start(n);
          break;
      }
      cluster.run(random.between(milliseconds(1), milliseconds(random.chance(1, 4) ? 4000 : 150)));
      for (const auto& [node, broker] : brokers) {
        if (broker == nullptr) continue;
        broker->peers.check_invariants();
        for (const auto& [m, incarnation] : incarnations) {
          if (brokers[m] == nullptr) continue;
          EXPECT_FALSE(
              broker->seen.saw("gone " + std::to_string(m) + " " + std::to_string(incarnation)))
              << seed;
        }
      }
    }
    for (const auto& [node, broker] : brokers) {
      if (broker == nullptr) continue;
      gone += static_cast<size_t>(std::ranges::count_if(
          broker->seen.lines, [](const std::string& line) { return line.starts_with("gone"); }));
    }
    cluster.sim.network().release_all();
    for (uint32_t n = 1; n <= k_brokers; ++n) {
      if (brokers[n] == nullptr) start(n);
    }
    const auto all = [&] {
      for (uint32_t i = 1; i <= k_brokers; ++i) {
        for (uint32_t j = 1; j <= k_brokers; ++j) {
          if (i == j) continue;
          for (const PeerStatus& status : brokers[i]->peers.status()) {
            if (status.node != NodeId(j)) continue;
            if (!brokers[i]->all_open(j) ||
                status.identity->incarnation != Incarnation(incarnations[j]))
              return false;
          }
        }
      }
      return true;
    };
    ASSERT_TRUE(cluster.until(all)) << seed;
    cluster.run(seconds(5));
    EXPECT_TRUE(all()) << seed;
    EXPECT_EQ(cluster.sim.network().connections(), 3 * k_channels) << seed;
  }
  EXPECT_GT(gone, 5u);
}

}  // namespace
}  // namespace bascule::peers

// Each refusal of the handshake: both sides see the reason, and nothing is connected.
#include <gtest/gtest.h>

#include "tests/peers/test_broker.h"

namespace bascule::peers {
namespace {

struct Refused {
  // `first` and `second` know each other.
  Refused(uint64_t seed, BrokerSetup first, BrokerSetup second) : cluster(seed) {
    first.node = 1;
    second.node = 2;
    a = &cluster.start(std::move(first), 2);
    b = &cluster.start(std::move(second), 2);
    cluster.run(seconds(5));
  }
  bool connected() const {
    return a->peers.connected(NodeId(2), Channel::control) ||
           b->peers.connected(NodeId(1), Channel::control);
  }
  // One of the two has refused, the other was told, for `reason`.
  bool both_saw(std::string_view reason) const {
    const std::string name(reason);
    return (a->seen.saw("refusing 2 " + name) && b->seen.saw("refused by 1 " + name)) ||
           (b->seen.saw("refusing 1 " + name) && a->seen.saw("refused by 2 " + name));
  }
  std::string text() const {
    for (const Broker* broker : {a, b}) {
      if (!broker->seen.refusals.empty()) return broker->seen.refusals.front().text;
    }
    return "";
  }
  TestCluster cluster;
  Broker* a = nullptr;
  Broker* b = nullptr;
};

TEST(refusal, another_cluster_is_named) {
  const Uuid other{{0xbad, 0xbad}};
  for (uint64_t seed = 0; seed < 5; ++seed) {
    Refused pair(seed, {}, {.cluster = other});
    EXPECT_FALSE(pair.connected());
    EXPECT_TRUE(pair.both_saw("another_cluster"));
    EXPECT_NE(pair.text().find("this broker belongs to cluster "), std::string::npos);
    EXPECT_TRUE(pair.text().find(k_cluster.to_string()) != std::string::npos &&
                pair.text().find(other.to_string()) != std::string::npos);
  }
}

TEST(refusal, a_wrong_secret) {
  Refused pair(1, {}, {.secret = 8});
  EXPECT_FALSE(pair.connected());
  EXPECT_TRUE(pair.both_saw("wrong_secret"));
}

TEST(refusal, a_secret_on_one_side_only) {
  Refused pair(1, {}, {.secret = 0});
  EXPECT_FALSE(pair.connected());
  EXPECT_TRUE(pair.both_saw("wrong_secret"));
}

TEST(refusal, without_any_secret_brokers_believe_each_other) {
  Refused pair(1, {.secret = 0}, {.secret = 0});
  EXPECT_TRUE(pair.connected());
}

TEST(refusal, an_older_program_below_the_feature_level) {
  Refused pair(1, {.feature_max = 3, .feature_level = 3}, {.feature_max = 2});
  EXPECT_FALSE(pair.connected());
  EXPECT_TRUE(pair.both_saw("older_format") || pair.both_saw("newer_format"));
  EXPECT_NE(pair.text().find("feature level"), std::string::npos);
}

TEST(refusal, a_program_that_no_longer_serves_the_feature_level) {
  Refused pair(1, {.feature_max = 3, .feature_level = 1}, {.feature_min = 2, .feature_max = 5});
  EXPECT_FALSE(pair.connected());
  EXPECT_TRUE(pair.both_saw("newer_format") || pair.both_saw("older_format"));
}

TEST(refusal, feature_ranges_that_meet_are_served) {
  Refused pair(1, {.feature_max = 3, .feature_level = 2}, {.feature_min = 2, .feature_max = 5});
  EXPECT_TRUE(pair.connected());
}

// A certificate's name, as a transport would know it.
class NamedAuthenticator final : public Authenticator {
 public:
  explicit NamedAuthenticator(NodeId only) : only_(only) {}
  bool proves() const override { return false; }
  Nonce nonce() override { return {}; }
  Mac mac(ByteView) const override { return {}; }
  Status admit(const env::Stream&, NodeId claimed) const override {
    if (claimed == only_) return {};
    return fail(Errc::permission_denied, "its certificate speaks for node " + only_.to_string());
  }

 private:
  NodeId only_;
};

TEST(refusal, who_speaks_for_another_than_its_transport_knows) {
  for (const uint32_t named : {2, 3}) {
    TestCluster cluster(1);
    NamedAuthenticator authenticator{NodeId(named)};
    BrokerSetup setup{.node = 1, .secret = 0, .options = {.listen = {"n1", k_port}}};
    Broker* a = nullptr;
    sim::Node& node = cluster.sim.add_node({.host = "n1", .disk = {}});
    node.start([&](env::World& world) {
      auto made = std::make_unique<Broker>(world, setup, TestCluster::address(1), &authenticator);
      a = made.get();
      return made;
    });
    cluster.nodes["n1"] = &node;
    Broker& b = cluster.start({.node = 2, .secret = 0}, 2);
    cluster.run(seconds(2));
    EXPECT_EQ(a->all_open(2), named == 2);
    EXPECT_EQ(b.seen.saw("refused by 1 not_permitted"), named != 2);
  }
}

}  // namespace
}  // namespace bascule::peers

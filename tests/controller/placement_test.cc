#include "src/controller/placement.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "src/base/prng.h"

namespace bascule::controller {
namespace {

std::vector<PlacementBroker> brokers(uint32_t hosts, uint32_t shards) {
  std::vector<PlacementBroker> out;
  for (uint32_t h = 0; h < hosts; ++h) {
    for (uint32_t s = 0; s < shards; ++s)
      out.push_back({NodeId(h * shards + s + 1), "host-" + std::to_string(h)});
  }
  return out;
}

template <class Key>
uint64_t spread(const std::map<Key, uint64_t>& counts) {
  const auto [least, most] =
      std::ranges::minmax_element(counts, {}, [](const auto& entry) { return entry.second; });
  return most->second - least->second;
}

RC_GTEST_PROP(PlacementProperty, a_stream_is_spread_evenly_and_never_twice_on_a_host, ()) {
  const auto hosts = *rc::gen::inRange<uint32_t>(1, 9);
  const auto shards = *rc::gen::inRange<uint32_t>(1, 4);
  const auto replicas = *rc::gen::inRange<uint32_t>(1, hosts + 1);
  const auto partitions = *rc::gen::inRange<uint32_t>(1, 60);
  std::vector<PlacementBroker> all = brokers(hosts, shards);
  Prng random(*rc::gen::arbitrary<uint64_t>());
  for (PlacementBroker& b : all) {
    b.replicas = random.below(100);
    b.leaders = random.below(b.replicas + 1);
  }
  const auto placed = place_stream(all, {partitions, replicas});
  RC_ASSERT(placed.has_value());
  std::map<NodeId, uint64_t> led;
  std::map<NodeId, uint64_t> held;
  std::map<std::string, uint64_t> led_by_host;
  std::map<NodeId, std::string> host_of;
  for (const PlacementBroker& b : all) {
    led[b.node] = held[b.node] = led_by_host[b.host] = 0;
    host_of[b.node] = b.host;
  }
  for (const auto& nodes : *placed) {
    RC_ASSERT(nodes.size() == replicas);
    std::set<std::string> used;
    for (const NodeId node : nodes) {
      ++held[node];
      RC_ASSERT(used.insert(host_of[node]).second);
    }
    ++led[nodes.front()];
    ++led_by_host[host_of[nodes.front()]];
  }
  RC_ASSERT(spread(led) <= 1);
  RC_ASSERT(spread(led_by_host) <= 1);
  // With several brokers to a host, hosts that a partition has used bar some of the least loaded.
  RC_ASSERT(spread(held) <= (shards == 1 ? 1u : 2u));
}

RC_GTEST_PROP(PlacementProperty, it_is_a_function_of_the_set_of_brokers_not_of_their_order, ()) {
  Prng random(*rc::gen::arbitrary<uint64_t>());
  std::vector<PlacementBroker> all = brokers(4, 2);
  const auto placed = place_stream(all, {7, 3});
  for (size_t i = all.size() - 1; i > 0; --i) std::swap(all[i], all[random.below(i + 1)]);
  const auto again = place_stream(all, {7, 3});
  RC_ASSERT(*placed == *again);
}

TEST(Placement, fewer_hosts_than_replicas_are_refused_by_name_however_many_brokers_there_are) {
  const auto placed = place_stream(brokers(2, 4), {1, 3});
  ASSERT_FALSE(placed.has_value());
  EXPECT_EQ(placed.error().code, Errc::not_enough_replicas);
  EXPECT_NE(placed.error().context.find("2 hosts"), std::string::npos);
  EXPECT_FALSE(place_stream({}, {1, 1}).has_value());
}

TEST(Placement, a_broker_without_a_host_label_is_a_failure_domain_by_itself) {
  const std::vector<PlacementBroker> plain{{NodeId(1), ""}, {NodeId(2), ""}, {NodeId(3), ""}};
  EXPECT_TRUE(place_stream(plain, {1, 3}).has_value());
}

TEST(Placement, streams_of_one_partition_go_where_the_least_load_is) {
  std::vector<PlacementBroker> all = brokers(3, 1);
  all[0].replicas = all[0].leaders = 5;
  all[1].replicas = 5;
  const auto placed = place_stream(all, {1, 2});
  ASSERT_TRUE(placed.has_value());
  EXPECT_EQ((*placed)[0], (std::vector<NodeId>{NodeId(3), NodeId(1)}));
}

}  // namespace
}  // namespace bascule::controller

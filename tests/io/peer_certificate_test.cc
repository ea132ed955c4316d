// Whom a certificate makes a broker of.
#include "io/peer_certificate.h"

#include <gtest/gtest.h>

#include "src/env/tls.h"

namespace bascule::io {
namespace {

TEST(peer_certificate, the_pattern_gives_each_node_its_name_or_all_the_same) {
  EXPECT_EQ(broker_name("node-{node}", NodeId(7)), "node-7");
  EXPECT_EQ(broker_name("{node}.orders.example.com", NodeId(12)), "12.orders.example.com");
  EXPECT_EQ(broker_name("brokers.example.com", NodeId(7)), "brokers.example.com");
}

TEST(peer_certificate, the_common_name_or_a_dns_name_is_enough) {
  env::TlsIdentity who;
  who.common_name = "node-1";
  who.dns = {"localhost", "node-2"};
  EXPECT_TRUE(who.has_name("node-1"));
  EXPECT_TRUE(who.has_name("node-2"));
  EXPECT_FALSE(who.has_name("node-3"));
  EXPECT_FALSE(who.has_name(""));
  EXPECT_EQ(who.listed(), "\"node-1\", \"localhost\", \"node-2\"");
  EXPECT_EQ(env::TlsIdentity{}.listed(), "nobody");
}

}  // namespace
}  // namespace bascule::io

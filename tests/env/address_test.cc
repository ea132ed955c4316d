#include <gtest/gtest.h>

#include "src/env/network.h"

namespace bascule::env {
namespace {

TEST(address, host_and_port_are_read) {
  EXPECT_EQ(*parse_address("127.0.0.1:4222"), (Address{"127.0.0.1", 4222}));
  EXPECT_EQ(*parse_address("[::1]:0"), (Address{"::1", 0}));
  EXPECT_EQ(*parse_address("host.example:65535"), (Address{"host.example", 65535}));
}

TEST(address, what_is_wrong_is_said) {
  for (const char* bad :
       {"", "host", ":1", "host:", "host:65536", "host:-1", "host:1x", "::1:4222"})
    EXPECT_EQ(parse_address(bad).error().code, Errc::invalid) << bad;
}

TEST(address, its_text_can_be_read_back) {
  for (const char* text : {"127.0.0.1:4222", "[::1]:80", "a.b:1"})
    EXPECT_EQ(parse_address(text)->to_string(), text);
}

TEST(address, loopback_is_told_from_the_world) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost"})
    EXPECT_TRUE(is_loopback({host, 1})) << host;
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "127.evil.example", "localhost.example"})
    EXPECT_FALSE(is_loopback({host, 1})) << host;
}

}  // namespace
}  // namespace bascule::env

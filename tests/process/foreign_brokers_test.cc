// Data directories in the wrong place, and programs of another age: each is refused by name, on both sides.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "capnp/peer_codec.h"
#include "src/base/codec.h"
#include "src/base/crc32c.h"
#include "src/peers/frame.h"
#include "tests/process/cluster_processes.h"
#include "tests/process/raw_peer.h"

namespace bascule::process_test {
namespace {

void copy_directory(const std::string& from, const std::string& to) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

TEST(ForeignBrokers, a_copy_of_a_living_brokers_directory_ends_by_itself) {
  ClusterProcesses cluster(3);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  ASSERT_TRUE(cluster.healthy_status()["healthy"]) << cluster.errors();
  const size_t until_then = cluster.node(2).error().size();
  const TemporaryDirectory elsewhere;
  copy_directory(cluster.data(2), elsewhere.path() + "/copy");
  const auto copy =
      joining_broker(elsewhere.path() + "/copy", 2, cluster.peers(1) + "," + cluster.peers(3));
  EXPECT_FALSE(copy->start()) << "it is ready, beside the one that it was copied from";
  EXPECT_NE(copy->error().find("stopped at once"), std::string::npos) << copy->error();
  EXPECT_NE(copy->error().find("of this broker is still connected"), std::string::npos)
      << copy->error();
  EXPECT_TRUE(cluster.node(1).says("earlier_life_connected")) << cluster.node(1).error();
  // The original has lost nothing.
  EXPECT_TRUE(cluster.healthy_status()["healthy"]) << cluster.errors();
  EXPECT_EQ(cluster.node(2).error().find("lost ", until_then), std::string::npos)
      << cluster.node(2).error();
}

TEST(ForeignBrokers, a_directory_of_one_cluster_is_not_taken_into_another) {
  ClusterProcesses cluster(1);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  const TemporaryDirectory elsewhere;
  const std::string data = elsewhere.path() + "/data";
  const std::string local = "127.0.0.1:" + std::to_string(free_port());
  const std::string rpc = "127.0.0.1:" + std::to_string(free_port());
  {
    BrokerProcess founder(
        data, {"--node", "2", "--peers", local, "--rpc", rpc, "--founders", "2@" + local});
    ASSERT_TRUE(founder.start()) << founder.error();
    ASSERT_EQ(founder.terminate(), 0);
  }
  const auto moved = joining_broker(data, 2, cluster.peers(1));
  ASSERT_TRUE(moved->begin());
  EXPECT_TRUE(moved->says("another_cluster")) << moved->error();
  EXPECT_TRUE(cluster.node(1).says("another_cluster")) << cluster.node(1).error();
  EXPECT_NE(cluster.node(1).error().find("this broker belongs to cluster "), std::string::npos);
  EXPECT_EQ(cluster.healthy_status()["members"].size(), 1U) << cluster.errors();
}

TEST(ForeignBrokers, a_data_directory_of_an_older_format_is_refused_by_name) {
  const TemporaryDirectory directory;
  BrokerProcess broker(directory.path() + "/data");
  ASSERT_TRUE(broker.start()) << broker.error();
  ASSERT_EQ(broker.terminate(), 0);
  const std::string file = directory.path() + "/data/identity";
  Bytes bytes(std::filesystem::file_size(file));
  std::ifstream(file, std::ios::binary)
      .read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  for (const size_t copy : {size_t{0}, bytes.size() - 64}) {
    uint8_t* const record = bytes.data() + copy;
    ASSERT_EQ(load_le<uint32_t>(record + 8), 2U) << "where the format is";
    store_le<uint32_t>(record + 8, 0);
    store_le<uint32_t>(record + 60, crc32c({record, 60}));
  }
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  EXPECT_FALSE(broker.start());
  EXPECT_NE(broker.error().find("the file 'identity' is of format 0; this program reads 1 to 2"),
            std::string::npos)
      << broker.error();
}

Bytes of_version(uint8_t version, Bytes frame) {
  frame[4] = version;
  return frame;
}

TEST(ForeignBrokers, a_caller_of_an_older_frame_version) {
  ClusterProcesses cluster(1);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  const RawPeer old = RawPeer::call(cluster.peers(1));
  old.say(of_version(0, bytes_of({peers::FrameKind::handshake, Slice::copy_of(Bytes(40)), {}})));
  const std::string why = "frame: version 0; this program speaks 1";
  EXPECT_NE(old.read_to_end().find(why), std::string::npos);
  EXPECT_TRUE(cluster.node(1).says("wrong_version: " + why)) << cluster.node(1).error();
}

TEST(ForeignBrokers, a_called_broker_of_an_older_frame_version) {
  const RawListener listener;
  const TemporaryDirectory directory;
  const auto broker = joining_broker(directory.path() + "/data", 2, listener.address());
  ASSERT_TRUE(broker->begin());
  const RawPeer old = RawPeer::answer(listener.fd());
  old.say(of_version(0, bytes_of({peers::FrameKind::handshake, Slice::copy_of(Bytes(40)), {}})));
  const std::string why = "frame: version 0; this program speaks 1";
  EXPECT_NE(old.read_to_end().find(why), std::string::npos);
  EXPECT_TRUE(broker->says("wrong_version: " + why)) << broker->error();
}

TEST(ForeignBrokers, a_caller_that_knows_no_feature_level_that_is_needed) {
  ClusterProcesses cluster(1);
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  peers::Hello hello;
  hello.identity.node = NodeId(7);
  hello.identity.storage = Uuid{{7, 7}};
  hello.identity.incarnation = Incarnation(1);
  hello.identity.life = Uuid{{1, 1}};
  const RawPeer old = RawPeer::call(cluster.peers(1));
  const capnp_codec::PeerCodec codec;
  old.say(
      bytes_of({peers::FrameKind::handshake, Slice::copy_of(codec.encode_handshake(hello)), {}}));
  const std::string why = "feature level 1 is needed here, and node 7 knows 0 at most";
  EXPECT_NE(old.read_to_end().find(why), std::string::npos);
  EXPECT_TRUE(cluster.node(1).says("older_format: " + why)) << cluster.node(1).error();
}

}  // namespace
}  // namespace bascule::process_test

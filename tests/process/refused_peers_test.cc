// Who is not of a cluster, or cannot be, and calls it: both sides say why, and the cluster goes on.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/process/certificates.h"
#include "tests/process/cluster_processes.h"

namespace bascule::process_test {
namespace {

using Arguments = std::vector<std::string>;

class TlsPeers : public testing::Test {
 protected:
  // A cluster of one, and node 2, which calls it; each says its sentence.
  void expect_refusal(const Arguments& member, const std::string& member_says,
                      const Arguments& stranger, const std::string& stranger_says) {
    ClusterProcesses cluster(1, member);
    ASSERT_TRUE(cluster.start_all()) << cluster.errors();
    const auto caller =
        joining_broker(directory_.path() + "/stranger", 2, cluster.peers(1), stranger);
    ASSERT_TRUE(caller->begin());
    EXPECT_TRUE(cluster.node(1).says(member_says)) << cluster.node(1).error();
    EXPECT_TRUE(caller->says(stranger_says)) << caller->error();
    EXPECT_EQ(cluster.node(1).terminate(), 0) << "the member goes on";
  }
  Arguments good(uint32_t node) const { return tls_arguments(ours_.broker(node), ours_.ca()); }
  // Trusts our authority, and shows something else.
  Arguments showing(const Certificates::Pair& own) const { return tls_arguments(own, ours_.ca()); }

  TemporaryDirectory directory_;
  Certificates ours_{directory_.path() + "/ours"};
  Certificates theirs_{directory_.path() + "/theirs"};
};

TEST_F(TlsPeers, a_certificate_of_another_authority) {
  expect_refusal(good(1), "the client's certificate: ", showing(theirs_.broker(2)),
                 "the other side refuses our certificate: tlsv1 alert unknown ca");
}

TEST_F(TlsPeers, a_member_whose_authority_the_caller_does_not_know) {
  expect_refusal(good(1), "the other side refuses our certificate: tlsv1 alert unknown ca",
                 tls_arguments(theirs_.broker(2), theirs_.ca()), "the server's certificate: ");
}

TEST_F(TlsPeers, a_certificate_that_has_expired) {
  const auto expired = ours_.issue({.common_name = "node-2",
                                    .use = io::TlsCertificateOptions::Use::both,
                                    .valid_from = seconds(-7200),
                                    .valid_until = seconds(-3600)});
  expect_refusal(good(1), "the client's certificate: certificate has expired", showing(expired),
                 "the other side refuses our certificate: sslv3 alert certificate expired");
}

TEST_F(TlsPeers, a_certificate_that_is_for_servers_only) {
  const auto server =
      ours_.issue({.common_name = "node-2", .use = io::TlsCertificateOptions::Use::server});
  expect_refusal(good(1), "the client's certificate: unsuitable certificate purpose",
                 showing(server),
                 "the other side refuses our certificate: sslv3 alert unsupported certificate");
}

TEST_F(TlsPeers, a_certificate_of_another_node) {
  const auto other =
      ours_.issue({.common_name = "other-2", .use = io::TlsCertificateOptions::Use::both});
  Arguments stranger = showing(other);
  stranger.insert(stranger.end(), {"--tls-peer-name", "other-{node}"});
  const std::string why = "its certificate is for \"other-2\", not for \"node-2\"";
  expect_refusal(good(1), why, stranger, why);
}

TEST_F(TlsPeers, a_caller_in_the_open_where_brokers_speak_tls) {
  expect_refusal(good(1), "the client speaks plaintext where TLS is required", {},
                 "the other side speaks TLS, and this broker does not");
}

TEST_F(TlsPeers, a_caller_with_tls_where_brokers_speak_in_the_open) {
  expect_refusal({}, "the other side speaks TLS, and this broker does not", good(2),
                 "the server does not speak TLS here");
}

TEST_F(TlsPeers, a_broker_that_others_would_refuse_does_not_start) {
  const auto broker = joining_broker(directory_.path() + "/data", 3, "127.0.0.1:1", good(2));
  EXPECT_FALSE(broker->start());
  EXPECT_NE(broker->error().find("is for \"node-2\", and other brokers would expect \"node-3\""),
            std::string::npos)
      << broker->error();
}

TEST_F(TlsPeers, a_cluster_over_tls_and_with_a_secret) {
  for (uint32_t n = 1; n <= 4; ++n) ours_.broker(n);
  const auto client =
      ours_.issue({.common_name = "ops", .use = io::TlsCertificateOptions::Use::client});
  const std::string secret = directory_.path() + "/secret";
  FILE* file = fopen(secret.c_str(), "w");
  fputs("correct horse battery", file);
  fclose(file);
  const std::string stem = directory_.path() + "/ours/node-{node}";
  Arguments arguments = tls_arguments({stem + ".pem", stem + "-key.pem"}, ours_.ca());
  arguments.insert(arguments.end(), {"--cluster-secret", "@" + secret});
  ClusterProcesses cluster(
      3, arguments,
      {"--tls-ca", ours_.ca(), "--tls-cert", client.certificate, "--tls-key", client.key});
  ASSERT_TRUE(cluster.start_all()) << cluster.errors();
  EXPECT_TRUE(cluster.healthy_status()["healthy"]) << cluster.errors();
  ASSERT_TRUE(cluster.add_joining().start()) << cluster.errors();

  // New certificates by a new authority: each broker trusts both, then shows the new one.
  const auto hangup = [&](uint32_t n, size_t count) {
    kill(cluster.node(n).pid(), SIGHUP);
    const std::string done = "certificates are read again";
    for (int tries = 0; tries < 1000; ++tries) {
      const std::string log = cluster.node(n).error();
      size_t seen = 0;
      for (size_t at = 0; (at = log.find(done, at)) != std::string::npos; at += done.size()) ++seen;
      if (seen >= count) return true;
      usleep(10'000);
    }
    return false;
  };
  std::ofstream(ours_.ca(), std::ios::app) << std::ifstream(theirs_.ca()).rdbuf();
  for (uint32_t n = 1; n <= 4; ++n) ASSERT_TRUE(hangup(n, 1)) << cluster.node(n).error();
  for (uint32_t n = 1; n <= 4; ++n) {
    const auto renewed = theirs_.broker(n);
    std::filesystem::rename(renewed.certificate,
                            directory_.path() + "/ours/node-" + std::to_string(n) + ".pem");
    std::filesystem::rename(renewed.key,
                            directory_.path() + "/ours/node-" + std::to_string(n) + "-key.pem");
    ASSERT_TRUE(hangup(n, 2)) << cluster.node(n).error();
  }
  for (uint32_t n = 1; n <= 4; ++n)
    EXPECT_EQ(cluster.node(n).error().find("lost ", cluster.node(n).error().find("SIGHUP")),
              std::string::npos)
        << "connections outlive a reload: " << cluster.node(n).error();
  // Who comes back meets the new certificates only.
  cluster.node(2).kill9();
  ASSERT_TRUE(cluster.node(2).start()) << cluster.errors();
  EXPECT_TRUE(cluster.healthy_status()["healthy"]) << cluster.errors();
}

}  // namespace
}  // namespace bascule::process_test

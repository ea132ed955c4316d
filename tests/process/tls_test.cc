// TLS as an operator meets it: certificates by the command line, a broker that asks for them, its clients,
// and a SIGHUP.
#include <gtest/gtest.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "tests/process/broker_process.h"

namespace bascule::process_test {
namespace {

class TlsTour : public testing::Test {
 protected:
  TlsTour()
      : certificates_(directory_.path() + "/tls"),
        broker_(directory_.path() + "/data",
                {"--tls-cert", file("server.pem"), "--tls-key", file("server-key.pem"),
                 "--tls-client-ca", file("ca.pem")}) {}

  void SetUp() override {
    make();
    ASSERT_TRUE(broker_.start()) << broker_.error();
  }
  std::string file(const std::string& name) const { return certificates_ + "/" + name; }
  void make() {
    const CommandResult made = run_bascule({"tls", "make", certificates_, "--force"});
    ASSERT_EQ(made.exit_status, 0) << made.error;
  }
  std::vector<std::string> known(std::vector<std::string> command) const {
    command.insert(command.end(), {"--tls-ca", file("ca.pem"), "--tls-cert", file("client.pem"),
                                   "--tls-key", file("client-key.pem")});
    return command;
  }

  TemporaryDirectory directory_;
  std::string certificates_;
  BrokerProcess broker_;
};

TEST_F(TlsTour, who_shows_a_certificate_publishes_and_reads) {
  ASSERT_EQ(
      broker_.command(known({"stream", "create", "orders", "--subject", "orders"})).exit_status, 0);
  EXPECT_EQ(broker_.command(known({"pub", "orders", "first"})).exit_status, 0);
  const CommandResult read =
      broker_.command(known({"sub", "orders", "--from", "earliest", "--until", "latest"}));
  EXPECT_EQ(read.exit_status, 0) << read.error;
  EXPECT_NE(read.out.find("first"), std::string::npos);

  natsOptions* options = nullptr;
  natsConnection* connection = nullptr;
  ASSERT_EQ(natsOptions_Create(&options), NATS_OK);
  natsOptions_SetURL(options, broker_.nats_url().c_str());
  natsOptions_SetSecure(options, true);
  natsOptions_LoadCATrustedCertificates(options, file("ca.pem").c_str());
  natsOptions_LoadCertificatesChain(options, file("client.pem").c_str(),
                                    file("client-key.pem").c_str());
  natsOptions_SetExpectedHostname(options, "localhost");
  EXPECT_EQ(natsConnection_Connect(&connection, options), NATS_OK);
  natsConnection_Destroy(connection);
  natsOptions_Destroy(options);
}

TEST_F(TlsTour, the_environment_may_name_the_clients_files) {
  const std::pair<const char*, std::string> variables[] = {
      {"BASCULE_TLS_CA", file("ca.pem")},
      {"BASCULE_TLS_CLIENT_CERT", file("client.pem")},
      {"BASCULE_TLS_CLIENT_KEY", file("client-key.pem")}};
  for (const auto& [name, value] : variables) setenv(name, value.c_str(), 1);
  const CommandResult listed = broker_.command({"stream", "ls"});
  for (const auto& [name, value] : variables) unsetenv(name);
  EXPECT_EQ(listed.exit_status, 0) << listed.error;
}

TEST_F(TlsTour, who_does_not_is_told_why) {
  const CommandResult plain = broker_.command({"stream", "ls"});
  EXPECT_EQ(plain.exit_status, 1);
  EXPECT_NE(plain.error.find("the other side speaks TLS"), std::string::npos) << plain.error;
  EXPECT_TRUE(broker_.says("speaks plaintext where TLS is required"));
  const CommandResult nobody = broker_.command({"stream", "ls", "--tls-ca", file("ca.pem")});
  EXPECT_EQ(nobody.exit_status, 1);
  EXPECT_NE(nobody.error.find("certificate required"), std::string::npos) << nobody.error;
  EXPECT_TRUE(broker_.says("the client showed no certificate"));
  const CommandResult half = broker_.command(
      {"stream", "ls", "--tls-ca", file("ca.pem"), "--tls-cert", file("client.pem")});
  EXPECT_NE(half.exit_status, 0);
  EXPECT_NE(half.error.find("go together"), std::string::npos) << half.error;
}

TEST_F(TlsTour, a_hangup_reads_certificates_again_and_keeps_what_works) {
  const std::string old_ca = directory_.path() + "/old-ca.pem";
  std::filesystem::copy_file(file("ca.pem"), old_ca);
  make();
  kill(broker_.pid(), SIGHUP);
  ASSERT_TRUE(broker_.says("certificates are read again"));
  EXPECT_EQ(broker_.command(known({"stream", "ls"})).exit_status, 0);
  const CommandResult old = broker_.command({"stream", "ls", "--tls-ca", old_ca});
  EXPECT_EQ(old.exit_status, 1);
  EXPECT_NE(old.error.find("the server's certificate: "), std::string::npos) << old.error;

  std::filesystem::copy_file(file("server.pem"), file("good.pem"));
  std::ofstream(file("server.pem")) << "no certificate";
  kill(broker_.pid(), SIGHUP);
  ASSERT_TRUE(broker_.says("what was loaded before stays in use"));
  EXPECT_EQ(broker_.command(known({"stream", "ls"})).exit_status, 0);
  EXPECT_EQ(broker_.terminate(), 0);
  EXPECT_FALSE(broker_.start()) << "a start has nothing older to fall back to";
  EXPECT_NE(broker_.error().find("server.pem"), std::string::npos) << broker_.error();
}

TEST(tls_make, does_not_replace_certificates_unasked) {
  const TemporaryDirectory directory;
  const std::string to = directory.path() + "/tls";
  EXPECT_EQ(run_bascule({"tls", "make", to, "--name", "broker.test"}).exit_status, 0);
  EXPECT_EQ(run_bascule({"tls", "make", to}).exit_status, 1);
  EXPECT_EQ(run_bascule({"tls", "make", to, "--force"}).exit_status, 0);
  EXPECT_EQ(run_bascule({"tls", "make", to + "2", "--name", "not a name"}).exit_status, 2);
}

}  // namespace
}  // namespace bascule::process_test

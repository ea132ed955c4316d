// A cluster on hosts of their own, whose network really breaks: who is cut off changes nothing, the others go
// on, and what was cut off comes back by itself.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/process/broker_process.h"
#include "tests/process/certificates.h"
#include "tests/process/network_namespaces.h"

namespace bascule::process_test {
namespace {

using Json = nlohmann::json;
constexpr uint32_t k_hosts = 3;

std::string rpc(uint32_t host) { return NetworkNamespaces::address(host) + ":9292"; }
std::string peers(uint32_t host) { return NetworkNamespaces::address(host) + ":9293"; }

class Partition : public testing::Test {
 protected:
  void SetUp() override {
    std::string why_not;
    network_ = NetworkNamespaces::make(k_hosts, why_not);
    if (network_ == nullptr) GTEST_SKIP() << "no network namespaces here: " << why_not;
    std::string founders;
    for (uint32_t n = 1; n <= k_hosts; ++n)
      founders += (n == 1 ? "" : ",") + std::to_string(n) + "@" + peers(n);
    for (uint32_t n = 1; n <= k_hosts; ++n) {
      std::vector<std::string> arguments = tls_arguments(
          certificates_.broker(n, {NetworkNamespaces::address(n)}), certificates_.ca());
      arguments.insert(arguments.end(), {"--node", std::to_string(n), "--peers", peers(n), "--rpc",
                                         rpc(n), "--nats", "off", "--founders", founders});
      brokers_.push_back(std::make_unique<BrokerProcess>(
          directory_.path() + "/node" + std::to_string(n), std::move(arguments)));
      network_->in(n, [&] { ASSERT_TRUE(brokers_.back()->begin()); });
    }
    for (const auto& broker : brokers_) ASSERT_TRUE(broker->await_ready()) << broker->error();
  }

  // A command of somebody on that host, to the broker there.
  CommandResult on(uint32_t host, std::vector<std::string> command) const {
    command.insert(command.end(), {"--server", rpc(host), "--tls-ca", certificates_.ca(),
                                   "--tls-cert", client_.certificate, "--tls-key", client_.key});
    CommandResult out;
    network_->in(host, [&] { out = run_bascule(command); });
    return out;
  }
  CommandResult create(uint32_t host, const std::string& name, const std::string& timeout) const {
    return on(host, {"stream", "create", name, "--subject", name + ".>", "--timeout", timeout});
  }
  bool knows(uint32_t host, const std::string& name) const {
    return on(host, {"stream", "info", name}).exit_status == 0;
  }
  uint32_t controller(uint32_t host) const {
    const CommandResult got = on(host, {"cluster", "status", "--json", "--wait", "10s"});
    EXPECT_EQ(got.exit_status, 0) << got.out << got.error;
    return Json::parse(got.out)["controller"].get<uint32_t>();
  }
  void expect_healed(uint32_t host) const {
    const CommandResult status = on(host, {"cluster", "status", "--wait", "20s"});
    EXPECT_EQ(status.exit_status, 0) << status.out << status.error << errors();
  }
  std::string errors() const {
    std::string out;
    for (const auto& broker : brokers_) out += broker->error() + "\n";
    return out;
  }

  // Cuts `host` off: it refuses, the others go on, and it catches up.
  void cut_off(uint32_t host) {
    const uint32_t other = host % k_hosts + 1;
    network_->unplug(host);
    const CommandResult refused = create(host, "minority", "4s");
    EXPECT_NE(refused.exit_status, 0) << "a minority has changed something";
    EXPECT_NE(refused.error.find("no majority of the controllers"), std::string::npos)
        << refused.error;
    const CommandResult made = create(other, "majority", "15s");
    EXPECT_EQ(made.exit_status, 0) << made.error << errors();
    network_->plug(host);
    expect_healed(host);
    expect_healed(other);
    EXPECT_TRUE(knows(host, "majority")) << errors();
    const CommandResult after = create(host, "after", "15s");
    EXPECT_EQ(after.exit_status, 0) << after.error << errors();
    for (uint32_t n = 1; n <= k_hosts; ++n) {
      EXPECT_TRUE(brokers_[n - 1]->running());
      EXPECT_TRUE(knows(n, "after")) << "host " << n;
    }
  }

  TemporaryDirectory directory_;
  Certificates certificates_{directory_.path() + "/tls"};
  Certificates::Pair client_ =
      certificates_.issue({.common_name = "client", .use = io::TlsCertificateOptions::Use::client});
  std::unique_ptr<NetworkNamespaces> network_;
  std::vector<std::unique_ptr<BrokerProcess>> brokers_;
};

TEST_F(Partition, a_controller_that_is_cut_off_refuses_and_comes_back) { cut_off(controller(1)); }

TEST_F(Partition, a_follower_that_is_cut_off_refuses_and_comes_back) {
  cut_off(controller(1) % k_hosts + 1);
}

}  // namespace
}  // namespace bascule::process_test

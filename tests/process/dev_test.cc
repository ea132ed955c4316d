// bascule dev --tls: a cluster that speaks TLS everywhere, and says how to speak to it.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/process/broker_process.h"
#include "tests/process/cluster_processes.h"

namespace bascule::process_test {
namespace {

const std::string k_program = BASCULE_BINARY_DIR "/bin/bascule";

// `bascule dev` as a child.
class Dev {
 public:
  Dev(const std::string& arguments, std::string error_file) : error_file_(std::move(error_file)) {
    const std::string command =
        "echo $$; exec " + k_program + " dev " + arguments + " 2>" + error_file_;
    out_ = popen(command.c_str(), "re");
    pid_ = std::stoi(line());
  }
  ~Dev() {
    if (out_ != nullptr) (void)stop();
  }
  Dev(const Dev&) = delete;
  Dev& operator=(const Dev&) = delete;

  // The next line that it prints; empty: it has ended, or prints none for half a minute.
  std::string line() {
    std::string out;
    pollfd ready{fileno(out_), POLLIN, 0};
    for (char c = 0; poll(&ready, 1, 30'000) == 1 && read(ready.fd, &c, 1) == 1; out += c)
      if (c == '\n') return out;
    return {};
  }
  // Its exit status after SIGTERM, which stops all its brokers.
  int stop() {
    kill(pid_, SIGTERM);
    const int status = pclose(std::exchange(out_, nullptr));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string error() const {
    std::ostringstream out;
    out << std::ifstream(error_file_).rdbuf();
    return out.str();
  }

 private:
  std::string error_file_;
  FILE* out_ = nullptr;
  pid_t pid_ = 0;
};

int shell(const std::string& command) { return WEXITSTATUS(std::system(command.c_str())); }

void try_tls(uint32_t nodes) {
  const TemporaryDirectory directory;
  Dev dev("--tls --nodes " + std::to_string(nodes) + " --data " + directory.path() +
              "/data --port-base " + std::to_string(free_port()) + " --log-level info",
          directory.path() + "/stderr");
  const std::string known = dev.line();
  ASSERT_TRUE(known.starts_with("export BASCULE_SERVER=")) << known << dev.error();
  EXPECT_TRUE(dev.line().starts_with("nats --server tls://127.0.0.1:"));
  for (uint32_t n = 1; n <= nodes; ++n)
    ASSERT_TRUE(dev.line().starts_with("ready ")) << dev.error();

  // What it prints is what a client needs, and all that it needs.
  const std::string bascule = "; " + k_program + " ";
  const std::string quiet = " --timeout 15s >/dev/null 2>" + directory.path() + "/client";
  EXPECT_EQ(shell(known + bascule + "stream create orders --subject orders" + quiet), 0);
  EXPECT_EQ(shell(known + bascule + "cluster status --wait 15s" + quiet), 0) << dev.error();
  EXPECT_EQ(shell(known + "; unset BASCULE_TLS_CLIENT_CERT BASCULE_TLS_CLIENT_KEY" + bascule +
                  "stream ls" + quiet),
            1);
  EXPECT_EQ(shell(known + "; unset BASCULE_TLS_CA BASCULE_TLS_CLIENT_CERT BASCULE_TLS_CLIENT_KEY" +
                  bascule + "stream ls" + quiet),
            1);
  EXPECT_EQ(dev.stop(), 0) << dev.error();
}

TEST(Dev, one_broker_with_tls) { try_tls(1); }

TEST(Dev, three_brokers_with_tls) { try_tls(3); }

}  // namespace
}  // namespace bascule::process_test

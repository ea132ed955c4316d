// Metadata commands through three real brokers of this machine: how many a second with many in flight, and
// how long one takes alone, beside what one synced write and one round trip over the loopback cost in the
// same run. A command is a setting that is set: proposed, on the disks of a majority, applied, answered.
//
//   bench_metadata_commands [--count N] [--in-flight N] [--servers HOST:PORT,…]
//
// Without --servers it starts `bascule dev --nodes 3` beside it, with its data in a directory that goes at
// the end.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "capnp/rpc_transport.h"
#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "io/entropy.h"
#include "src/client/client.h"

namespace bascule {
namespace {

using Clock = std::chrono::steady_clock;

double micros(Clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench_metadata_commands: %s\n", why.c_str());
  std::exit(1);
}

// 4 KiB written to a growing file, and fdatasync.
double synced_write_us(const std::string& directory) {
  const std::string path = directory + "/sync";
  const int fd = open(path.c_str(), O_CREAT | O_RDWR, 0600);
  if (fd < 0) die("cannot write " + path);
  const std::string block(4096, 'x');
  std::vector<double> took;
  for (int i = 0; i < 200; ++i) {
    const auto begin = Clock::now();
    if (pwrite(fd, block.data(), block.size(), i * 4096) < 0 || fdatasync(fd) != 0)
      die("cannot sync " + path);
    took.push_back(micros(Clock::now() - begin));
  }
  close(fd);
  return median(std::move(took));
}

// One byte there and back, between two processes.
double round_trip_us() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  auto* const address = reinterpret_cast<sockaddr*>(&at);
  if (bind(listener, address, size) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, address, &size) != 0)
    die("no loopback");
  const int on = 1;
  char byte = 'x';
  const pid_t child = fork();
  if (child == 0) {
    const int peer = accept(listener, nullptr, nullptr);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    while (read(peer, &byte, 1) == 1 && write(peer, &byte, 1) == 1) {
    }
    _exit(0);
  }
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd, address, size) != 0) die("no loopback");
  std::vector<double> took;
  for (int i = 0; i < 2000; ++i) {
    const auto begin = Clock::now();
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("the loopback ended");
    took.push_back(micros(Clock::now() - begin));
  }
  close(fd);
  close(listener);
  waitpid(child, nullptr, 0);
  return median(std::move(took));
}

// `bascule dev --nodes 3`, beside this program.
class Cluster {
 public:
  explicit Cluster(const std::string& directory) {
    const std::string program =
        std::filesystem::read_symlink("/proc/self/exe").parent_path() / "bascule";
    int out[2];
    if (pipe(out) != 0) die("no pipe");
    const uint16_t base = static_cast<uint16_t>(20'000 + io::random_seed() % 10'000);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(out[1], STDOUT_FILENO);
      close(out[0]);
      const std::string ports = std::to_string(base);
      execl(program.c_str(), program.c_str(), "dev", "--nodes", "3", "--data", directory.c_str(),
            "--port-base", ports.c_str(), nullptr);
      _exit(127);
    }
    close(out[1]);
    FILE* const lines = fdopen(out[0], "r");
    char line[1024];
    for (int ready = 0; ready < 3;) {
      if (std::fgets(line, sizeof(line), lines) == nullptr) die("bascule dev did not start");
      const std::string text(line);
      const size_t rpc = text.find("rpc=");
      if (!text.starts_with("ready ") || rpc == std::string::npos) continue;
      if (!servers.empty()) servers += ',';
      servers += text.substr(rpc + 4, text.find(' ', rpc) - rpc - 4);
      ++ready;
    }
  }
  ~Cluster() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }

  std::string servers;

 private:
  pid_t pid_ = -1;
};

class Commands {
 public:
  explicit Commands(const std::string& servers) {
    client::ClientOptions options;
    size_t at = 0;
    while (at <= servers.size()) {
      const size_t end = std::min(servers.find(',', at), servers.size());
      auto address = env::parse_address(servers.substr(at, end - at));
      if (!address) die(address.error().to_string());
      options.servers.push_back(std::move(*address));
      at = end + 1;
    }
    client_ = client::make_client(loop_, *transport_, random_, std::move(options));
  }

  // Microseconds of one at a time, median.
  double alone_us(int count) {
    std::vector<double> took;
    for (int i = 0; i < count; ++i) {
      const auto begin = Clock::now();
      run(1, 1);
      took.push_back(micros(Clock::now() - begin));
    }
    return median(std::move(took));
  }
  double per_second(int count, int in_flight) {
    const auto begin = Clock::now();
    run(count, in_flight);
    return count / (micros(Clock::now() - begin) / 1e6);
  }

 private:
  void run(int count, int in_flight) {
    left_ = open_ = count;
    for (int i = 0; i < std::min(count, in_flight); ++i) begin();
    loop_.run_until([this] { return open_ == 0; }, seconds(120));
    if (open_ != 0) die("no answer");
  }
  void begin() {
    if (left_ == 0) return;
    --left_;
    client_->decide_cluster(broker::SetSetting{"session_timeout", left_ % 2 == 0 ? "3s" : "3001ms"},
                            [this](const Status& status) {
                              if (!status) die(status.error().to_string());
                              --open_;
                              begin();
                            });
  }

  io::AsioLoop loop_;
  io::AsioNetwork network_{loop_};
  Prng random_{io::random_seed()};
  std::unique_ptr<client::Transport> transport_ = rpc::make_rpc_transport(loop_, network_);
  std::unique_ptr<client::Client> client_;
  int left_ = 0;
  int open_ = 0;
};

int run(int argc, char** argv) {
  int count = 50'000;
  int in_flight = 256;
  std::string servers;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--count")
      count = std::atoi(argv[i + 1]);
    else if (name == "--in-flight")
      in_flight = std::atoi(argv[i + 1]);
    else if (name == "--servers")
      servers = argv[i + 1];
    else
      die("what is " + name + "?");
  }
  const std::string directory = (std::filesystem::current_path() / "metadata_bench").string() +
                                std::to_string(io::random_seed());
  std::filesystem::create_directories(directory);
  {
    std::unique_ptr<Cluster> cluster;
    if (servers.empty()) {
      cluster = std::make_unique<Cluster>(directory);
      servers = cluster->servers;
    }
    Commands commands(servers);
    commands.per_second(2000, in_flight);  // to be warm
    const double sync = synced_write_us(directory);
    const double trip = round_trip_us();
    const double alone = commands.alone_us(500);
    const double many = commands.per_second(count, in_flight);
    std::printf("synced 4 KiB write        %9.0f us\n", sync);
    std::printf("loopback round trip       %9.0f us\n", trip);
    std::printf("one command at a time     %9.0f us  (%.2f of write + round trip)\n", alone,
                alone / (sync + trip));
    std::printf("%d in flight             %9.0f commands/s\n", in_flight, many);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  return 0;
}

}  // namespace
}  // namespace bascule

int main(int argc, char** argv) { return bascule::run(argc, argv); }

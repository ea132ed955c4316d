#include "tests/process/cluster_processes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string_view>

namespace bascule::process_test {

using Json = nlohmann::json;

uint16_t free_port() {
  constexpr uint32_t k_first = 15'000;
  constexpr uint32_t k_count = 16'000;
  static uint32_t next = static_cast<uint32_t>(getpid()) * 61;
  for (uint32_t tries = 0; tries < k_count; ++tries) {
    const auto port = static_cast<uint16_t>(k_first + next++ % k_count);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    if (free) return port;
  }
  throw std::runtime_error("no free port");
}

namespace {

std::string local_port() { return "127.0.0.1:" + std::to_string(free_port()); }

}  // namespace

std::unique_ptr<BrokerProcess> joining_broker(const std::string& data, uint32_t node,
                                              const std::string& seeds,
                                              const std::vector<std::string>& more) {
  std::vector<std::string> all{"--node", std::to_string(node), "--peers", local_port(),
                               "--rpc",  local_port(),         "--seeds", seeds};
  all.insert(all.end(), more.begin(), more.end());
  return std::make_unique<BrokerProcess>(data, std::move(all));
}

ClusterProcesses::ClusterProcesses(uint32_t founders, std::vector<std::string> arguments,
                                   std::vector<std::string> client_arguments)
    : arguments_(std::move(arguments)), client_arguments_(std::move(client_arguments)) {
  std::string list;
  for (uint32_t n = 1; n <= founders; ++n) {
    nodes_.push_back({directory_.path() + "/node" + std::to_string(n), local_port(), nullptr});
    list += (n == 1 ? "" : ",") + std::to_string(n) + "@" + nodes_.back().peers;
  }
  for (uint32_t n = 1; n <= founders; ++n) make_node(n, {"--founders", list});
}

void ClusterProcesses::make_node(uint32_t number, std::vector<std::string> membership) {
  Node& node = nodes_.at(number - 1);
  std::vector<std::string> all{"--node",    std::to_string(number), "--peers", node.peers, "--rpc",
                               local_port()};
  all.insert(all.end(), membership.begin(), membership.end());
  for (std::string argument : arguments_) {
    constexpr std::string_view k_number = "{node}";
    for (size_t at; (at = argument.find(k_number)) != std::string::npos;)
      argument.replace(at, k_number.size(), std::to_string(number));
    all.push_back(std::move(argument));
  }
  node.process = std::make_unique<BrokerProcess>(node.data, std::move(all));
}

BrokerProcess& ClusterProcesses::add_joining() {
  std::string seeds;
  for (const Node& node : nodes_) seeds += (seeds.empty() ? "" : ",") + node.peers;
  const uint32_t number = size() + 1;
  nodes_.push_back({directory_.path() + "/node" + std::to_string(number), local_port(), nullptr});
  make_node(number, {"--seeds", seeds});
  return node(number);
}

void ClusterProcesses::join(uint32_t number, uint32_t seed) {
  make_node(number, {"--seeds", peers(seed)});
}

void ClusterProcesses::wipe_and_join(uint32_t number, uint32_t seed) {
  std::filesystem::remove_all(data(number));
  join(number, seed);
}

bool ClusterProcesses::start_all() {
  std::vector<BrokerProcess*> started;
  for (Node& node : nodes_) {
    if (node.process->running()) continue;
    if (!node.process->begin()) return false;
    started.push_back(node.process.get());
  }
  bool all = true;
  for (BrokerProcess* process : started) all = process->await_ready() && all;
  return all;
}

std::string ClusterProcesses::errors() const {
  std::string out;
  for (const Node& node : nodes_) out += node.data + ":\n" + node.process->error();
  return out;
}

std::string ClusterProcesses::servers() const {
  std::string out;
  for (const Node& node : nodes_)
    if (node.process->running()) out += (out.empty() ? "" : ",") + node.process->endpoint("rpc");
  return out;
}

CommandResult ClusterProcesses::command(std::vector<std::string> arguments,
                                        const std::string& input) const {
  arguments.insert(arguments.end(), {"--server", servers()});
  arguments.insert(arguments.end(), client_arguments_.begin(), client_arguments_.end());
  return run_bascule(arguments, input);
}

Json ClusterProcesses::healthy_status() const {
  const CommandResult got = command({"cluster", "status", "--json", "--wait", "10s"});
  if (got.out.empty()) throw std::runtime_error("cluster status: " + got.error);
  return Json::parse(got.out);
}

uint32_t ClusterProcesses::controller() const {
  for (int tries = 0; tries < 100; ++tries) {
    const CommandResult got = command({"cluster", "status", "--json"});
    const auto leader = got.out.empty() ? 0U : Json::parse(got.out)["controller"].get<uint32_t>();
    if (leader != 0) return leader;
    usleep(100'000);
  }
  return 0;
}

}  // namespace bascule::process_test

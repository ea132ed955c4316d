// Brokers of one cluster as child processes on 127.0.0.1.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/process/broker_process.h"

namespace bascule::process_test {

// A port that was free a moment ago, below the system's range for outgoing connections, and not given twice
// by this process.
uint16_t free_port();

// A broker, not started, that is to join those whose peers ports are `seeds`.
std::unique_ptr<BrokerProcess> joining_broker(const std::string& data, uint32_t node,
                                              const std::string& seeds,
                                              const std::vector<std::string>& more = {});

class ClusterProcesses {
 public:
  // `founders` brokers, numbered from 1; none is started yet. `arguments` go to each, "{node}" in them
  // being its number; `client_arguments` to each command.
  explicit ClusterProcesses(uint32_t founders, std::vector<std::string> arguments = {},
                            std::vector<std::string> client_arguments = {});

  // All founders, or all that are not running; false: one has ended instead (see error()).
  bool start_all();
  // One more, that joins. Not started.
  BrokerProcess& add_joining();
  // The broker's directory is no more; it is to join whoever listens where node `seed` does. Not started.
  void wipe_and_join(uint32_t number, uint32_t seed);
  // The same with its directory as it is.
  void join(uint32_t number, uint32_t seed);
  BrokerProcess& node(uint32_t number) { return *nodes_.at(number - 1).process; }
  const std::string& data(uint32_t number) const { return nodes_.at(number - 1).data; }
  const std::string& peers(uint32_t number) const { return nodes_.at(number - 1).peers; }
  uint32_t size() const { return static_cast<uint32_t>(nodes_.size()); }
  std::string errors() const;

  // Runs a command against any of the running brokers.
  CommandResult command(std::vector<std::string> arguments, const std::string& input = {}) const;
  // RPC addresses of the running brokers, for --server.
  std::string servers() const;
  // `cluster status --json`, asked for up to ten seconds until it is healthy; the last answer.
  nlohmann::json healthy_status() const;
  // The number of the broker that leads the metadata; 0: none within ten seconds.
  uint32_t controller() const;

 private:
  struct Node {
    std::string data;
    std::string peers;  // HOST:PORT
    std::unique_ptr<BrokerProcess> process;
  };

  void make_node(uint32_t number, std::vector<std::string> membership);

  TemporaryDirectory directory_;
  std::vector<std::string> arguments_;
  std::vector<std::string> client_arguments_;
  std::vector<Node> nodes_;
};

}  // namespace bascule::process_test

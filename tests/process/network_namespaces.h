// Hosts of their own on one switch, made of network namespaces of the kernel: 10.77.0.1, 10.77.0.2, …
//
// The namespaces have no names and nothing of them is in the namespace of the test: they are kept by
// descriptors of this process and its children alone, so whatever ends these ends the namespaces, with all
// interfaces in them. Their addresses exist nowhere else, and no packet leaves them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bascule::process_test {

class NetworkNamespaces {
 public:
  // Null where this machine, or this user, is not permitted to make them; `why_not` says what failed.
  static std::unique_ptr<NetworkNamespaces> make(uint32_t hosts, std::string& why_not);
  ~NetworkNamespaces();
  NetworkNamespaces(const NetworkNamespaces&) = delete;
  NetworkNamespaces& operator=(const NetworkNamespaces&) = delete;

  static std::string address(uint32_t host) { return "10.77.0." + std::to_string(host); }
  // Runs `act` in the namespace of a host: processes that it starts live there. Host 0 is the switch, which
  // has an address too and reaches all that are plugged in.
  void in(uint32_t host, const std::function<void()>& act) const;
  // Takes the cable of a host out of the switch, and puts it in. Silently: nobody is told at its end.
  void unplug(uint32_t host) const;
  void plug(uint32_t host) const;

 private:
  explicit NetworkNamespaces(int home) : home_(home) {}
  std::string add(uint32_t host);
  void ip(uint32_t host, const std::string& arguments) const;

  int home_;                // the namespace of this process
  std::vector<int> hosts_;  // the switch first
};

}  // namespace bascule::process_test

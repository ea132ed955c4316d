#include "tests/process/network_namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace bascule::process_test {
namespace {

constexpr const char* k_own = "/proc/thread-self/ns/net";

std::string failed(std::string what) {
  what += ": ";
  return what += std::strerror(errno);
}

std::string cable(uint32_t host) { return "cable" + std::to_string(host); }

}  // namespace

std::unique_ptr<NetworkNamespaces> NetworkNamespaces::make(uint32_t hosts, std::string& why_not) {
  const int home = open(k_own, O_RDONLY | O_CLOEXEC);
  if (home < 0) {
    why_not = failed("its own");
    return nullptr;
  }
  std::unique_ptr<NetworkNamespaces> out(new NetworkNamespaces(home));
  for (uint32_t host = 0; host <= hosts; ++host) {
    why_not = out->add(host);
    if (!why_not.empty()) return nullptr;
  }
  return out;
}

NetworkNamespaces::~NetworkNamespaces() {
  for (const int host : hosts_) close(host);
  close(home_);
}

// Empty, or why not.
std::string NetworkNamespaces::add(uint32_t host) {
  if (unshare(CLONE_NEWNET) != 0) return failed("unshare");
  hosts_.push_back(open(k_own, O_RDONLY | O_CLOEXEC));
  if (setns(home_, CLONE_NEWNET) != 0) throw std::runtime_error("setns");
  try {
    ip(host, "link set lo up");
    if (host == 0) {
      ip(0, "link add switch0 type bridge");
      ip(0, "link set switch0 up");
      ip(0, "address add " + address(254) + "/24 dev switch0");
      return {};
    }
    const std::string there =
        "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(hosts_.back());
    ip(0, "link add " + cable(host) + " type veth peer name eth0 netns " + there);
    ip(0, "link set " + cable(host) + " up master switch0");
    ip(host, "address add " + address(host) + "/24 dev eth0");
    ip(host, "link set eth0 up");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

void NetworkNamespaces::in(uint32_t host, const std::function<void()>& act) const {
  if (setns(hosts_.at(host), CLONE_NEWNET) != 0) throw std::runtime_error("setns");
  try {
    act();
  } catch (...) {
    (void)setns(home_, CLONE_NEWNET);
    throw;
  }
  if (setns(home_, CLONE_NEWNET) != 0) throw std::runtime_error("setns");
}

void NetworkNamespaces::ip(uint32_t host, const std::string& arguments) const {
  const std::string command = "ip " + arguments + " 2>/dev/null";
  int status = 0;
  in(host, [&] { status = std::system(command.c_str()); });
  if (status != 0) throw std::runtime_error("ip " + arguments + ": failed");
}

void NetworkNamespaces::unplug(uint32_t host) const {
  ip(0, "link set " + cable(host) + " nomaster");
}
void NetworkNamespaces::plug(uint32_t host) const {
  ip(0, "link set " + cable(host) + " master switch0");
}

}  // namespace bascule::process_test

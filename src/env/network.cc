#include "src/env/network.h"

#include <charconv>

namespace bascule::env {

std::string Address::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> parse_address(std::string_view text) {
  const auto bad = [&](const char* why) {
    return fail(Errc::invalid, "address \"" + std::string(text) + "\": " + why);
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("expected HOST:PORT");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("write an IPv6 address as [ADDRESS]:PORT");
  }
  if (host.empty()) return bad("the host is empty");
  Address out{std::string(host), 0};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc{} || end != port.data() + port.size() || port.empty())
    return bad("the port is not a number from 0 to 65535");
  return out;
}

bool is_loopback(const Address& address) {
  if (address.host == "localhost" || address.host == "::1") return true;
  if (!address.host.starts_with("127.")) return false;
  return address.host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace bascule::env

// What a client says of itself in CONNECT.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bascule::nats {

struct ConnectOptions {
  // As nats-server treats a client before its CONNECT, and one that leaves these out.
  bool verbose = true;
  bool pedantic = true;
  bool echo = true;
  bool headers = false;
  bool no_responders = false;
  std::string name;
  std::string lang;
  std::string version;
  std::string user;
  std::string password;
  std::string auth_token;
};

// Members that are not known, or not of the right kind, are passed over. nullopt: not a JSON object.
std::optional<ConnectOptions> parse_connect_options(std::string_view json);

}  // namespace bascule::nats

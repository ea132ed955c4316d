#include "src/nats/connect_options.h"

#include <utility>
#include <vector>

#include "src/nats/json.h"

namespace bascule::nats {

std::optional<ConnectOptions> parse_connect_options(std::string_view json) {
  std::vector<JsonMember> members;
  if (!parse_json_object(json, members)) return std::nullopt;
  ConnectOptions out;
  const std::pair<std::string_view, bool*> flags[] = {{"verbose", &out.verbose},
                                                      {"pedantic", &out.pedantic},
                                                      {"echo", &out.echo},
                                                      {"headers", &out.headers},
                                                      {"no_responders", &out.no_responders}};
  const std::pair<std::string_view, std::string*> texts[] = {
      {"name", &out.name}, {"lang", &out.lang},     {"version", &out.version},
      {"user", &out.user}, {"pass", &out.password}, {"auth_token", &out.auth_token}};
  for (JsonMember& member : members) {
    if (member.kind == JsonMember::Kind::boolean) {
      for (const auto& [name, field] : flags) {
        if (name == member.name) *field = member.boolean;
      }
    } else if (member.kind == JsonMember::Kind::string) {
      for (const auto& [name, field] : texts) {
        if (name == member.name) *field = member.text;
      }
    }
  }
  return out;
}

}  // namespace bascule::nats

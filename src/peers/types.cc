#include "src/peers/types.h"

namespace bascule::peers {

std::string_view channel_name(Channel channel) {
  switch (channel) {
    case Channel::control: return "control";
    case Channel::replication: return "replication";
    case Channel::bulk: return "bulk";
  }
  return "?";
}

std::string Identity::to_string() const {
  return "node " + node.to_string() + " (storage " + storage.to_string().substr(0, 8) +
         ", incarnation " + incarnation.to_string() + ")";
}

}  // namespace bascule::peers

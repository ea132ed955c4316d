// The client library's Transport over Cap'n Proto RPC.
#pragma once

#include <memory>

#include "src/client/transport.h"
#include "src/env/loop.h"
#include "src/env/network.h"

namespace bascule::rpc {

// `loop` and `network` outlive the transport and its connections.
std::unique_ptr<client::Transport> make_rpc_transport(env::Loop& loop, env::Network& network);

}  // namespace bascule::rpc

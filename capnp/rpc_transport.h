// The client library's Transport over Cap'n Proto RPC.
#pragma once

#include <memory>

#include "src/client/transport.h"
#include "src/env/loop.h"
#include "src/env/network.h"
#include "src/env/tls.h"

namespace bascule::rpc {

// `loop`, `network` and `tls` outlive the transport and its connections. With `tls` every connection is
// secured before anything is said, and the host of the broker's address is the name that its certificate
// must be for; null: in the open.
std::unique_ptr<client::Transport> make_rpc_transport(env::Loop& loop, env::Network& network,
                                                      env::TlsClient* tls = nullptr);

}  // namespace bascule::rpc

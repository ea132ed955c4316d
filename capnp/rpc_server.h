// The RPC port of a broker: broker::Api for Cap'n Proto clients (bascule.capnp).
//
// Everything has a bound (RpcLimits); what a connection does wrong costs that connection only. When a
// connection ends, its subscriptions end with it and the answers of its open calls are dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/base/trace.h"
#include "src/broker/api.h"
#include "src/client/transport.h"
#include "src/env/loop.h"
#include "src/env/network.h"
#include "src/env/tls.h"

namespace bascule::rpc {

struct RpcLimits {
  uint32_t connections_max = 4096;  // more are closed at once
  // Calls of one connection that are not answered; more get `overloaded`.
  uint32_t calls_in_flight_max = 4096;
  // Bytes of a connection's calls that are not answered; more are not read.
  size_t call_bytes_in_flight_max = 64 << 20;
  uint32_t subscriptions_max = 4096;  // per connection; more get `overloaded`
  // What one subscription may have on its way to the client, whatever credit it was given. Further
  // deliveries wait while the connection's queue is over half of `queued_bytes_max`.
  size_t subscription_bytes_max = 1 << 20;
  size_t queued_bytes_max = 16 << 20;    // per connection
  Duration login_timeout = seconds(10);  // and as much for a TLS handshake before it
  // The deadline of a request that names none, and the longest that one may name.
  Duration request_budget_max = seconds(300);
};

struct RpcServerOptions {
  env::Address listen = {};  // port 0 picks one
  std::string token = {};    // empty: clients come without credentials, from loopback only
  // Every connection begins with a TLS handshake; null: in the open. Outlives the server. Where it requires
  // an identity, that takes the place of a token for a port that others can reach.
  env::TlsServer* tls = nullptr;
  NodeId node = {};
  // Where clients reach the brokers of the cluster; called for each answer that says so.
  std::function<std::vector<client::NodeEndpoint>()> nodes = {};
  // Who leads a partition, for the error of a broker that does not. Empty: no hint is given.
  std::function<std::optional<client::LeaderHint>(PartitionId)> leader = {};
  RpcLimits limits = {};
};

// `invalid` when the port could be reached from another machine and there is neither a token nor TLS that
// asks for certificates. Loopback is what env::is_loopback says: a name that is not "localhost" is not taken on trust.
Status check_rpc_options(const RpcServerOptions& options);

class RpcServer {
 public:
  // Stops listening and breaks the connections.
  virtual ~RpcServer() = default;
  // With the port that was picked.
  virtual const env::Address& address() const = 0;
  virtual size_t connections() const = 0;
  // No new connections; those that are there stay. For draining.
  virtual void stop_accepting() = 0;
};

// Listens. All references outlive the server. Errors: those of check_rpc_options and Network::listen.
void start_rpc_server(env::Loop& loop, env::Network& network, broker::Api& api, Tracer& trace,
                      RpcServerOptions options, env::Done<std::unique_ptr<RpcServer>> done);

}  // namespace bascule::rpc

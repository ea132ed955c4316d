// All TLS of one broker: its certificates for clients and for the other brokers, read together and read
// again together.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "io/tls_context.h"
#include "src/base/ids.h"
#include "src/base/trace.h"

namespace bascule::io {

// One certificate for all listeners, and for calling other brokers.
struct NodeTlsOptions {
  TlsServerFiles files;  // of no use where all have it off
  env::TlsMode nats = env::TlsMode::off;
  // Neither of these is ever `allow`: an RPC client says nothing before it is sure, nor does a broker.
  env::TlsMode rpc = env::TlsMode::off;
  env::TlsMode peers = env::TlsMode::off;
  std::string peer_ca;    // PEM: who may have signed other brokers' certificates
  std::string peer_name;  // their names, "{node}" for the node id (peer_certificate.h)

  bool for_clients() const { return nats != env::TlsMode::off || rpc != env::TlsMode::off; }
  bool for_peers() const { return peers != env::TlsMode::off; }
};

class NodeTls {
 public:
  // Errors: `invalid`, naming the file and what is wrong with it; also where other brokers would refuse
  // this one because its certificate has not the name of `node`.
  static Result<std::unique_ptr<NodeTls>> open(env::Loop& loop, const NodeTlsOptions& options,
                                               NodeId node);

  // Null where nobody speaks it.
  env::TlsServer* clients() { return clients_.get(); }
  env::TlsServer* peers_listen() { return peers_listen_.get(); }
  env::TlsClient* peers_call() { return peers_call_.get(); }

  // Reads all files again; new connections get what they say. Errors as `open`; then nothing has changed.
  Status reload();
  // Says in the log which certificate is in use.
  void describe(Tracer& trace) const;

 private:
  NodeTls(env::Loop& loop, NodeTlsOptions options, NodeId node)
      : loop_(loop), options_(std::move(options)), node_(node) {}

  env::Loop& loop_;
  NodeTlsOptions options_;
  NodeId node_;
  std::unique_ptr<TlsServerContext> clients_;
  std::unique_ptr<TlsServerContext> peers_listen_;
  std::unique_ptr<TlsClientContext> peers_call_;
};

}  // namespace bascule::io

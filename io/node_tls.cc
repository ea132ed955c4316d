#include "io/node_tls.h"

#include <utility>

#include "io/peer_certificate.h"

namespace bascule::io {

Result<std::unique_ptr<NodeTls>> NodeTls::open(env::Loop& loop, const NodeTlsOptions& options,
                                               NodeId node) {
  std::unique_ptr<NodeTls> out(new NodeTls(loop, options, node));
  const TlsServerFiles& files = options.files;
  if (options.for_clients()) {
    BASCULE_TRY_ASSIGN(out->clients_, TlsServerContext::open(loop, files));
  }
  if (!options.for_peers()) return out;
  BASCULE_TRY_ASSIGN(out->peers_listen_,
                     TlsServerContext::open(loop, {files.certificate, files.key, options.peer_ca,
                                                   ClientCertificates::required}));
  BASCULE_TRY_ASSIGN(out->peers_call_,
                     TlsClientContext::open(loop, {options.peer_ca, files.certificate, files.key,
                                                   ServerNames::left_to_caller}));
  const std::string name = broker_name(options.peer_name, node);
  const env::TlsIdentity self = out->peers_listen_->identity();
  if (!self.has_name(name))
    return fail(Errc::invalid, "certificate " + files.certificate + ": is for " + self.listed() +
                                   ", and other brokers would expect \"" + name +
                                   "\" (tls_peer_name)");
  return out;
}

Status NodeTls::reload() {
  BASCULE_TRY_ASSIGN(const auto fresh, open(loop_, options_, node_));
  if (clients_) clients_->adopt(*fresh->clients_);
  if (peers_listen_) peers_listen_->adopt(*fresh->peers_listen_);
  if (peers_call_) peers_call_->adopt(*fresh->peers_call_);
  return {};
}

void NodeTls::describe(Tracer& trace) const {
  const TlsServerContext& any = clients_ ? *clients_ : *peers_listen_;
  trace.message(any.expired() ? TraceLevel::warning : TraceLevel::info, "tls", any.describe());
}

}  // namespace bascule::io

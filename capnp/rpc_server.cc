#include "capnp/rpc_server.h"

#include <map>
#include <utility>

#include "capnp/kj_guest.h"
#include "capnp/rpc_session.h"
#include "src/base/assert.h"

namespace bascule::rpc {
namespace {

class Server final : public RpcServer {
 public:
  Server(env::Loop& loop, broker::Api& api, Tracer& trace, RpcServerOptions options)
      : options_(std::move(options)), guest_(loop), context_{guest_, api, trace, options_} {}

  ~Server() noexcept override {
    listener_.reset();
    handshakes_.clear();
    sessions_.clear();
  }

  void listen(env::Network& network, env::Done<void> done) {
    network.listen(options_.listen, alive_.wrap([this](std::unique_ptr<env::Stream> stream) {
      accept(std::move(stream));
    }),
                   alive_.wrap([this, done = std::move(done)](
                                   Result<std::unique_ptr<env::Listener>> listener) mutable {
                     if (!listener) return done(fail(std::move(listener.error())));
                     listener_ = std::move(*listener);
                     address_ = listener_->address();
                     done({});
                   }));
  }

  const env::Address& address() const override { return address_; }
  size_t connections() const override { return sessions_.size(); }
  void stop_accepting() override { listener_.reset(); }

 private:
  void accept(std::unique_ptr<env::Stream> stream) {
    if (sessions_.size() + handshakes_.size() >= options_.limits.connections_max) {
      context_.trace.probe("rpc.connections_full");
      return;
    }
    const uint64_t number = ++last_session_;
    if (options_.tls == nullptr) return begin_session(number, std::move(stream), {});
    env::TlsHandshake handshake;
    handshake.timeout = options_.limits.login_timeout;
    handshakes_.emplace(number,
                        options_.tls->accept(std::move(stream), std::move(handshake),
                                             alive_.wrap([this, number](const Status& status) {
                                               secured(number, status);
                                             })));
  }

  void secured(uint64_t number, const Status& status) {
    auto stream = std::move(handshakes_.extract(number).mapped());
    if (!status) {
      context_.trace.probe("rpc.tls_refused");
      // Who only goes away again is a health check or a port scan.
      const TraceLevel level =
          status.error().code == Errc::connection_lost ? TraceLevel::debug : TraceLevel::warning;
      if (context_.trace.wants(level))
        context_.trace.message(level, "rpc",
                               stream->peer().to_string() + ": " + status.error().context);
      return;
    }
    broker::Principal who{std::string(stream->identity().name())};
    begin_session(number, std::move(stream), std::move(who));
  }

  void begin_session(uint64_t number, std::unique_ptr<env::Stream> stream, broker::Principal who) {
    auto& session =
        sessions_
            .emplace(number, std::make_unique<Session>(context_, std::move(stream), std::move(who)))
            .first->second;
    session->start(alive_.wrap([this, number] { sessions_.erase(number); }));
  }

  RpcServerOptions options_;
  KjGuest guest_;
  ServerContext context_;
  std::unique_ptr<env::Listener> listener_;
  env::Address address_;
  uint64_t last_session_ = 0;
  std::map<uint64_t, std::unique_ptr<env::TlsStream>>
      handshakes_;  // connections before they are secured
  std::map<uint64_t, std::unique_ptr<Session>> sessions_;
  env::Scope alive_;
};

}  // namespace

Status check_rpc_options(const RpcServerOptions& options) {
  const bool certified = options.tls != nullptr && options.tls->requires_identity();
  if (options.token.empty() && !certified && !env::is_loopback(options.listen))
    return fail(Errc::invalid,
                "the RPC port " + options.listen.to_string() +
                    " can be reached from other machines and needs a token or client certificates");
  return {};
}

void start_rpc_server(env::Loop& loop, env::Network& network, broker::Api& api, Tracer& trace,
                      RpcServerOptions options, env::Done<std::unique_ptr<RpcServer>> done) {
  if (Status status = check_rpc_options(options); !status) {
    loop.post([done = std::move(done), status = std::move(status)]() mutable {
      done(fail(std::move(status.error())));
    });
    return;
  }
  // Owned by the completion of listen() until it has its answer.
  auto server = std::make_unique<Server>(loop, api, trace, std::move(options));
  Server& listening = *server;
  listening.listen(
      network, [server = std::move(server), done = std::move(done)](Result<void> result) mutable {
        if (!result) return done(fail(std::move(result.error())));
        done(std::move(server));
      });
}

}  // namespace bascule::rpc

#include "io/cli/client_session.h"

#include "capnp/rpc_transport.h"
#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "io/cli/config.h"
#include "io/cli/system.h"
#include "io/entropy.h"
#include "io/tls_context.h"
#include "src/model/units.h"

namespace bascule::cli {

// Members go in the reverse of this order.
struct ClientSession::Parts {
  io::AsioLoop loop;
  io::AsioNetwork network{loop};
  Prng random{io::random_seed()};
  std::unique_ptr<io::TlsClientContext> tls;  // null: in the open
  std::unique_ptr<client::Transport> transport;
  std::unique_ptr<client::Client> client;
  Duration request_timeout;
};

Result<std::unique_ptr<ClientSession>> ClientSession::open(const ConnectOptions& options) {
  client::ClientOptions client_options;
  BASCULE_TRY_ASSIGN(client_options.servers, parse_addresses(options.server));
  if (client_options.servers.empty()) return fail(Errc::invalid, "no server is named");
  BASCULE_TRY_ASSIGN(client_options.token, secret(options.token));
  BASCULE_TRY_ASSIGN(client_options.request_timeout, model::parse_duration(options.timeout));
  const Duration request_timeout = client_options.request_timeout;
  auto parts = std::make_unique<Parts>();
  if (options.secured()) {
    BASCULE_TRY_ASSIGN(parts->tls,
                       io::TlsClientContext::open(
                           parts->loop, {options.tls_ca, options.tls_cert, options.tls_key}));
  }
  parts->transport = rpc::make_rpc_transport(parts->loop, parts->network, parts->tls.get());
  parts->client =
      client::make_client(parts->loop, *parts->transport, parts->random, std::move(client_options));
  parts->request_timeout = request_timeout;
  return std::unique_ptr<ClientSession>(new ClientSession(std::move(parts)));
}

ClientSession::ClientSession(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ClientSession::~ClientSession() = default;
client::Client& ClientSession::client() { return *parts_->client; }
io::AsioLoop& ClientSession::loop() { return parts_->loop; }
void ClientSession::run_loop() { parts_->loop.run(); }
void ClientSession::stop_loop() { parts_->loop.stop(); }
Duration ClientSession::request_timeout() const { return parts_->request_timeout; }
MonotonicTime ClientSession::now() const { return parts_->loop.now(); }
void ClientSession::pause(Duration duration) {
  (void)await<void>([this, duration](env::Done<void> done) {
    parts_->loop.after(duration, [done = std::move(done)]() mutable { done({}); });
  });
}

}  // namespace bascule::cli

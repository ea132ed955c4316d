// The RPC path under TLS, over real sockets.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "capnp/rpc_server.h"
#include "capnp/rpc_transport.h"
#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "io/tls_authority.h"
#include "io/tls_context.h"
#include "src/client/client.h"
#include "tests/capnp/fake_api.h"
#include "tests/capnp/rpc_world.h"

namespace bascule::rpc {
namespace {

constexpr Duration k_patience = seconds(60);

struct LogTrace final : Tracer {
  void probe(std::string_view) override {}
  void message(TraceLevel, std::string_view area, std::string_view text) override {
    lines += std::string(area) + ": " + std::string(text) + "\n";
  }
  bool wants(TraceLevel) const override { return true; }
  std::string lines;
};

class RpcTls : public testing::Test {
 protected:
  RpcTls() {
    directory_ = (std::filesystem::current_path() / "rpc_tls_XXXXXX").string();
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    auto made = io::make_tls_files(directory_, {.client = "alice"});
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    files_ = *made;
  }
  ~RpcTls() override {
    client_.reset();
    transport_.reset();
    server_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  enum class Tls : uint8_t { off, on };
  void start(Tls tls, io::ClientCertificates clients = io::ClientCertificates::none) {
    auto made =
        io::TlsServerContext::open(loop_, {files_.certificate, files_.key, files_.ca, clients});
    ASSERT_TRUE(made.has_value());
    server_tls_ = std::move(*made);
    RpcServerOptions options{.listen = {"127.0.0.1", 0}, .node = NodeId(1)};
    if (tls == Tls::on) options.tls = server_tls_.get();
    start_rpc_server(loop_, network_, api_, trace_, std::move(options),
                     [this](Result<std::unique_ptr<RpcServer>> result) {
                       ASSERT_TRUE(result) << result.error().to_string();
                       server_ = std::move(*result);
                     });
    ASSERT_TRUE(loop_.run_until([&] { return server_ != nullptr; }, k_patience));
  }
  void use(std::optional<io::TlsClientFiles> files) {
    client_.reset();
    transport_.reset();
    client_tls_.reset();
    if (files) {
      auto made = io::TlsClientContext::open(loop_, *files);
      ASSERT_TRUE(made.has_value());
      client_tls_ = std::move(*made);
    }
    transport_ = make_rpc_transport(loop_, network_, client_tls_.get());
  }
  // Connects and logs in; the error where that fails.
  Status connect(Duration timeout = seconds(20)) {
    std::optional<Result<std::unique_ptr<client::Connection>>> result;
    transport_->connect(server_->address(), "", timeout,
                        [&](auto connected) { result.emplace(std::move(connected)); });
    if (!loop_.run_until([&] { return result.has_value(); }, k_patience))
      return fail(Errc::internal, "never completed");
    if (!*result) return fail(result->error());
    return {};
  }
  io::TlsClientFiles trusting() const { return {.ca = files_.ca}; }

  std::string directory_;
  io::TlsFiles files_;
  io::AsioLoop loop_;
  io::AsioNetwork network_{loop_};
  LogTrace trace_;
  Prng random_{1};
  FakeApi api_{loop_};
  std::unique_ptr<io::TlsServerContext> server_tls_;
  std::unique_ptr<io::TlsClientContext> client_tls_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<client::Transport> transport_;
  std::unique_ptr<client::Client> client_;
};

TEST_F(RpcTls, what_is_published_comes_back) {
  start(Tls::on);
  use(trusting());
  client_ = client::make_client(loop_, *transport_, random_, {.servers = {server_->address()}});
  const StreamId stream = api_.add_stream("orders");
  const auto publisher = client_->publisher("orders", {});
  std::vector<std::string> values;
  for (int i = 0; i < 3000; ++i) {
    values.push_back(std::to_string(i) + std::string(static_cast<size_t>(i % 1700), 'x'));
    const model::Record record = record_of(values.back());
    ASSERT_TRUE(publisher->publish(model::view_of(record)));
  }
  std::optional<Status> flushed;
  publisher->flush([&](Status status) { flushed = std::move(status); });
  ASSERT_TRUE(loop_.run_until([&] { return flushed.has_value(); }, k_patience));
  EXPECT_TRUE(*flushed);
  EXPECT_EQ(api_.values(stream), values);
  Collector collector;
  const auto subscription = client_->subscribe(
      {.stream = "orders", .from = broker::FromEarliest{}, .until = broker::UntilLatest{}},
      collector);
  ASSERT_TRUE(loop_.run_until([&] { return collector.end.has_value(); }, k_patience));
  EXPECT_EQ(collector.values, values);
}

TEST_F(RpcTls, a_certificate_is_who_asks) {
  start(Tls::on, io::ClientCertificates::required);
  use(io::TlsClientFiles{files_.ca, files_.client_certificate, files_.client_key});
  client_ = client::make_client(loop_, *transport_, random_, {.servers = {server_->address()}});
  bool created = false;
  model::StreamConfig config;
  config.name = "orders";
  config.subjects = {"orders"};
  client_->create_stream(config, [&](const auto&) { created = true; });
  ASSERT_TRUE(loop_.run_until([&] { return created; }, k_patience));
  EXPECT_EQ(api_.last_principal(), "alice");
}

TEST_F(RpcTls, a_client_without_a_certificate_is_told_that_one_is_required) {
  start(Tls::on, io::ClientCertificates::required);
  use(trusting());
  const Status refused = connect();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::unauthenticated);
  EXPECT_NE(refused.error().context.find("certificate required"), std::string::npos)
      << refused.error().context;
  // The server says so once the client has taken its alert.
  ASSERT_TRUE(loop_.run_until([&] { return !trace_.lines.empty(); }, k_patience));
  EXPECT_NE(trace_.lines.find("the client showed no certificate"), std::string::npos)
      << trace_.lines;
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(RpcTls, plaintext_and_tls_name_each_other) {
  start(Tls::on);
  use(std::nullopt);
  const Status plain = connect();
  ASSERT_FALSE(plain.has_value());
  EXPECT_EQ(plain.error().code, Errc::unsupported);
  EXPECT_EQ(plain.error().context, "the other side speaks TLS, this one does not");
  // The server says so once the client has gone.
  ASSERT_TRUE(loop_.run_until([&] { return !trace_.lines.empty(); }, k_patience));
  EXPECT_NE(trace_.lines.find("the client speaks plaintext where TLS is required"),
            std::string::npos);
  server_.reset();
  start(Tls::off);
  use(trusting());
  const Status secret = connect();
  ASSERT_FALSE(secret.has_value());
  EXPECT_EQ(secret.error().code, Errc::unsupported);
  EXPECT_EQ(secret.error().context, "the server does not speak TLS here");
}

TEST_F(RpcTls, a_transport_may_go_in_the_middle_of_a_handshake) {
  start(Tls::on);
  for (int bursts = 0; bursts < 8; ++bursts) {
    use(trusting());
    bool called = false;
    transport_->connect(server_->address(), "", seconds(20), [&](const auto&) { called = true; });
    int n = 0;
    loop_.run_until([&] { return ++n > bursts || called; }, milliseconds(20));
    transport_.reset();
  }
  use(trusting());
  EXPECT_TRUE(connect().has_value());
  EXPECT_TRUE(loop_.run_until([&] { return server_->connections() == 0; }, k_patience));
}

TEST_F(RpcTls, a_port_that_others_can_reach_takes_certificates_for_authentication) {
  start(Tls::on, io::ClientCertificates::required);
  RpcServerOptions options{.listen = {"0.0.0.0", 0}};
  EXPECT_FALSE(check_rpc_options(options).has_value());
  options.tls = server_tls_.get();
  EXPECT_TRUE(check_rpc_options(options).has_value());
  server_.reset();
  start(Tls::on, io::ClientCertificates::optional);
  options.tls = server_tls_.get();
  EXPECT_FALSE(check_rpc_options(options).has_value());
}

}  // namespace
}  // namespace bascule::rpc

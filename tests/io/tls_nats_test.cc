// TLS on the NATS port: nats.c as the client, and the protocol by hand.
#include "src/base/trace.h"
#include "tests/io/running_nats_server.h"
#include "tests/io/tls_harness.h"

namespace bascule {
namespace {

using io::ClientCertificates;

// nats.c's server, with certificates made for the test.
class TlsNats : public testing::Test {
 protected:
  TlsNats() {
    directory_.write("ca.pem", ours_.certificate());
    directory_.issue(ours_, "server", io::server_certificate());
    directory_.issue(ours_, "client", io::client_certificate("alice"));
  }

  void start(env::TlsMode mode, ClientCertificates clients = ClientCertificates::none,
             nats::ServerOptions options = {}) {
    server_ =
        std::make_unique<RunningServer>(options, [&](env::Loop& loop, nats::ServerOptions& to) {
          to.tls_mode = mode;
          auto made = io::TlsServerContext::open(
              loop, {directory_.file("server.pem"), directory_.file("server-key.pem"),
                     directory_.file("ca.pem"), clients});
          ASSERT_TRUE(made.has_value()) << made.error().to_string();
          tls_ = std::move(*made);
          to.tls = tls_.get();
        });
  }

  // Options of a client that trusts `ca` and, where it is named, shows a certificate.
  Options options(const std::string& ca, const std::string& certificate = "") {
    natsOptions* made = nullptr;
    EXPECT_EQ(natsOptions_Create(&made), NATS_OK);
    EXPECT_EQ(natsOptions_SetURL(made, server_->url.c_str()), NATS_OK);
    EXPECT_EQ(natsOptions_SetAllowReconnect(made, false), NATS_OK);
    if (ca.empty()) return Options(made);
    EXPECT_EQ(natsOptions_SetSecure(made, true), NATS_OK);
    EXPECT_EQ(natsOptions_LoadCATrustedCertificates(made, directory_.file(ca).c_str()), NATS_OK);
    EXPECT_EQ(natsOptions_SetExpectedHostname(made, "localhost"), NATS_OK);
    if (!certificate.empty()) {
      EXPECT_EQ(
          natsOptions_LoadCertificatesChain(made, directory_.file(certificate + ".pem").c_str(),
                                            directory_.file(certificate + "-key.pem").c_str()),
          NATS_OK);
    }
    return Options(made);
  }
  Connection connect(const Options& by) {
    natsConnection* connection = nullptr;
    status_ = natsConnection_Connect(&connection, by.get());
    return Connection(connection);
  }
  void expect_echo(Connection& connection, const std::string& text) {
    natsSubscription* made = nullptr;
    ASSERT_EQ(natsConnection_SubscribeSync(&made, connection.get(), "echo"), NATS_OK);
    const Subscription subscription(made);
    ASSERT_EQ(natsConnection_Publish(connection.get(), "echo", text.data(),
                                     static_cast<int>(text.size())),
              NATS_OK);
    natsMsg* got = nullptr;
    ASSERT_EQ(natsSubscription_NextMsg(&got, made, k_wait_ms), NATS_OK);
    const Msg msg(got);
    EXPECT_TRUE(std::string_view(natsMsg_GetData(got),
                                 static_cast<size_t>(natsMsg_GetDataLength(got))) == text);
  }
  nats::ServerStats stats() {
    return server_->in_loop([this] { return server_->server().statistics(); });
  }

  io::TlsDirectory directory_;
  io::TlsAuthority ours_ = io::authority("ours");
  std::unique_ptr<io::TlsServerContext> tls_;
  std::unique_ptr<RunningServer> server_;
  natsStatus status_ = NATS_OK;
};

TEST_F(TlsNats, a_client_library_upgrades_and_talks) {
  start(env::TlsMode::require);
  Connection connection = connect(options("ca.pem"));
  ASSERT_EQ(status_, NATS_OK) << natsStatus_GetText(status_);
  expect_echo(connection, "hello");
  expect_echo(connection, std::string(900'000, 'x'));
}

TEST_F(TlsNats, a_durable_publish_is_acknowledged_over_tls) {
  start(env::TlsMode::require);
  const StreamId stream = server_->add_stream("orders", {"orders.>"}, model::AnswerMode::on);
  Connection connection = connect(options("ca.pem"));
  ASSERT_EQ(status_, NATS_OK);
  natsMsg* reply = nullptr;
  ASSERT_EQ(natsConnection_RequestString(&reply, connection.get(), "orders.new", "one", k_wait_ms),
            NATS_OK);
  const Msg owned(reply);
  EXPECT_NE(std::string(natsMsg_GetData(reply)).find("\"seq\":1"), std::string::npos);
  EXPECT_EQ(server_->log(stream, 1).size(), 1u);
}

TEST_F(TlsNats, a_client_that_does_not_know_the_authority_does_not_connect) {
  start(env::TlsMode::require);
  directory_.write("other.pem", io::authority("other").certificate());
  EXPECT_EQ(connect(options("other.pem")), nullptr);
  EXPECT_EQ(status_, NATS_SSL_ERROR) << natsStatus_GetText(status_);
  for (int i = 0; i < 1000 && stats().tls_failures == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(stats().tls_failures, 1u);
  EXPECT_NE(connect(options("ca.pem")), nullptr) << "others are not disturbed";
}

TEST_F(TlsNats, a_certificate_is_demanded_and_names_its_client) {
  start(env::TlsMode::require, ClientCertificates::required);
  EXPECT_EQ(connect(options("ca.pem")), nullptr);
  EXPECT_NE(status_, NATS_OK);
  Connection connection = connect(options("ca.pem", "client"));
  ASSERT_EQ(status_, NATS_OK) << natsStatus_GetText(status_);
  expect_echo(connection, "hello");
}

TEST_F(TlsNats, a_token_is_asked_for_after_the_handshake) {
  nats::ServerOptions with_token;
  with_token.auth_token = "sesame";
  start(env::TlsMode::require, ClientCertificates::none, with_token);
  EXPECT_EQ(connect(options("ca.pem")), nullptr);
  const Options known = options("ca.pem");
  ASSERT_EQ(natsOptions_SetToken(known.get(), "sesame"), NATS_OK);
  EXPECT_NE(connect(known), nullptr);
}

TEST_F(TlsNats, where_tls_is_allowed_a_client_chooses) {
  start(env::TlsMode::allow);
  Connection open = connect(options(""));
  ASSERT_EQ(status_, NATS_OK) << natsStatus_GetText(status_);
  expect_echo(open, "in the open");
}

TEST_F(TlsNats, certificates_change_under_a_connection_that_stays) {
  start(env::TlsMode::require);
  Connection old = connect(options("ca.pem"));
  ASSERT_EQ(status_, NATS_OK);
  const io::TlsAuthority next = io::authority("next");
  directory_.write("next.pem", next.certificate());
  directory_.issue(next, "server", io::server_certificate());
  ASSERT_TRUE(server_->in_loop([this] { return tls_->reload().has_value(); }));
  EXPECT_EQ(connect(options("ca.pem")), nullptr);
  Connection renewed = connect(options("next.pem"));
  ASSERT_EQ(status_, NATS_OK);
  expect_echo(old, "still there");
  expect_echo(renewed, "new");
}

// --- By hand --------------------------------------------------------------------------------------

// The server on the test's own loop.
class TlsNatsByHand : public io::TlsTest {
 protected:
  struct LogTrace final : Tracer {
    void probe(std::string_view) override {}
    void message(TraceLevel, std::string_view area, std::string_view text) override {
      lines += std::string(area) + ": " + std::string(text) + "\n";
    }
    bool wants(TraceLevel) const override { return true; }
    std::string lines;
  };

  void start(nats::ServerOptions options, ClientCertificates clients = ClientCertificates::none) {
    auto made = io::make_disk(loop_, directory_.file("data"), io::DiskChoice::thread_pool);
    ASSERT_TRUE(made.has_value());
    disk_ = std::move(made->disk);
    tls_ = server(server_files(clients));
    options.tls = tls_.get();
    options.listen = {"127.0.0.1", 0};
    const env::World world{loop_, *disk_, network_, random_, trace_};
    broker_ = std::make_unique<FakeBroker>(world);
    recorder_ = std::make_unique<nats::Recorder>(world, *broker_, nats::RecorderOptions{});
    nats_ = std::make_unique<nats::Server>(world, options, *recorder_);
    bool started = false;
    nats_->start([&](const Status& status) { started = status.has_value(); });
    ASSERT_TRUE(until([&] { return started; }));
  }
  // Connects and gives INFO.
  std::string greeted() {
    plain_client_.reset();
    network_.connect(nats_->address(), seconds(10), [this](auto made) {
      if (made) plain_client_ = std::move(*made);
    });
    EXPECT_TRUE(until([this] { return plain_client_ != nullptr; }));
    return read(*plain_client_).value_or("nothing");
  }
  std::string read_all(env::Stream& from) {
    std::string out;
    while (true) {
      const auto part = read(from);
      if (!part || part->empty()) return out;
      out += *part;
    }
  }

  LogTrace trace_;
  Prng random_{3};
  std::unique_ptr<env::Disk> disk_;
  std::unique_ptr<io::TlsServerContext> tls_;
  std::unique_ptr<FakeBroker> broker_;
  std::unique_ptr<nats::Recorder> recorder_;
  std::unique_ptr<nats::Server> nats_;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(TlsNatsByHand, info_tells_what_is_asked_for) {
  nats::ServerOptions options;
  options.tls_mode = env::TlsMode::require;
  start(options, ClientCertificates::required);
  const std::string info = greeted();
  EXPECT_TRUE(contains(info, "\"tls_required\":true")) << info;
  EXPECT_TRUE(contains(info, "\"tls_verify\":true")) << info;
  EXPECT_TRUE(contains(info, "\"tls_available\":true")) << info;
}

TEST_F(TlsNatsByHand, info_of_a_port_that_allows_tls_does_not_require_it) {
  nats::ServerOptions options;
  options.tls_mode = env::TlsMode::allow;
  start(options);
  const std::string info = greeted();
  EXPECT_FALSE(contains(info, "tls_required")) << info;
  EXPECT_TRUE(contains(info, "\"tls_available\":true")) << info;
  // One client upgrades, the next one does not.
  const auto c = client();
  begin_client(*c);
  say(*client_.stream, "PING\r\n");
  EXPECT_EQ(read(*client_.stream).value_or("?"), "PONG\r\n");
  EXPECT_TRUE(client_.ok());
  (void)greeted();
  say(*plain_client_, "PING\r\n");
  EXPECT_EQ(read(*plain_client_).value_or("?"), "PONG\r\n");
}

TEST_F(TlsNatsByHand, plaintext_where_tls_is_required_is_refused_with_its_reason) {
  nats::ServerOptions options;
  options.tls_mode = env::TlsMode::require;
  start(options);
  (void)greeted();
  say(*plain_client_, "CONNECT {\"verbose\":false}\r\nPUB a 1\r\nx\r\n");
  EXPECT_EQ(read_all(*plain_client_), "-ERR 'Secure Connection - TLS Required'\r\n");
  EXPECT_TRUE(contains(trace_.lines, "the client speaks plaintext where TLS is required"));
  EXPECT_EQ(nats_->statistics().tls_failures, 1u);
  EXPECT_EQ(nats_->statistics().messages_in, 0u);
}

TEST_F(TlsNatsByHand, who_says_nothing_on_a_tls_port_is_not_waited_for) {
  nats::ServerOptions options;
  options.tls_mode = env::TlsMode::require;
  options.tls_timeout = milliseconds(20);
  start(options);
  (void)greeted();
  EXPECT_EQ(read_all(*plain_client_), "-ERR 'Secure Connection - TLS Required'\r\n");
  // The same in the middle of a handshake.
  (void)greeted();
  say(*plain_client_, std::string("\x16\x03\x01", 3));
  EXPECT_EQ(read_all(*plain_client_), "");
  EXPECT_TRUE(until([this] { return nats_->statistics().connections == 0; }));
}

TEST_F(TlsNatsByHand, a_server_that_stops_does_not_wait_for_handshakes) {
  nats::ServerOptions options;
  options.tls_mode = env::TlsMode::require;
  options.tls_timeout = seconds(60);
  start(options);
  (void)greeted();
  say(*plain_client_, std::string("\x16\x03\x01", 3));
  loop_.run_until([] { return false; }, milliseconds(10));
  bool stopped = false;
  nats_->stop(milliseconds(50), [&](const Status&) { stopped = true; });
  EXPECT_TRUE(loop_.run_until([&] { return stopped; }, seconds(20)));
}

}  // namespace
}  // namespace bascule

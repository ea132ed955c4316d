// Who is let in, who is not, and what each side is told.
#include <openssl/ssl.h>

#include "io/tls_stream.h"
#include "src/base/prng.h"
#include "tests/io/tls_harness.h"

namespace bascule::io {
namespace {

using TlsHandshakeTest = TlsTest;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(TlsHandshakeTest, both_sides_are_secured_and_talk) {
  const auto s = server();
  const auto c = client();
  handshake(*s, *c);
  ASSERT_TRUE(server_.ok() && client_.ok()) << server_.why() << client_.why();
  EXPECT_EQ(client_.stream->protocol(), "TLSv1.3");
  EXPECT_EQ(client_.stream->identity().name(), "broker");
  EXPECT_EQ(client_.stream->identity().dns, std::vector<std::string>{"localhost"});
  EXPECT_EQ(server_.stream->identity(), env::TlsIdentity{});
  say(*client_.stream, "ping");
  EXPECT_EQ(read(*server_.stream).value_or("nothing"), "ping");
  say(*server_.stream, "pong");
  EXPECT_EQ(read(*client_.stream).value_or("nothing"), "pong");
}

TEST_F(TlsHandshakeTest, a_name_is_verified_as_well_as_an_address) {
  const auto s = server();
  const auto c = client();
  handshake(*s, *c, "localhost");
  EXPECT_TRUE(client_.ok()) << client_.why();
  handshake(*s, *c, "example.org");
  EXPECT_EQ(client_.code(), Errc::unauthenticated);
  EXPECT_TRUE(contains(client_.why(), "not for \"example.org\"")) << client_.why();
  EXPECT_EQ(server_.code(), Errc::unauthenticated) << "the client's alert says why";
  handshake(*s, *c, "127.0.0.2");
  EXPECT_EQ(client_.code(), Errc::unauthenticated);
  EXPECT_TRUE(contains(client_.why(), "not for \"127.0.0.2\"")) << client_.why();
}

TEST_F(TlsHandshakeTest, a_server_of_another_authority_is_refused) {
  const TlsAuthority theirs = authority("theirs");
  directory_.issue(theirs, "stranger", server_certificate());
  const auto s = server({.certificate = file("stranger.pem"), .key = file("stranger-key.pem")});
  const auto c = client();
  handshake(*s, *c);
  EXPECT_EQ(client_.code(), Errc::unauthenticated);
  EXPECT_TRUE(contains(client_.why(), "the server's certificate: unable to get local issuer"))
      << client_.why();
  EXPECT_EQ(server_.code(), Errc::unauthenticated);
  EXPECT_TRUE(contains(server_.why(), "unknown ca")) << server_.why();
}

TEST_F(TlsHandshakeTest, an_expired_certificate_and_one_of_the_future_are_refused) {
  auto options = server_certificate();
  options.valid_from = seconds(-7200);
  options.valid_until = seconds(-3600);
  directory_.issue(ours_, "old", options);
  options.valid_from = seconds(3600);
  options.valid_until = seconds(7200);
  directory_.issue(ours_, "early", options);
  const auto c = client();
  const auto old = server({.certificate = file("old.pem"), .key = file("old-key.pem")});
  EXPECT_TRUE(contains(old->describe(), "EXPIRED")) << old->describe();
  handshake(*old, *c);
  EXPECT_EQ(client_.code(), Errc::unauthenticated);
  EXPECT_TRUE(contains(client_.why(), "expired")) << client_.why();
  EXPECT_TRUE(contains(server_.why(), "expired")) << server_.why();
  const auto early = server({.certificate = file("early.pem"), .key = file("early-key.pem")});
  handshake(*early, *c);
  EXPECT_TRUE(contains(client_.why(), "not yet valid")) << client_.why();
}

TEST_F(TlsHandshakeTest, a_clients_certificate_is_no_servers) {
  const auto s = server({.certificate = file("client.pem"), .key = file("client-key.pem")});
  const auto c = client();
  handshake(*s, *c);
  EXPECT_EQ(client_.code(), Errc::unauthenticated);
}

TEST_F(TlsHandshakeTest, a_client_shows_who_it_is) {
  const auto s = server(server_files(ClientCertificates::required));
  EXPECT_TRUE(s->requires_identity());
  const auto c = client_with("client");
  handshake(*s, *c);
  ASSERT_TRUE(server_.ok() && client_.ok()) << server_.why() << client_.why();
  EXPECT_EQ(server_.stream->identity().name(), "alice");
}

TEST_F(TlsHandshakeTest, a_client_without_a_certificate_is_refused_where_one_is_asked_for) {
  const auto s = server(server_files(ClientCertificates::required));
  const auto c = client();
  handshake(*s, *c);
  EXPECT_EQ(server_.code(), Errc::unauthenticated);
  EXPECT_EQ(server_.why(), "the client showed no certificate");
  // TLS 1.3: the client's handshake was over before the server could object.
  ASSERT_TRUE(client_.ok());
  const auto answer = read(*client_.stream);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Errc::unauthenticated);
  EXPECT_TRUE(contains(answer.error().context, "certificate required")) << answer.error().context;
}

TEST_F(TlsHandshakeTest, a_client_of_another_authority_is_refused_also_where_none_is_required) {
  const TlsAuthority theirs = authority("theirs");
  directory_.issue(theirs, "mallory", client_certificate("alice"));
  for (const auto mode : {ClientCertificates::optional, ClientCertificates::required}) {
    const auto s = server(server_files(mode));
    const auto c = client_with("mallory");
    handshake(*s, *c);
    EXPECT_EQ(server_.code(), Errc::unauthenticated);
    EXPECT_TRUE(contains(server_.why(), "the client's certificate: ")) << server_.why();
    const auto answer = read(*client_.stream);
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, Errc::unauthenticated);
  }
  const auto s = server(server_files(ClientCertificates::optional));
  EXPECT_FALSE(s->requires_identity());
  const auto c = client();
  handshake(*s, *c);
  EXPECT_TRUE(server_.ok());
  EXPECT_TRUE(server_.stream->identity().name().empty());
}

// A context of OpenSSL's own, without our minimum.
class VersionClient {
 public:
  VersionClient(env::Loop& loop, int version)
      : loop_(loop), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(context_.get(), version);
    SSL_CTX_set_max_proto_version(context_.get(), version);
    // OpenSSL 3 speaks the old versions at this level alone.
    SSL_CTX_set_cipher_list(context_.get(), "DEFAULT:@SECLEVEL=0");
  }
  std::unique_ptr<env::TlsStream> connect(std::unique_ptr<env::Stream> stream,
                                          env::Done<void> done) {
    return make_tls_stream(loop_, std::move(stream),
                           TlsSession::client(*context_, "127.0.0.1", ServerNames::checked), {},
                           std::move(done));
  }

 private:
  env::Loop& loop_;
  SslContextPtr context_;
};

TEST_F(TlsHandshakeTest, versions_before_1_2_are_refused_and_1_2_is_not) {
  const auto s = server();
  const auto try_version = [&](int version) {
    VersionClient old(loop_, version);
    connect_plain();
    begin_server(*s);
    client_ = {};
    client_.stream = old.connect(std::move(plain_client_),
                                 [this](Status status) { client_.secured = std::move(status); });
    ASSERT_TRUE(until([this] { return server_.secured && client_.secured; }));
  };
  try_version(TLS1_1_VERSION);
  EXPECT_EQ(server_.code(), Errc::unsupported);
  EXPECT_TRUE(contains(server_.why(), "unsupported protocol")) << server_.why();
  EXPECT_EQ(client_.code(), Errc::unsupported);
  EXPECT_TRUE(contains(client_.why(), "protocol version")) << client_.why();
  try_version(TLS1_2_VERSION);
  ASSERT_TRUE(server_.ok() && client_.ok()) << server_.why() << client_.why();
  EXPECT_EQ(server_.stream->protocol(), "TLSv1.2");
  say(*client_.stream, "old and good");
  EXPECT_EQ(read(*server_.stream).value_or("nothing"), "old and good");
}

TEST_F(TlsHandshakeTest, plaintext_on_a_tls_port_is_named) {
  const auto s = server();
  connect_plain();
  begin_server(*s);
  say(*plain_client_, "CONNECT {}\r\n");
  const auto answer = read(*plain_client_);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ((*answer)[0], 0x15) << "an alert, for whoever understands it";
  plain_client_.reset();
  ASSERT_TRUE(until([this] { return server_.secured.has_value(); }));
  EXPECT_EQ(server_.code(), Errc::unsupported);
  EXPECT_EQ(server_.why(), "the client speaks plaintext where TLS is required");
}

TEST_F(TlsHandshakeTest, a_plaintext_server_is_named) {
  const auto c = client();
  connect_plain();
  begin_client(*c);
  say(*plain_server_, "INFO {}\r\n");
  ASSERT_TRUE(read(*plain_server_).has_value());
  plain_server_.reset();
  ASSERT_TRUE(until([this] { return client_.secured.has_value(); }));
  EXPECT_EQ(client_.code(), Errc::unsupported);
  EXPECT_EQ(client_.why(), "the server does not speak TLS here");
}

TEST_F(TlsHandshakeTest, who_says_nothing_is_given_up) {
  const auto s = server();
  connect_plain();
  begin_server(*s, {.timeout = milliseconds(20)});
  ASSERT_TRUE(until([this] { return server_.secured.has_value(); }));
  EXPECT_EQ(server_.code(), Errc::deadline_exceeded);
}

TEST_F(TlsHandshakeTest, who_goes_away_in_the_middle_is_lost) {
  const auto s = server();
  connect_plain();
  begin_server(*s);
  say(*plain_client_, std::string("\x16\x03\x01\x02\x00\x01", 6));
  plain_client_->shutdown();
  ASSERT_TRUE(until([this] { return server_.secured.has_value(); }));
  EXPECT_EQ(server_.code(), Errc::connection_lost);
}

// Each of these costs its connection and nothing else.
TEST_F(TlsHandshakeTest, rubbish_costs_its_connection_only) {
  const auto s = server();
  Prng random(11);
  for (int i = 0; i < 50; ++i) {
    connect_plain();
    begin_server(*s);
    std::string rubbish{'\x16', '\x03', '\x01', '\x00', static_cast<char>(random.below(256))};
    for (uint64_t n = random.below(600); n > 0; --n)
      rubbish += static_cast<char>(random.below(256));
    say(*plain_client_, rubbish);
    plain_client_->shutdown();
    ASSERT_TRUE(until([this] { return server_.secured.has_value(); }));
    EXPECT_FALSE(server_.ok());
  }
  const auto c = client();
  handshake(*s, *c);
  EXPECT_TRUE(server_.ok());
}

}  // namespace
}  // namespace bascule::io

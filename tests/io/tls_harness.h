// Certificates made for a test, and pairs of streams over real sockets of this machine.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "io/tls_authority.h"
#include "io/tls_context.h"

namespace bascule::io {

inline constexpr Duration k_tls_patience = seconds(30);

// A directory of certificates, removed at the end.
class TlsDirectory {
 public:
  TlsDirectory() {
    std::string pattern = BASCULE_BINARY_DIR "/tls_test_XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~TlsDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TlsDirectory(const TlsDirectory&) = delete;
  TlsDirectory& operator=(const TlsDirectory&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name), std::ios::binary | std::ios::trunc) << text;
    return file(name);
  }
  // Writes NAME.pem and NAME-key.pem.
  void issue(const TlsAuthority& by, const std::string& name, TlsCertificateOptions options) const {
    if (options.common_name.empty()) options.common_name = name;
    const auto made = by.issue(options);
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
    write(name + ".pem", made->certificate);
    write(name + "-key.pem", made->key);
  }

 private:
  std::string path_;
};

inline TlsAuthority authority(const std::string& name) {
  auto made = TlsAuthority::create(name);
  EXPECT_TRUE(made.has_value());
  return std::move(*made);
}

inline TlsCertificateOptions server_certificate() {
  return {.common_name = "broker", .names = {"localhost", "127.0.0.1"}};
}
inline TlsCertificateOptions client_certificate(const std::string& name) {
  return {.common_name = name, .use = TlsCertificateOptions::Use::client};
}

// What became of one side's handshake.
struct TlsEnd {
  std::unique_ptr<env::TlsStream> stream;
  std::optional<Status> secured;

  bool ok() const { return secured && secured->has_value(); }
  Errc code() const { return secured && !*secured ? secured->error().code : Errc{}; }
  std::string why() const { return secured && !*secured ? secured->error().context : ""; }
};

// A loop, a network, an authority "ours" that has signed "server" and "client" in a directory.
class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    directory_.write("ca.pem", ours_.certificate());
    directory_.issue(ours_, "server", server_certificate());
    directory_.issue(ours_, "client", client_certificate("alice"));
  }

  std::string file(const std::string& name) const { return directory_.file(name); }
  TlsServerFiles server_files(ClientCertificates clients = ClientCertificates::none) const {
    return {file("server.pem"), file("server-key.pem"), file("ca.pem"), clients};
  }
  std::unique_ptr<TlsServerContext> server(TlsServerFiles files) {
    auto made = TlsServerContext::open(loop_, std::move(files));
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return made ? std::move(*made) : nullptr;
  }
  std::unique_ptr<TlsServerContext> server() { return server(server_files()); }
  std::unique_ptr<TlsClientContext> client(TlsClientFiles files) {
    auto made = TlsClientContext::open(loop_, std::move(files));
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return made ? std::move(*made) : nullptr;
  }
  std::unique_ptr<TlsClientContext> client() { return client({.ca = file("ca.pem")}); }
  std::unique_ptr<TlsClientContext> client_with(const std::string& name) {
    return client({file("ca.pem"), file(name + ".pem"), file(name + "-key.pem")});
  }

  template <class F>
  bool until(F predicate) {
    return loop_.run_until(predicate, k_tls_patience);
  }

  // Two ends of a plain connection.
  void connect_plain() {
    plain_server_.reset();
    plain_client_.reset();
    std::unique_ptr<env::Listener> listener;
    network_.listen(
        {"127.0.0.1", 0}, [this](std::unique_ptr<env::Stream> s) { plain_server_ = std::move(s); },
        [&](Result<std::unique_ptr<env::Listener>> made) { listener = std::move(*made); });
    ASSERT_TRUE(until([&] { return listener != nullptr; }));
    network_.connect(listener->address(), seconds(10),
                     [this](Result<std::unique_ptr<env::Stream>> made) {
                       if (made) plain_client_ = std::move(*made);
                     });
    ASSERT_TRUE(until([&] { return plain_client_ != nullptr && plain_server_ != nullptr; }));
  }
  void begin_server(env::TlsServer& by, env::TlsHandshake handshake = {}) {
    server_ = {};
    server_.stream = by.accept(std::move(plain_server_), std::move(handshake),
                               [this](Status s) { server_.secured = std::move(s); });
  }
  void begin_client(env::TlsClient& by, const std::string& name = "127.0.0.1",
                    env::TlsHandshake handshake = {}) {
    client_ = {};
    client_.stream = by.connect(std::move(plain_client_), name, std::move(handshake),
                                [this](Status s) { client_.secured = std::move(s); });
  }
  // Both handshakes to their ends.
  void handshake(env::TlsServer& s, env::TlsClient& c, const std::string& name = "127.0.0.1") {
    connect_plain();
    begin_server(s);
    begin_client(c, name);
    ASSERT_TRUE(until([this] { return server_.secured && client_.secured; }));
  }

  // One read of at most `bytes`.
  Result<std::string> read(env::Stream& from, size_t bytes = 65536) {
    auto buffer = std::make_shared<std::vector<uint8_t>>(bytes);
    auto result = std::make_shared<std::optional<Result<size_t>>>();
    from.read(*buffer, [buffer, result](Result<size_t> r) { result->emplace(std::move(r)); });
    if (!until([&] { return result->has_value(); })) return fail(Errc::internal, "never completed");
    if (!**result) return fail((*result)->error());
    return std::string(reinterpret_cast<const char*>(buffer->data()), ***result);
  }
  static void say(env::Stream& to, std::string_view text) {
    to.write({Slice::copy_of(as_bytes(text))}, [](const Status&) {});
  }

  TlsDirectory directory_;
  TlsAuthority ours_ = authority("ours");
  AsioLoop loop_;
  AsioNetwork network_{loop_};
  std::unique_ptr<env::Stream> plain_server_;
  std::unique_ptr<env::Stream> plain_client_;
  TlsEnd server_;
  TlsEnd client_;
};

}  // namespace bascule::io

// A secured stream carries what a plain one carries: in order, whole, in both directions, to its end.
#include <numeric>

#include "io/tls_stream.h"
#include "src/base/prng.h"
#include "tests/io/tls_harness.h"

namespace bascule::io {
namespace {

class TlsStreamTest : public TlsTest {
 protected:
  void SetUp() override {
    s_ = server();
    c_ = client();
    handshake(*s_, *c_);
    ASSERT_TRUE(server_.ok() && client_.ok());
  }
  // Reads `from` to its end, in reads of random sizes.
  Result<std::string> read_to_end(env::Stream& from) {
    std::string out;
    while (true) {
      auto part = read(from, 1 + static_cast<size_t>(random_.below(100'000)));
      if (!part) return fail(part.error());
      if (part->empty()) return out;
      out += *part;
    }
  }
  std::string random_text(size_t size) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random_.next());
    return out;
  }

  Prng random_{5};
  std::unique_ptr<TlsServerContext> s_;
  std::unique_ptr<TlsClientContext> c_;
};

TEST_F(TlsStreamTest, a_large_transfer_in_pieces_of_any_size_arrives_whole) {
  std::string sent;
  size_t completed = 0;
  size_t writes = 0;
  while (sent.size() < 8'000'000) {
    std::vector<Slice> pieces;
    for (uint64_t n = random_.below(5); n > 0; --n) {
      const size_t limit = random_.below(10) == 0 ? 500'000 : 2'000;
      const std::string piece = random_text(static_cast<size_t>(random_.below(limit)));
      sent += piece;
      pieces.push_back(Slice::copy_of(as_bytes(piece)));
    }
    ++writes;
    client_.stream->write(std::move(pieces), [&](const Status& status) {
      EXPECT_TRUE(status.has_value());
      ++completed;
    });
  }
  EXPECT_EQ(client_.stream->queued_bytes(), sent.size());
  client_.stream->shutdown();
  const auto got = read_to_end(*server_.stream);
  ASSERT_TRUE(got.has_value()) << got.error().to_string();
  EXPECT_TRUE(*got == sent) << got->size() << " bytes of " << sent.size();
  ASSERT_TRUE(until([&] { return completed == writes; }));
  EXPECT_EQ(client_.stream->queued_bytes(), 0u);
}

TEST_F(TlsStreamTest, both_directions_are_busy_at_once) {
  const std::string up = random_text(3'000'000);
  const std::string down = random_text(3'000'000);
  say(*client_.stream, up);
  client_.stream->shutdown();
  say(*server_.stream, down);
  server_.stream->shutdown();
  EXPECT_TRUE(read_to_end(*server_.stream).value_or("") == up);
  EXPECT_TRUE(read_to_end(*client_.stream).value_or("") == down);
}

// Who does not read holds up who writes, and nothing piles up below.
TEST_F(TlsStreamTest, a_reader_that_stands_still_leaves_the_bytes_with_the_writer) {
  const size_t size = 16 << 20;
  say(*client_.stream, std::string(size, 'x'));
  loop_.run_until([] { return false; }, milliseconds(50));
  EXPECT_GT(client_.stream->queued_bytes(), size / 2);
  client_.stream->shutdown();
  EXPECT_EQ(read_to_end(*server_.stream).value_or("").size(), size);
}

TEST_F(TlsStreamTest, one_direction_may_end_before_the_other) {
  client_.stream->shutdown();
  EXPECT_EQ(read(*server_.stream).value_or("?"), "");
  EXPECT_EQ(read(*server_.stream).value_or("?"), "") << "the end is told again";
  say(*server_.stream, "still here");
  EXPECT_EQ(read(*client_.stream).value_or("?"), "still here");
  std::optional<Status> late;
  client_.stream->write({Slice::copy_of(as_bytes("late"))}, [&](Status s) { late = std::move(s); });
  ASSERT_TRUE(until([&] { return late.has_value(); }));
  EXPECT_EQ(late->error().code, Errc::connection_lost);
}

TEST_F(TlsStreamTest, a_stream_that_is_let_go_ends_in_good_order) {
  say(*client_.stream, "last words");
  client_.stream.reset();
  EXPECT_EQ(read(*server_.stream).value_or("?"), "last words");
  EXPECT_EQ(read(*server_.stream).value_or("?"), "");
}

TEST_F(TlsStreamTest, an_abort_in_the_middle_breaks_both_sides) {
  say(*server_.stream, std::string(4 << 20, 'x'));
  ASSERT_TRUE(read(*client_.stream).has_value());
  std::optional<Result<size_t>> pending;
  uint8_t buffer[16];
  server_.stream->read(buffer, [&](Result<size_t> r) { pending.emplace(std::move(r)); });
  std::optional<Status> written;
  server_.stream->write({Slice::copy_of(as_bytes("more"))},
                        [&](Status s) { written = std::move(s); });
  server_.stream->abort();
  EXPECT_FALSE(pending || written) << "never from inside the call";
  ASSERT_TRUE(until([&] { return pending && written; }));
  EXPECT_EQ(pending->error().code, Errc::connection_lost);
  EXPECT_EQ(written->error().code, Errc::connection_lost);
  EXPECT_EQ(read(*server_.stream).error().code, Errc::connection_lost);
  const auto rest = read_to_end(*client_.stream);
  ASSERT_FALSE(rest.has_value());
  EXPECT_EQ(rest.error().code, Errc::connection_lost);
}

// An end without TLS's goodbye may be an attacker's: it is no end.
TEST_F(TlsStreamTest, an_end_that_tls_did_not_announce_is_a_broken_stream) {
  connect_plain();
  begin_server(*s_);
  auto* const below = plain_client_.get();
  begin_client(*c_);
  ASSERT_TRUE(until([this] { return server_.secured && client_.secured; }));
  say(*client_.stream, "whole");
  EXPECT_EQ(read(*server_.stream).value_or("?"), "whole");
  below->shutdown();
  const auto end = read(*server_.stream);
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().code, Errc::connection_lost);
}

TEST_F(TlsStreamTest, a_flipped_bit_is_told_and_breaks_the_stream) {
  connect_plain();
  begin_server(*s_);
  auto* const below = plain_client_.get();
  begin_client(*c_);
  ASSERT_TRUE(until([this] { return server_.secured && client_.secured; }));
  std::string record("\x17\x03\x03\x00\x20", 5);
  record += random_text(32);
  below->write({Slice::copy_of(as_bytes(record))}, [](const Status&) {});
  const auto got = read(*server_.stream);
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Errc::connection_lost);
  say(*client_.stream, "after");
  EXPECT_FALSE(read(*server_.stream).has_value());
}

TEST_F(TlsStreamTest, bytes_read_before_the_upgrade_belong_to_the_handshake) {
  for (const size_t early : {size_t{1}, size_t{5}, size_t{100}, size_t{100'000}}) {
    connect_plain();
    say(*plain_server_, "INFO\r\n");
    EXPECT_EQ(read(*plain_client_).value_or("?"), "INFO\r\n");
    begin_client(*c_);
    auto first = read(*plain_server_, early);
    ASSERT_TRUE(first.has_value());
    begin_server(*s_, {.already_read = Slice::copy_of(as_bytes(*first))});
    // Written before the handshake is over: it waits.
    say(*client_.stream, "early");
    EXPECT_EQ(read(*server_.stream).value_or("?"), "early");
    EXPECT_TRUE(server_.ok() && client_.ok());
  }
}

TEST_F(TlsStreamTest, a_stream_may_be_let_go_in_any_state) {
  for (int turns = 0; turns < 12; ++turns) {
    connect_plain();
    begin_server(*s_);
    begin_client(*c_);
    uint8_t buffer[16];
    client_.stream->read(buffer, [](Result<size_t>) { FAIL() << "of a stream that is gone"; });
    say(*client_.stream, "x");
    int bursts = 0;
    loop_.run_until([&] { return ++bursts > turns; }, milliseconds(20));
    if (turns % 2 == 0) client_.stream->abort();
    client_.stream.reset();
    server_.stream.reset();
    loop_.run_until([] { return false; }, milliseconds(1));
  }
}

TEST_F(TlsStreamTest, completions_may_destroy_their_stream) {
  connect_plain();
  begin_client(*c_);
  bool secured = false;
  server_.stream = s_->accept(std::move(plain_server_), {}, [&](const Status& status) {
    EXPECT_TRUE(status.has_value());
    secured = true;
    server_.stream.reset();
  });
  ASSERT_TRUE(until([&] { return secured && client_.secured; }));
  EXPECT_EQ(read(*client_.stream).value_or("?"), "");
  bool told = false;
  connect_plain();
  say(*plain_client_, "not TLS");
  server_.stream = s_->accept(std::move(plain_server_), {}, [&](const Status& status) {
    EXPECT_FALSE(status.has_value());
    told = true;
    server_.stream.reset();
  });
  plain_client_->shutdown();
  EXPECT_TRUE(until([&] { return told; }));
}

// --- Reloading ------------------------------------------------------------------------------------

TEST_F(TlsStreamTest, new_certificates_are_for_new_connections_and_old_ones_stay) {
  auto options = server_certificate();
  options.common_name = "renewed";
  directory_.issue(ours_, "server", options);
  ASSERT_TRUE(s_->reload().has_value());
  EXPECT_TRUE(s_->describe().starts_with("certificate of renewed, valid until 20"))
      << s_->describe();
  say(*client_.stream, "still open");
  EXPECT_EQ(read(*server_.stream).value_or("?"), "still open");
  const TlsEnd old_client = std::exchange(client_, {});
  const TlsEnd old_server = std::exchange(server_, {});
  handshake(*s_, *c_);
  ASSERT_TRUE(client_.ok());
  EXPECT_EQ(old_client.stream->identity().name(), "broker");
  EXPECT_EQ(client_.stream->identity().name(), "renewed");
  say(*old_server.stream, "both");
  EXPECT_EQ(read(*old_client.stream).value_or("?"), "both");
}

TEST_F(TlsStreamTest, a_broken_new_file_keeps_the_old_one_and_says_why) {
  directory_.write("server.pem", "no certificate at all");
  const Status broken = s_->reload();
  ASSERT_FALSE(broken.has_value());
  EXPECT_EQ(broken.error().code, Errc::invalid);
  EXPECT_TRUE(broken.error().context.starts_with("certificate " + file("server.pem") + ": "))
      << broken.error().context;
  handshake(*s_, *c_);
  EXPECT_TRUE(server_.ok() && client_.ok());

  // A certificate with another's key: the rotation is half done.
  const auto other = ours_.issue(server_certificate());
  directory_.write("server.pem", other->certificate);
  const Status half = s_->reload();
  ASSERT_FALSE(half.has_value());
  EXPECT_TRUE(half.error().context.starts_with("key " + file("server-key.pem")))
      << half.error().context;
  handshake(*s_, *c_);
  EXPECT_TRUE(server_.ok() && client_.ok());
  directory_.write("server-key.pem", other->key);
  EXPECT_TRUE(s_->reload().has_value());
}

TEST_F(TlsStreamTest, a_new_client_authority_counts_from_the_reload_on) {
  const TlsAuthority next = authority("next");
  directory_.write("client-ca.pem", ours_.certificate());
  directory_.issue(next, "bob", client_certificate("bob"));
  auto files = server_files(ClientCertificates::required);
  files.client_ca = file("client-ca.pem");
  const auto s = server(files);
  const auto alice = client_with("client");
  const auto bob = client_with("bob");
  handshake(*s, *bob);
  EXPECT_FALSE(server_.ok());
  directory_.write("client-ca.pem", next.certificate());
  ASSERT_TRUE(s->reload().has_value());
  handshake(*s, *bob);
  ASSERT_TRUE(server_.ok());
  EXPECT_EQ(server_.stream->identity().name(), "bob");
  handshake(*s, *alice);
  EXPECT_FALSE(server_.ok());
}

TEST_F(TlsStreamTest, files_that_are_not_there_are_named) {
  auto files = server_files();
  files.certificate = file("nowhere.pem");
  const auto made = TlsServerContext::open(loop_, files);
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().context.find("nowhere.pem: No such file"), std::string::npos)
      << made.error().context;
  EXPECT_FALSE(TlsClientContext::open(loop_, {.ca = file("nowhere.pem")}).has_value());
  EXPECT_FALSE(TlsClientContext::open(loop_, {.ca = file("ca.pem"), .key = file("x")}).has_value());
}

TEST(tls_files, make_all_that_a_machine_needs_to_speak_with_itself) {
  TlsDirectory directory;
  AsioLoop loop;
  const auto files = make_tls_files(directory.file("sub/dir"),
                                    {.names = {"broker.test", "10.1.2.3"}, .client = "me"});
  ASSERT_TRUE(files.has_value()) << files.error().to_string();
  EXPECT_EQ(std::filesystem::status(files->key).permissions(), std::filesystem::perms(0600));
  EXPECT_TRUE(TlsServerContext::open(
                  loop, {files->certificate, files->key, files->ca, ClientCertificates::required})
                  .has_value());
  EXPECT_TRUE(
      TlsClientContext::open(loop, {files->ca, files->client_certificate, files->client_key})
          .has_value());
  for (const char* bad : {"", "a,IP:1.2.3.4", "a b", "1.2.3.4.5"})
    EXPECT_EQ(make_tls_files(directory.file("bad"), {.names = {bad}}).error().code, Errc::invalid)
        << bad;
}

}  // namespace
}  // namespace bascule::io

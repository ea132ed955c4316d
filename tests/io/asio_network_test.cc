// What only real sockets have: names, address families, and connects that the system leaves hanging.
#include "io/asio_network.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <vector>

#include "io/fd.h"

namespace bascule::io {
namespace {

class AsioNetworkTest : public testing::Test {
 protected:
  template <class T, class F>
  Result<T> wait(F start) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    start(env::Done<T>([result](Result<T> r) { result->emplace(std::move(r)); }));
    if (!loop_.run_until([&] { return result->has_value(); }, seconds(30)))
      return fail(Errc::internal, "never completed");
    return std::move(**result);
  }
  Result<std::unique_ptr<env::Listener>> listen(env::Address address) {
    return wait<std::unique_ptr<env::Listener>>([&](auto done) {
      network_->listen(
          std::move(address),
          [this](std::unique_ptr<env::Stream> s) { accepted_.push_back(std::move(s)); },
          std::move(done));
    });
  }
  Result<std::unique_ptr<env::Stream>> connect(env::Address address,
                                               Duration timeout = seconds(10)) {
    return wait<std::unique_ptr<env::Stream>>(
        [&](auto done) { network_->connect(std::move(address), timeout, std::move(done)); });
  }

  AsioLoop loop_;
  std::unique_ptr<AsioNetwork> network_ = std::make_unique<AsioNetwork>(loop_);
  std::vector<std::unique_ptr<env::Stream>> accepted_;
};

TEST_F(AsioNetworkTest, a_name_is_resolved_for_listening_and_connecting) {
  auto listener = listen({"localhost", 0});
  ASSERT_TRUE(listener.has_value()) << listener.error().to_string();
  EXPECT_TRUE(is_loopback((*listener)->address()));
  auto stream = connect({"localhost", (*listener)->address().port});
  ASSERT_TRUE(stream.has_value()) << stream.error().to_string();
}

TEST_F(AsioNetworkTest, a_name_that_does_not_exist_is_an_answer) {
  EXPECT_EQ(connect({"no-such-host.invalid", 1}).error().code, Errc::connection_lost);
  EXPECT_EQ(listen({"no-such-host.invalid", 0}).error().code, Errc::invalid);
}

TEST_F(AsioNetworkTest, an_address_of_another_machine_cannot_be_listened_on) {
  EXPECT_EQ(listen({"192.0.2.1", 0}).error().code, Errc::invalid);  // RFC 5737: nobody's
}

TEST_F(AsioNetworkTest, version_six_of_the_protocol_works_where_the_machine_has_it) {
  auto listener = listen({"::1", 0});
  if (!listener) GTEST_SKIP() << listener.error().to_string();
  auto stream = connect((*listener)->address());
  ASSERT_TRUE(stream.has_value()) << stream.error().to_string();
  EXPECT_EQ((*stream)->peer().host, "::1");
}

// A listener whose queue of connections is full: the system drops further ones without a word.
struct FullListener {
  FullListener() : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
    ::listen(fd.get(), 0);
    socklen_t length = sizeof(address);
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port = ntohs(address.sin_port);
  }
  Fd fd;
  uint16_t port = 0;
};

TEST_F(AsioNetworkTest, a_connect_that_nobody_answers_ends_with_its_timeout) {
  const FullListener full;
  std::vector<std::unique_ptr<env::Stream>> streams;
  // The first few fill the queue.
  for (int i = 0; i < 10; ++i) {
    auto stream = connect({"127.0.0.1", full.port}, milliseconds(150));
    if (!stream) {
      EXPECT_EQ(stream.error().code, Errc::connection_lost);
      return;
    }
    streams.push_back(std::move(*stream));
  }
  FAIL() << "the queue never got full";
}

TEST_F(AsioNetworkTest, a_destroyed_network_drops_what_is_pending) {
  const FullListener full;
  int called = 0;
  for (int i = 0; i < 10; ++i)
    network_->connect({"127.0.0.1", full.port}, milliseconds(50),
                      [&](Result<std::unique_ptr<env::Stream>>) { ++called; });
  network_->connect({"localhost", full.port}, milliseconds(50),
                    [&](Result<std::unique_ptr<env::Stream>>) { ++called; });
  network_->listen(
      {"localhost", 0}, [](auto) {}, [&](Result<std::unique_ptr<env::Listener>>) { ++called; });
  network_.reset();
  loop_.run_until([] { return false; }, milliseconds(150));
  EXPECT_EQ(called, 0);
}

TEST_F(AsioNetworkTest, a_listener_may_be_destroyed_by_its_own_accept) {
  std::unique_ptr<env::Listener> listener;
  std::unique_ptr<env::Stream> server;
  auto made = wait<std::unique_ptr<env::Listener>>([&](auto done) {
    network_->listen(
        {"127.0.0.1", 0},
        [&](std::unique_ptr<env::Stream> s) {
          server = std::move(s);
          listener.reset();
        },
        std::move(done));
  });
  ASSERT_TRUE(made.has_value());
  listener = std::move(*made);
  const env::Address address = listener->address();
  auto stream = connect(address);
  ASSERT_TRUE(stream.has_value());
  ASSERT_TRUE(loop_.run_until([&] { return server != nullptr; }, seconds(20)));
  EXPECT_EQ(connect(address).error().code, Errc::connection_refused);
}

}  // namespace
}  // namespace bascule::io

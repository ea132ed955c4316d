#include "io/asio_network.h"

#include <fcntl.h>
#include <netdb.h>

#include <asio/ip/address.hpp>
#include <cstring>
#include <utility>
#include <vector>

#include "io/asio_access.h"
#include "io/asio_stream.h"

namespace bascule::io {
namespace {

using asio::ip::tcp;
using Endpoints = std::vector<tcp::endpoint>;

constexpr int k_backlog = 1024;
// Pause of accepting after the process has run out of descriptors or memory.
constexpr Duration k_accept_pause = milliseconds(100);

Result<Endpoints> resolve(const env::Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int e = ::getaddrinfo(address.host.c_str(), nullptr, &hints, &found); e != 0)
    return fail(Errc::not_found, address.host + ": " + ::gai_strerror(e));
  Endpoints endpoints;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    tcp::endpoint endpoint;
    if (a->ai_addrlen > endpoint.capacity()) continue;
    endpoint.resize(a->ai_addrlen);
    std::memcpy(endpoint.data(), a->ai_addr, a->ai_addrlen);
    endpoint.port(address.port);
    endpoints.push_back(endpoint);
  }
  ::freeaddrinfo(found);
  if (endpoints.empty()) return fail(Errc::not_found, address.host + ": no address");
  return endpoints;
}

void close_on_exec(int fd) { ::fcntl(fd, F_SETFD, FD_CLOEXEC); }

class Acceptor final : public std::enable_shared_from_this<Acceptor> {
 public:
  Acceptor(AsioLoop& loop, env::Network::Accept accept)
      : loop_(loop), acceptor_(AsioAccess::context(loop)), accept_(std::move(accept)) {}

  Result<env::Address> open(const tcp::endpoint& endpoint) {
    asio::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) close_on_exec(acceptor_.native_handle());
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(k_backlog, error);
    if (!error) acceptor_.non_blocking(true, error);
    if (error) {
      const Errc code = error == asio::error::address_in_use  ? Errc::already_exists
                        : error == asio::error::access_denied ? Errc::permission_denied
                                                              : Errc::invalid;
      return fail(code, "listen on " + to_address(endpoint).to_string() + ": " + error.message());
    }
    return to_address(acceptor_.local_endpoint(error));
  }

  void accept_next() {
    acceptor_.async_accept(
        [self = shared_from_this()](const asio::error_code& error, tcp::socket socket) {
          self->accepted(error, std::move(socket));
        });
  }

  void close() {
    closed_ = true;
    asio::error_code ignored;
    acceptor_.close(ignored);
    // Kept by asio's handler a little longer; what `accept_` owns is not, unless it is running now.
    if (!accepting_) accept_ = nullptr;
  }

 private:
  void accepted(const asio::error_code& error, tcp::socket socket) {
    if (closed_) return;
    if (error) {
      // A peer that is gone already is nothing; a lack of descriptors passes, and must not spin.
      if (error == asio::error::connection_aborted) return accept_next();
      loop_.after(k_accept_pause, [self = shared_from_this()] {
        if (!self->closed_) self->accept_next();
      });
      return;
    }
    close_on_exec(socket.native_handle());
    accepting_ = true;
    accept_(make_stream(loop_, std::move(socket)));
    accepting_ = false;
    if (closed_) {
      accept_ = nullptr;
    } else {
      accept_next();
    }
  }

  AsioLoop& loop_;
  tcp::acceptor acceptor_;
  env::Network::Accept accept_;
  bool accepting_ = false;
  bool closed_ = false;
};

class AsioListener final : public env::Listener {
 public:
  AsioListener(std::shared_ptr<Acceptor> acceptor, env::Address address)
      : acceptor_(std::move(acceptor)), address_(std::move(address)) {}
  ~AsioListener() override { acceptor_->close(); }
  const env::Address& address() const override { return address_; }

 private:
  std::shared_ptr<Acceptor> acceptor_;
  env::Address address_;
};

// One connect: its addresses in turn, under one timer.
class Connect final : public std::enable_shared_from_this<Connect> {
 public:
  Connect(AsioLoop& loop, env::Address address, env::Done<std::unique_ptr<env::Stream>> done)
      : loop_(loop),
        address_(std::move(address)),
        socket_(AsioAccess::context(loop)),
        done_(std::move(done)) {}

  // The resolving of the name counts.
  void start_timer(Duration timeout) {
    timer_ = loop_.after(timeout, [self = shared_from_this()] {
      self->finish(fail(Errc::connection_lost, self->address_.to_string() + ": timed out"));
    });
  }

  void start(Endpoints endpoints) {
    if (!done_) return;
    endpoints_ = std::move(endpoints);
    try_next();
  }

  // Called once; what comes later is nothing.
  void finish(Result<std::unique_ptr<env::Stream>> result) {
    if (!done_) return;
    loop_.cancel(timer_);
    asio::error_code ignored;
    socket_.close(ignored);
    std::exchange(done_, nullptr)(std::move(result));
  }

 private:
  void try_next() {
    const tcp::endpoint& endpoint = endpoints_[next_++];
    asio::error_code ignored;
    socket_.close(ignored);
    socket_.open(endpoint.protocol(), ignored);  // a failure shows in the connect
    if (socket_.is_open()) close_on_exec(socket_.native_handle());
    socket_.async_connect(endpoint, [self = shared_from_this()](const asio::error_code& error) {
      self->tried(error);
    });
  }

  void tried(const asio::error_code& error) {
    if (!done_) return;
    if (!error && is_self_connected()) {
      // Both ends took the same port: nobody listens there.
      return finish(fail(Errc::connection_refused, address_.to_string() + ": nobody listens"));
    }
    if (!error) {
      std::unique_ptr<env::Stream> stream = make_stream(loop_, std::move(socket_));
      return finish(std::move(stream));
    }
    if (next_ < endpoints_.size()) return try_next();
    const Errc code =
        error == asio::error::connection_refused ? Errc::connection_refused : Errc::connection_lost;
    finish(fail(code, address_.to_string() + ": " + error.message()));
  }

  bool is_self_connected() const {
    asio::error_code ignored;
    return socket_.local_endpoint(ignored) == socket_.remote_endpoint(ignored);
  }

  AsioLoop& loop_;
  env::Address address_;
  tcp::socket socket_;
  env::Done<std::unique_ptr<env::Stream>> done_;
  Endpoints endpoints_;
  size_t next_ = 0;
  env::TimerId timer_;
};

}  // namespace

AsioNetwork::AsioNetwork(AsioLoop& loop) : loop_(loop) {}

AsioNetwork::~AsioNetwork() = default;

template <class Then>
void AsioNetwork::resolve_then(const env::Address& address, Then then) {
  asio::error_code error;
  const asio::ip::address literal = asio::ip::make_address(address.host, error);
  if (!error) {
    loop_.post(scope_.wrap([endpoint = tcp::endpoint(literal, address.port),
                            then = std::move(then)]() mutable { then(Endpoints{endpoint}); }));
    return;
  }
  if (!resolver_) resolver_ = std::make_unique<WorkerPool>(loop_, 1);
  resolver_->call<Endpoints>([address] { return resolve(address); }, scope_.wrap(std::move(then)));
}

void AsioNetwork::listen(env::Address address, Accept accept,
                         env::Done<std::unique_ptr<env::Listener>> done) {
  resolve_then(address, [this, accept = std::move(accept),
                         done = std::move(done)](Result<Endpoints> endpoints) mutable {
    if (!endpoints) return done(fail(Errc::invalid, std::move(endpoints.error().context)));
    auto acceptor = std::make_shared<Acceptor>(loop_, std::move(accept));
    Result<env::Address> bound = acceptor->open(endpoints->front());
    if (!bound) return done(fail(std::move(bound.error())));
    acceptor->accept_next();
    done(std::make_unique<AsioListener>(std::move(acceptor), std::move(*bound)));
  });
}

void AsioNetwork::connect(env::Address address, Duration timeout,
                          env::Done<std::unique_ptr<env::Stream>> done) {
  auto connect = std::make_shared<Connect>(loop_, address, scope_.wrap(std::move(done)));
  connect->start_timer(timeout);
  resolve_then(address, [connect](Result<Endpoints> endpoints) {
    if (!endpoints) {
      connect->finish(fail(Errc::connection_lost, std::move(endpoints.error().context)));
    } else {
      connect->start(std::move(*endpoints));
    }
  });
}

}  // namespace bascule::io

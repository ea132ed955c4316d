#include "tests/process/raw_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

namespace bascule::process_test {
namespace {

constexpr int k_patience_ms = 10'000;

sockaddr_in local(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool readable(int fd) {
  pollfd wanted{fd, POLLIN, 0};
  return poll(&wanted, 1, k_patience_ms) == 1;
}

int made_socket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::runtime_error("socket");
  return fd;
}

}  // namespace

RawPeer::RawPeer(int fd) : fd_(fd) {}
RawPeer::RawPeer(RawPeer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
RawPeer::~RawPeer() {
  if (fd_ >= 0) close(fd_);
}

RawPeer RawPeer::call(const std::string& address) {
  RawPeer out(made_socket());
  const sockaddr_in to =
      local(static_cast<uint16_t>(std::stoul(address.substr(address.rfind(':') + 1))));
  if (connect(out.fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    throw std::runtime_error("cannot connect to " + address);
  return out;
}

RawPeer RawPeer::answer(int listener) {
  if (!readable(listener)) throw std::runtime_error("nobody has called");
  return RawPeer(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
}

void RawPeer::say(ByteView bytes) const {
  if (send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("send");
}

std::string RawPeer::read_to_end() const {
  std::string out;
  char buffer[4096];
  while (readable(fd_)) {
    const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return out;
    out.append(buffer, static_cast<size_t>(n));
  }
  throw std::runtime_error("the other side does not end");
}

RawListener::RawListener() : fd_(made_socket()) {
  const sockaddr_in any = local(0);
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 || listen(fd_, 8) != 0)
    throw std::runtime_error("cannot listen");
}

RawListener::~RawListener() { close(fd_); }

std::string RawListener::address() const {
  sockaddr_in own{};
  socklen_t size = sizeof own;
  getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size);
  return "127.0.0.1:" + std::to_string(ntohs(own.sin_port));
}

Bytes bytes_of(const peers::Frame& frame) {
  Bytes all;
  const auto pieces = peers::encode_frame(frame);
  for (const Slice& piece : pieces.value())
    all.insert(all.end(), piece.data(), piece.data() + piece.size());
  return all;
}

}  // namespace bascule::process_test

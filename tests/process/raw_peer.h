// Something on a peers port that is no broker of this program: bytes out, bytes in, with a limit in time.
#pragma once

#include <cstdint>
#include <string>

#include "src/base/bytes.h"
#include "src/peers/frame.h"

namespace bascule::process_test {

class RawPeer {
 public:
  // Connects to "127.0.0.1:PORT".
  static RawPeer call(const std::string& address);
  // Takes the first call that comes to it, within ten seconds.
  static RawPeer answer(int listener);
  ~RawPeer();
  RawPeer(RawPeer&& other) noexcept;

  void say(ByteView bytes) const;
  // All that comes until the other side ends, within ten seconds.
  std::string read_to_end() const;

 private:
  explicit RawPeer(int fd);
  int fd_;
};

// A socket that listens on a port of 127.0.0.1, and the port.
class RawListener {
 public:
  RawListener();
  ~RawListener();
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;
  int fd() const { return fd_; }
  std::string address() const;

 private:
  int fd_;
};

Bytes bytes_of(const peers::Frame& frame);

}  // namespace bascule::process_test

// Byte streams between processes.
//
// Bytes arrive in order or the stream breaks. They may be split anywhere, delayed, or stop for ever
// without a word: whoever needs to know uses a timer. TLS, where configured, is a Stream like any other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/env/loop.h"

namespace bascule::env {

struct Address {
  std::string host;  // a name or a literal; the simulator's hosts are names
  uint16_t port = 0;

  auto operator<=>(const Address&) const = default;
  std::string to_string() const;  // "127.0.0.1:4222", "[::1]:4222"
};

// "HOST:PORT", "[v6]:PORT". `invalid` names what is wrong.
Result<Address> parse_address(std::string_view text);
// A literal of 127.0.0.0/8 or ::1, or "localhost".
bool is_loopback(const Address& address);

// One direction may end before the other. All calls from the loop's thread.
class Stream {
 public:
  // Closes; pending completions are dropped without being called.
  virtual ~Stream() = default;

  // Reads at least one byte into `into`, which lives until the completion has run. 0: the peer has
  // ended its direction. `connection_lost` when the stream broke. One read at a time.
  virtual void read(MutableBytes into, Done<size_t> done) = 0;
  // Queues the pieces in order; they are kept alive until sent, and are sent without a copy. Completes
  // when they have been handed to the network (or on `connection_lost`). Writes may overlap; their
  // order is kept. Small pieces written in one turn leave together.
  virtual void write(std::vector<Slice> pieces, Done<void> done) = 0;
  // Bytes queued by `write` and not yet handed to the network: who writes bounds it.
  virtual size_t queued_bytes() const = 0;
  // Ends our direction after what is queued; the peer reads 0.
  virtual void shutdown() = 0;
  // Breaks the stream at once, in both directions; pending completions get `connection_lost`.
  virtual void abort() = 0;
  virtual const Address& peer() const = 0;
};

class Listener {
 public:
  // Stops accepting.
  virtual ~Listener() = default;
  // With the port that was picked where 0 was asked.
  virtual const Address& address() const = 0;
};

class Network {
 public:
  virtual ~Network() = default;

  using Accept = std::move_only_function<void(std::unique_ptr<Stream>)>;
  // Calls `accept` for each connection until the listener is destroyed. Errors: `already_exists` (port
  // in use), `invalid` (address).
  virtual void listen(Address address, Accept accept, Done<std::unique_ptr<Listener>> done) = 0;
  // Errors: `connection_refused`, `connection_lost` (unreachable, timed out after `timeout`).
  virtual void connect(Address address, Duration timeout, Done<std::unique_ptr<Stream>> done) = 0;
};

}  // namespace bascule::env

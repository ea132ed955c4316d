// One client of the embedded NATS server: its bytes in, its commands, its bytes out.
//
//   stream → receive buffer → Parser → commands → Hub (router, recorder)
//   Router → deliver() → Output → one write at the end of the turn → stream
//
// Reading is one buffer of the loop at a time, so no client keeps the loop to itself. A payload is looked
// at where it was received; a large one is sent on from there without a copy. What a client does not read
// is bounded: beyond `pending_bytes_max` it is a slow consumer and is cut.
//
// Where TLS is configured the client begins a handshake after INFO; its first byte tells which it speaks, and
// the stream is wrapped in the middle of the conversation (connection_tls.cc).
//
// States: open → closing (an error or the server's stop: the last bytes go out, nothing more is read) →
// closed. The Hub destroys a closed connection in a later turn.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "src/env/world.h"
#include "src/nats/connect_options.h"
#include "src/nats/message.h"
#include "src/nats/options.h"
#include "src/nats/output.h"
#include "src/nats/parser.h"
#include "src/nats/router.h"

namespace bascule::nats {

class Connection;

struct ServerStats {
  uint64_t connections = 0;  // now
  uint64_t connections_total = 0;
  uint64_t connections_refused = 0;
  uint64_t subscriptions = 0;  // now
  uint64_t messages_in = 0;
  uint64_t bytes_in = 0;  // headers and payloads
  uint64_t messages_out = 0;
  uint64_t bytes_out = 0;
  uint64_t slow_consumers = 0;
  uint64_t stale_connections = 0;
  uint64_t protocol_errors = 0;
  uint64_t auth_failures = 0;
  uint64_t tls_failures = 0;      // handshakes that failed, and plaintext where TLS is required
  uint64_t invalid_subjects = 0;  // messages on subjects that are none: delivered to nobody
};

// What a connection needs of its server.
class Hub {
 public:
  virtual ~Hub() = default;
  virtual const ServerOptions& options() const = 0;
  virtual Router& router() = 0;
  virtual ServerStats& stats() = 0;
  virtual std::string info_json(const Connection& connection) const = 0;
  virtual bool may_connect(const ConnectOptions& connect) const = 0;
  // False: the server has as many subscriptions as it may.
  virtual bool may_subscribe() const = 0;

  struct Published {
    bool valid = false;  // its subject; false: nothing was done
    size_t delivered = 0;
    bool answered = false;  // a stream answers the reply subject
    bool pause = false;     // pause(); the hub calls resume()
  };
  virtual Published publish(Connection& from, const Message& message) = 0;

  // flush() will be called at the end of this turn.
  virtual void wants_flush(Connection& connection) = 0;
  // Bytes that wait for clients, all together.
  virtual size_t& pending_bytes_total() = 0;
  // The connection may be destroyed, in a later turn.
  virtual void closed(Connection& connection) = 0;
};

class Connection final : public Receiver {
 public:
  Connection(Hub& hub, env::World world, ConnectionId id, std::unique_ptr<env::Stream> stream);
  ~Connection() override;

  // Greets the client and begins to read.
  void start();

  ConnectionId id() const { return id_; }
  const env::Address& peer() const { return stream_->peer(); }
  const ConnectOptions& client() const { return client_; }
  // What the client's certificate calls it; empty: it showed none.
  std::string_view principal() const { return principal_; }

  // Receiver
  bool receives() const override { return state_ == State::open; }
  bool echo() const override { return client_.echo; }
  void deliver(const Subscription& subscription, const Message& message) override;
  void exhausted(Subscription& subscription) override;

  // Sends what has gathered.
  void flush();
  // Nothing more is read or acted on until resume().
  void pause() { paused_ = true; }
  void resume();
  // Sends INFO again (something in it has changed).
  void send_info();
  // Sends -ERR with `error` (none if empty) and what is pending, then ends the connection.
  void close(std::string_view error);

 private:
  enum class State : uint8_t { open, closing, closed };

  // --- connection.cc: bytes
  void read();
  void make_room();
  void on_read(Result<size_t> result);
  void process();
  void send_error(std::string_view text);
  void send(std::string_view text);
  void append_message(const Subscription& subscription, const Message& message);
  void check_pending();
  // What this client may hold where all together hold too much.
  size_t fair_share() const;
  void on_written(size_t bytes, const Status& status);
  void on_tick();
  void schedule_tick(Duration delay);
  void end();

  // --- connection_tls.cc: from the greeting to a secured stream
  void choose_encryption();
  void upgrade();
  void upgraded(const Status& status);
  void tls_failed(const std::string& why);

  // --- connection_commands.cc: what commands do. False: nothing more is read.
  bool handle(const Command& command);
  bool handle_connect(const Command& command);
  bool handle_publish(const Command& command);
  bool handle_sub(const Command& command);
  bool handle_unsub(const Command& command);
  void no_responders(std::string_view reply);
  void drop_subscription(Subscription& subscription);
  void acknowledge() {
    if (client_.verbose) send("+OK\r\n");
  }

  Hub& hub_;
  env::World world_;
  ConnectionId id_;
  std::unique_ptr<env::Stream> stream_;
  ConnectOptions client_;
  bool connected_ = false;  // a valid CONNECT came, or none is asked for
  std::string principal_;
  // none: TLS is off, or over; first_byte: the client's choice is to come; handshake: it is under way, and
  // nothing of ours is written or read meanwhile.
  enum class Upgrade : uint8_t { none, first_byte, handshake } upgrade_ = Upgrade::none;
  State state_ = State::open;
  bool paused_ = false;
  bool reading_ = false;
  bool flush_pending_ = false;

  Parser parser_;
  BufferRef buffer_;  // received bytes are [begin_, end_)
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t needed_ = 1;    // bytes that the command at begin_ has at least
  size_t buffer_bytes_;  // size of the next buffer: follows what the client sends

  Output output_;
  size_t writing_bytes_ = 0;  // handed to the stream and not yet to the network

  std::map<std::string, std::unique_ptr<Subscription>, std::less<>> subscriptions_;  // by sid

  env::TimerId timer_;
  uint32_t pings_out_ = 0;
  bool heard_ = false;  // something came since the last tick
  env::Scope scope_;
};

}  // namespace bascule::nats

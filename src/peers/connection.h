// One stream to another broker: handshake, then frames in and out, with a bounded queue.
//
//   shaking ──both proven──▶ open ──────────────────────────▶ closed
//      └──refuse()──▶ refusing: the reason is on its way, what comes is thrown away ──▶ closed
//
// Frames of one turn leave together. What waits is kept here: the stream below is handed
// `stream_bytes_max` at a time. The host destroys a closed connection in a later turn.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/env/world.h"
#include "src/peers/frame.h"
#include "src/peers/handshake.h"
#include "src/peers/options.h"

namespace bascule::peers {

class Connection;

// Why a connection is no more.
enum class CloseCause : uint8_t {
  ended,    // the other side's end or reset
  corrupt,  // what came cannot be read
  // TLS could not be agreed on: a certificate was refused, or one side speaks in the open.
  not_secured,
  silent,   // nothing was heard for too long
  refused,  // one side said so
  ours,     // superseded, forgotten, stopped
};

class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual std::expected<Claim, Refusal> claim(Connection& connection, const Established& found,
                                              Side side, const Proof& proof) = 0;
  virtual void opened(Connection& connection) = 0;
  virtual void received(Connection& connection, Frame frame) = 0;
  virtual void refused(Connection& connection, const Refusal& refusal, bool by_us) = 0;
  // At most one per connection; not for a close() by the host.
  virtual void closed(Connection& connection, CloseCause cause, const Error& why) = 0;
  virtual void writable(Connection& connection) = 0;
};

struct ConnectionStats {
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint64_t frames_in = 0;
  uint64_t frames_out = 0;
};

class Connection final : private HandshakeJudge {
 public:
  struct Plan {
    Side side = Side::acceptor;
    Channel channel = Channel::control;
    NodeId called;  // 0: whoever answers
  };

  Connection(ConnectionHost& host, env::World world, const PeersOptions& options,
             const PeerCodec& codec, Authenticator& authenticator, uint64_t id,
             std::unique_ptr<env::Stream> stream, Self self, Plan plan);
  ~Connection() override;

  void start();

  uint64_t id() const { return id_; }
  Side side() const { return side_; }
  bool open() const { return state_ == State::open; }
  bool closed() const { return state_ == State::closed; }
  bool shaking() const { return state_ == State::shaking; }
  const env::Address& address() const { return stream_->peer(); }
  // Of the other side; all of it once open.
  const Established& found() const { return handshake_.found(); }
  MonotonicTime since() const { return since_; }  // open

  // `overloaded`: the queue is full; `writable` will be told. Requires open().
  enum class Bound : uint8_t { full_queue, none };
  Status send(std::vector<Slice> pieces, Bound bound);
  size_t queued_bytes() const { return queued_bytes_ + stream_->queued_bytes(); }

  // Tells the other side why, then ends. Once.
  void refuse(Refusal refusal);
  // Ends at once; the host is not told.
  void close();
  // Sends a ping where it is due, or in any case; ends what is silent.
  void tick();
  void ping();

  const ConnectionStats& stats() const { return stats_; }

  // The host's count of requests that came here and are not answered.
  size_t requests_in = 0;

 private:
  enum class State : uint8_t { shaking, open, refusing, closed };
  struct Queued {
    std::vector<Slice> pieces;
    size_t bytes = 0;
  };

  std::expected<Claim, Refusal> claim(const Established& found, Side side,
                                      const Proof& proof) override {
    return host_.claim(*this, found, side, proof);
  }
  void read();
  void on_read(Result<size_t> result);
  void on_frames();
  void on_bad_frame(const Error& why);
  void on_handshake(const Frame& frame);
  void say(const Bytes& body);
  void enqueue(std::vector<Slice> pieces);
  void flush_at_turn_end();
  void flush();
  void end(CloseCause cause, Error why);

  ConnectionHost& host_;
  env::World world_;
  const PeersOptions& options_;
  const PeerCodec& codec_;
  uint64_t id_;
  std::unique_ptr<env::Stream> stream_;
  Side side_;
  NodeId self_;
  Uuid cluster_;
  State state_ = State::shaking;
  Handshake handshake_;
  FrameReader reader_{k_handshake_bytes_max};
  BufferRef discard_;  // while refusing
  std::deque<Queued> queue_;
  size_t queued_bytes_ = 0;  // sum over queue_
  bool flush_pending_ = false;
  bool writable_owed_ = false;
  MonotonicTime since_;
  MonotonicTime last_heard_;
  MonotonicTime last_sent_;
  ConnectionStats stats_;
  env::TimerId timer_;  // of the handshake, or of the linger
  env::Scope scope_;
};

}  // namespace bascule::peers

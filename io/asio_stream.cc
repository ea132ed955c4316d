// What is written in a turn is gathered and leaves at its end by one sendmsg over the callers' own buffers.
// The kernel takes little more than the network does (TCP_NOTSENT_LOWAT): the rest waits here, where
// queued_bytes() counts it. Reads are asio's: it tries the socket first and waits for it only when that
// finds nothing, so a busy connection costs one system call per read.
#include "io/asio_stream.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <asio/buffer.hpp>
#include <cerrno>
#include <deque>
#include <utility>
#include <vector>

#include "io/asio_access.h"
#include "io/iovecs.h"

namespace bascule::io {
namespace {

using asio::ip::tcp;

// Bytes that the kernel keeps beyond what is in flight: enough to fill a fast link until we run again.
constexpr int k_not_sent_bytes_max = 128 * 1024;
// System calls for one stream in a row, before others have their turn.
constexpr int k_sends_per_flush = 16;

std::unexpected<Error> lost(std::string why) { return fail(Errc::connection_lost, std::move(why)); }

// One call of `write`: its pieces, and who waits for it.
struct Write {
  std::vector<Slice> pieces;
  size_t bytes_left = 0;
  env::Done<void> done;
};

// The socket and its queues. Kept alive by asio's operations and by posted tasks; once the handle is gone
// nothing is called any more.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(AsioLoop& loop, tcp::socket socket) : loop_(loop), socket_(std::move(socket)) {}

  void read(MutableBytes into, env::Done<size_t> done) {
    REQUIRE(!read_done_, "one read at a time");
    REQUIRE(!into.empty());
    read_done_ = std::move(done);
    if (broken_) return finish_read_later(lost("the stream was broken off"));
    // The system tells an end once: asio would wait for it to be told again.
    if (read_ended_) return finish_read_later(size_t{0});
    socket_.async_read_some(
        asio::buffer(into.data(), into.size()),
        [self = shared_from_this()](const asio::error_code& error, size_t bytes) {
          if (error == asio::error::eof) {
            self->read_ended_ = true;
            self->finish_read(size_t{0});
          } else if (error) {
            self->finish_read(lost("read: " + error.message()));
          } else {
            self->finish_read(bytes);
          }
        });
  }

  void write(std::vector<Slice> pieces, env::Done<void> done) {
    Write write{std::move(pieces), 0, std::move(done)};
    for (const Slice& piece : write.pieces) write.bytes_left += piece.size();
    queued_bytes_ += write.bytes_left;
    writes_.push_back(std::move(write));
    flush_at_turn_end();
  }

  void shutdown() {
    if (shutdown_asked_) return;
    shutdown_asked_ = true;
    flush_at_turn_end();
  }

  void abort() {
    if (broken_) return;
    // Without lingering, closing sends RST: the peer sees a broken stream, not an end.
    asio::error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    close();
    fail_writes("the stream was broken off");
  }

  void drop_handle() {
    // What was written in this very turn still leaves, as far as the kernel takes it at once.
    if (!broken_ && !waiting_writable_) send_queued();
    handle_gone_ = true;
    close();
    // Completions may own more of the world: they go now, not when asio lets go of its handlers.
    const auto read_done = std::exchange(read_done_, nullptr);
    const auto writes = std::exchange(writes_, {});
  }

  size_t queued_bytes() const { return queued_bytes_; }

 private:
  void close() {
    broken_ = true;
    asio::error_code ignored;
    socket_.close(ignored);
  }

  void finish_read(Result<size_t> result) {
    if (handle_gone_) return;
    // Free for the next read before the completion runs.
    std::exchange(read_done_, nullptr)(std::move(result));
  }

  void finish_read_later(Result<size_t> result) {
    loop_.post([self = shared_from_this(), result = std::move(result)]() mutable {
      self->finish_read(std::move(result));
    });
  }

  void finish_write_later(Write write, Status status) {
    if (!write.done) return;
    loop_.post([self = shared_from_this(), done = std::move(write.done),
                status = std::move(status)]() mutable {
      if (!self->handle_gone_) done(std::move(status));
    });
  }

  void fail_writes(const std::string& why) {
    broken_for_writing_ = true;
    queued_bytes_ = 0;
    for (Write& write : std::exchange(writes_, {})) finish_write_later(std::move(write), lost(why));
  }

  void flush_at_turn_end() {
    if (flush_scheduled_ || waiting_writable_) return;
    flush_scheduled_ = true;
    loop_.at_turn_end([self = shared_from_this()] {
      self->flush_scheduled_ = false;
      if (!self->handle_gone_) self->flush();
    });
  }

  void flush() {
    if (broken_ || broken_for_writing_) return fail_writes("the stream is broken");
    switch (send_queued()) {
      case Sent::all: break;
      case Sent::some: return flush_when_writable();
      case Sent::broken: return;
    }
    if (shutdown_asked_ && !shutdown_done_) {
      shutdown_done_ = true;
      broken_for_writing_ = true;
      ::shutdown(socket_.native_handle(), SHUT_WR);
    }
  }

  void flush_when_writable() {
    waiting_writable_ = true;
    socket_.async_wait(tcp::socket::wait_write,
                       [self = shared_from_this()](const asio::error_code&) {
                         self->waiting_writable_ = false;
                         if (!self->handle_gone_) self->flush();
                       });
  }

  enum class Sent : uint8_t { all, some, broken };

  Sent send_queued() {
    complete_sent(0);
    for (int i = 0; i < k_sends_per_flush && !writes_.empty(); ++i) {
      gather();
      msghdr message{};
      message.msg_iov = vectors_.data();
      message.msg_iovlen = vectors_.size();
      const ssize_t n = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Sent::some;
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        fail_writes("write: " + asio::error_code(errno, asio::system_category()).message());
        return Sent::broken;
      }
      complete_sent(static_cast<size_t>(n));
    }
    return writes_.empty() ? Sent::all : Sent::some;
  }

  // The front of the queue as one vectored call takes it.
  void gather() {
    vectors_.clear();
    size_t skip = front_sent_;
    for (const Write& write : writes_) {
      for (const Slice& piece : write.pieces) {
        if (skip >= piece.size()) {
          skip -= piece.size();
          continue;
        }
        vectors_.push_back({const_cast<uint8_t*>(piece.data()) + skip, piece.size() - skip});
        skip = 0;
        if (vectors_.size() == Iovecs::k_count_max) return;
      }
    }
  }

  // `bytes` of the queue's front have been handed over.
  void complete_sent(size_t bytes) {
    queued_bytes_ -= bytes;
    while (!writes_.empty() && bytes >= writes_.front().bytes_left) {
      bytes -= writes_.front().bytes_left;
      front_sent_ = 0;
      Write write = std::move(writes_.front());
      writes_.pop_front();
      finish_write_later(std::move(write), {});
    }
    if (bytes == 0) return;
    writes_.front().bytes_left -= bytes;
    front_sent_ += bytes;
  }

  AsioLoop& loop_;
  tcp::socket socket_;
  env::Done<size_t> read_done_;  // set while a read is pending
  std::deque<Write> writes_;
  size_t front_sent_ = 0;       // bytes of the first write that have been handed over
  size_t queued_bytes_ = 0;     // sum of bytes_left over writes_
  std::vector<iovec> vectors_;  // of one call; kept for its memory
  bool flush_scheduled_ = false;
  bool waiting_writable_ = false;
  bool read_ended_ = false;  // the peer has ended its direction
  bool shutdown_asked_ = false;
  bool shutdown_done_ = false;
  bool broken_for_writing_ = false;  // what is written fails; there may still be something to read
  bool broken_ = false;              // the socket is closed
  bool handle_gone_ = false;
};

class AsioStream final : public env::Stream {
 public:
  AsioStream(std::shared_ptr<Connection> connection, env::Address peer)
      : connection_(std::move(connection)), peer_(std::move(peer)) {}
  ~AsioStream() override { connection_->drop_handle(); }

  void read(MutableBytes into, env::Done<size_t> done) override {
    connection_->read(into, std::move(done));
  }
  void write(std::vector<Slice> pieces, env::Done<void> done) override {
    connection_->write(std::move(pieces), std::move(done));
  }
  size_t queued_bytes() const override { return connection_->queued_bytes(); }
  void shutdown() override { connection_->shutdown(); }
  void abort() override { connection_->abort(); }
  const env::Address& peer() const override { return peer_; }

 private:
  std::shared_ptr<Connection> connection_;
  env::Address peer_;
};

}  // namespace

env::Address to_address(const tcp::endpoint& endpoint) {
  return {endpoint.address().to_string(), endpoint.port()};
}

std::unique_ptr<env::Stream> make_stream(AsioLoop& loop, tcp::socket socket) {
  // An option that a kernel lacks costs speed alone; a peer that is gone again shows at the first read.
  asio::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  const int not_sent = k_not_sent_bytes_max;
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &not_sent, sizeof(not_sent));
  const env::Address peer = to_address(socket.remote_endpoint(ignored));
  return std::make_unique<AsioStream>(std::make_shared<Connection>(loop, std::move(socket)), peer);
}

}  // namespace bascule::io

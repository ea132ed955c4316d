// States:
//
//   handshaking ──► open ──► broken
//        └──► refusing ──► broken      (the alert goes out; what still comes is dropped)
//
// What is written in a turn is encrypted at its end, into records as full as they can be, and only as far
// as the network below takes it: the rest waits as the callers' own plaintext, so nothing is held twice
// and one stream does not keep the loop to itself. Reading asks the network for more only when the
// session has nothing left to give.
#include "io/tls_stream.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/assert.h"

namespace bascule::io {
namespace {

// Ciphertext that may wait below, and what is encrypted in one go (about 100 µs of work).
constexpr size_t k_cipher_bytes_max = 256 << 10;
// The most that a TLS record holds (RFC 8446 §5.1).
constexpr size_t k_record_bytes = 16 << 10;
// For the other side to take an alert, before the stream is given up: bytes of it that are dropped
// meanwhile, and time.
constexpr size_t k_refusal_bytes_max = 1 << 20;
constexpr Duration k_refusal_time = milliseconds(500);

std::unexpected<Error> lost(std::string why) { return fail(Errc::connection_lost, std::move(why)); }

// One call of `write`.
struct Write {
  std::vector<Slice> pieces;
  env::Done<void> done;
};

class TlsStreamImpl final : public env::TlsStream {
 public:
  TlsStreamImpl(env::Loop& loop, std::unique_ptr<env::Stream> stream, TlsSession session,
                env::TlsHandshake handshake, env::Done<void> secured)
      : loop_(loop),
        stream_(std::move(stream)),
        session_(std::move(session)),
        secured_(std::move(secured)) {
    session_.feed(handshake.already_read);
    timer_ = loop_.after(handshake.timeout, scope_.wrap([this] {
      timer_ = {};
      conclude({Errc::deadline_exceeded, "the TLS handshake was not finished in time"});
    }));
    loop_.post(scope_.wrap([this] { step_handshake(); }));
  }

  // As below: what was written in this very turn still leaves, as far as it is taken at once.
  ~TlsStreamImpl() override {
    loop_.cancel(timer_);
    if (state_ != State::open || write_error_) return;
    encrypt();
    if (writes_.empty() && !shutdown_done_) session_.say_goodbye();
    if (session_.output_bytes() > 0) stream_->write(session_.take_output(), [](const Status&) {});
  }

  void read(MutableBytes into, env::Done<size_t> done) override {
    REQUIRE(!read_done_, "one read at a time");
    REQUIRE(!into.empty());
    read_done_ = std::move(done);
    read_into_ = into;
    switch (state_) {
      case State::handshaking:
      case State::refusing: return;
      case State::open:
        if (!read_ended_ && !read_error_ && !session_.has_input()) return read_cipher();
        break;
      case State::broken: break;
    }
    loop_.post(scope_.wrap([this] { continue_read(); }));
  }

  void write(std::vector<Slice> pieces, env::Done<void> done) override {
    for (const Slice& piece : pieces) plain_bytes_ += piece.size();
    writes_.push_back({std::move(pieces), std::move(done)});
    flush_at_turn_end();
  }

  size_t queued_bytes() const override { return plain_bytes_ + stream_->queued_bytes(); }

  void shutdown() override {
    shutdown_asked_ = true;
    flush_at_turn_end();
  }

  void abort() override {
    if (state_ == State::broken) return;
    const bool concluded = state_ == State::open;
    state_ = State::broken;
    stream_->abort();
    fail_writes("the stream was broken off");
    if (!concluded) {
      loop_.post(scope_.wrap([this] { conclude(lost("the stream was broken off").error()); }));
    } else if (read_done_ && !cipher_reading_) {
      loop_.post(scope_.wrap([this] { continue_read(); }));
    }
  }

  const env::Address& peer() const override { return stream_->peer(); }
  const env::TlsIdentity& identity() const override { return identity_; }
  std::string_view protocol() const override { return session_.protocol(); }

 private:
  enum class State : uint8_t { handshaking, refusing, open, broken };

  // --- The handshake ---
  void step_handshake() {
    if (state_ != State::handshaking) return;
    const auto progress = session_.handshake();
    if (!progress) return refuse(progress.error());
    send_cipher({});
    if (*progress == TlsSession::Progress::want_input) return read_cipher();
    loop_.cancel(std::exchange(timer_, {}));
    state_ = State::open;
    identity_ = session_.identity();
    flush_at_turn_end();
    if (read_done_) loop_.post(scope_.wrap([this] { continue_read(); }));
    std::exchange(secured_, nullptr)({});  // may destroy this
  }

  // The alert goes out; closing at once could break the connection before the other side has seen it.
  void refuse(Error why) {
    loop_.cancel(std::exchange(timer_, {}));
    if (why.code == Errc::connection_lost) return conclude(std::move(why));
    state_ = State::refusing;
    refusal_ = std::move(why);
    send_cipher({});
    stream_->shutdown();
    timer_ = loop_.after(k_refusal_time, scope_.wrap([this] {
      timer_ = {};
      conclude(std::move(refusal_));
    }));
    read_cipher();
  }

  void conclude(Error why) {
    if (!secured_) return;
    loop_.cancel(std::exchange(timer_, {}));
    state_ = State::broken;
    fail_writes(why.context);
    read_error_ = why;
    if (read_done_) loop_.post(scope_.wrap([this] { continue_read(); }));
    std::exchange(secured_, nullptr)(fail(std::move(why)));  // may destroy this
  }

  // --- Reading ---
  void read_cipher() {
    if (cipher_reading_) return;
    cipher_reading_ = true;
    if (state_ == State::refusing) session_.drop_input();
    const MutableBytes room = session_.input_room();
    ASSERT(!room.empty());
    stream_->read(room, scope_.wrap([this](Result<size_t> r) { on_cipher(std::move(r)); }));
  }

  void on_cipher(Result<size_t> result) {
    cipher_reading_ = false;
    switch (state_) {
      case State::refusing:
        refusal_bytes_ += result.value_or(0);
        if (!result || *result == 0 || refusal_bytes_ > k_refusal_bytes_max)
          return conclude(std::move(refusal_));
        return read_cipher();
      case State::handshaking:
        if (!result) return conclude(std::move(result.error()));
        break;
      case State::open:
      case State::broken:
        if (!result) {
          if (!read_error_) read_error_ = std::move(result.error());
          return continue_read();
        }
        break;
    }
    if (*result == 0) {
      session_.end_input();
    } else {
      session_.filled(*result);
    }
    if (state_ == State::handshaking) {
      step_handshake();
    } else {
      continue_read();
    }
  }

  // Answers the pending read if there is something to answer with; else reads on.
  void continue_read() {
    if (!read_done_ || state_ == State::handshaking || state_ == State::refusing) return;
    if (state_ == State::broken && !read_error_) read_error_ = lost("the stream is broken").error();
    if (read_error_) return finish_read(fail(*read_error_));
    if (read_ended_) return finish_read(size_t{0});
    const auto read = session_.read(read_into_);
    // Reading may have made something to say: an alert, the answer to a key update.
    send_cipher({});
    if (!read) {
      read_error_ = read.error();
      return finish_read(fail(*read_error_));
    }
    if (read->bytes > 0) return finish_read(read->bytes);
    if (!read->ended) return read_cipher();
    read_ended_ = true;
    finish_read(size_t{0});
  }

  void finish_read(Result<size_t> result) {
    std::exchange(read_done_, nullptr)(std::move(result));  // may destroy this
  }

  // --- Writing ---
  void flush_at_turn_end() {
    if (std::exchange(flush_planned_, true)) return;
    loop_.at_turn_end(scope_.wrap([this] {
      flush_planned_ = false;
      flush();
    }));
  }

  void flush() {
    switch (state_) {
      case State::handshaking:
      case State::refusing: return;
      case State::broken: return fail_writes("the stream is broken");
      case State::open: break;
    }
    if (write_error_) return fail_writes(write_error_->context);
    send_cipher(encrypt());
    if (!writes_.empty() || !shutdown_asked_ || shutdown_done_ || write_error_) return;
    shutdown_done_ = true;
    session_.say_goodbye();
    send_cipher({});
    write_error_ = lost("the stream was ended").error();
    stream_->shutdown();
  }

  // Turns the front of the queue into ciphertext, as far as it is wanted; who waits for what was
  // encrypted whole. Small pieces share a record.
  std::vector<env::Done<void>> encrypt() {
    std::vector<env::Done<void>> encrypted;
    uint8_t record[k_record_bytes];
    size_t filled = 0;
    const auto seal = [&](ByteView bytes) {
      if (const Status status = session_.write(bytes); !status && !write_error_)
        write_error_ = status.error();
    };
    while (!writes_.empty() && !write_error_ &&
           stream_->queued_bytes() + session_.output_bytes() < k_cipher_bytes_max) {
      Write& write = writes_.front();
      if (piece_ == write.pieces.size()) {
        encrypted.push_back(std::move(write.done));
        writes_.pop_front();
        piece_ = 0;
        continue;
      }
      const ByteView rest = write.pieces[piece_].view().subspan(piece_begin_);
      size_t bytes = 0;
      if (filled == 0 && rest.size() >= k_record_bytes) {
        bytes = k_record_bytes;
        seal(rest.first(bytes));
      } else {
        bytes = std::min(rest.size(), k_record_bytes - filled);
        if (bytes > 0) std::memcpy(record + filled, rest.data(), bytes);
        filled += bytes;
        if (filled == k_record_bytes) seal({record, std::exchange(filled, 0)});
      }
      plain_bytes_ -= bytes;
      piece_begin_ += bytes;
      if (piece_begin_ == write.pieces[piece_].size()) {
        ++piece_;
        piece_begin_ = 0;
      }
    }
    if (filled > 0 && !write_error_) seal({record, filled});
    return encrypted;
  }

  // Hands over what the session has to say. `done`: who waits for it.
  void send_cipher(std::vector<env::Done<void>> done) {
    if (session_.output_bytes() == 0 && done.empty()) return;
    stream_->write(session_.take_output(),
                   scope_.wrap([this, done = std::move(done)](const Status& status) mutable {
                     for (auto& d : done) complete_later(std::move(d), status);
                     if (!status && !write_error_) write_error_ = status.error();
                     if (!writes_.empty() || shutdown_asked_) flush_at_turn_end();
                   }));
  }

  void complete_later(env::Done<void> done, Status status) {
    if (!done) return;
    loop_.post(scope_.wrap([done = std::move(done), status = std::move(status)]() mutable {
      done(std::move(status));
    }));
  }

  void fail_writes(const std::string& why) {
    plain_bytes_ = 0;
    piece_ = piece_begin_ = 0;
    for (Write& write : std::exchange(writes_, {}))
      complete_later(std::move(write.done), lost(why));
  }

  env::Loop& loop_;
  std::unique_ptr<env::Stream> stream_;
  TlsSession session_;
  State state_ = State::handshaking;
  env::Done<void> secured_;  // set until the handshake is over
  env::TimerId timer_;
  env::TlsIdentity identity_;
  Error refusal_;
  size_t refusal_bytes_ = 0;

  env::Done<size_t> read_done_;  // set while a read is pending, into read_into_
  MutableBytes read_into_;
  bool cipher_reading_ = false;
  bool read_ended_ = false;
  std::optional<Error> read_error_;

  std::deque<Write> writes_;  // not encrypted, or not whole
  size_t piece_ = 0;  // of the first write: pieces before it, and bytes of it, are encrypted
  size_t piece_begin_ = 0;
  size_t plain_bytes_ = 0;  // of writes_, not encrypted
  bool flush_planned_ = false;
  bool shutdown_asked_ = false;
  bool shutdown_done_ = false;
  std::optional<Error> write_error_;  // what is written fails; there may still be something to read
  env::Scope scope_;
};

}  // namespace

std::unique_ptr<env::TlsStream> make_tls_stream(env::Loop& loop,
                                                std::unique_ptr<env::Stream> stream,
                                                TlsSession session, env::TlsHandshake handshake,
                                                env::Done<void> secured) {
  return std::make_unique<TlsStreamImpl>(loop, std::move(stream), std::move(session),
                                         std::move(handshake), std::move(secured));
}

}  // namespace bascule::io

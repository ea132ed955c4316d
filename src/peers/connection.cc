#include "src/peers/connection.h"

#include <utility>

namespace bascule::peers {

Connection::Connection(ConnectionHost& host, env::World world, const PeersOptions& options,
                       const PeerCodec& codec, Authenticator& authenticator, uint64_t id,
                       std::unique_ptr<env::Stream> stream, Self self, Plan plan)
    : host_(host),
      world_(world),
      options_(options),
      codec_(codec),
      id_(id),
      stream_(std::move(stream)),
      side_(plan.side),
      self_(self.identity.node),
      cluster_(self.cluster),
      handshake_(*this, codec, authenticator, *stream_, std::move(self), plan.side, plan.channel,
                 plan.called),
      last_heard_(world.loop.now()),
      last_sent_(world.loop.now()) {}

Connection::~Connection() { world_.loop.cancel(timer_); }

void Connection::start() {
  timer_ = world_.loop.after(options_.handshake_timeout, scope_.wrap([this] {
    end(CloseCause::silent, {Errc::connection_lost, "no handshake in time"});
  }));
  if (side_ == Side::dialer) say(handshake_.hello());
  read();
}

void Connection::read() {
  MutableBytes into;
  if (state_ == State::refusing) {
    if (!discard_) discard_ = BufferRef::allocate(4096);
    into = discard_.mutable_bytes();
  } else {
    into = reader_.into();
  }
  stream_->read(into, scope_.wrap([this](Result<size_t> result) { on_read(std::move(result)); }));
}

void Connection::on_read(Result<size_t> result) {
  if (state_ == State::closed) return;
  if (!result) {
    const Errc code = result.error().code;
    const bool secured = code != Errc::unauthenticated && code != Errc::unsupported;
    return end(secured ? CloseCause::ended : CloseCause::not_secured,
               {Errc::connection_lost, std::move(result.error().context)});
  }
  if (*result == 0) {
    return end(CloseCause::ended,
               {Errc::connection_lost, reader_.in_frame() ? "the stream ended inside of a frame"
                                                          : "the other side ended it"});
  }
  last_heard_ = world_.loop.now();
  stats_.bytes_in += *result;
  // A read that was under way when the refusal was sent went to the reader's buffer: nobody looks.
  if (state_ != State::refusing) {
    reader_.filled(*result);
    on_frames();
  }
  if (state_ != State::closed) read();
}

void Connection::on_frames() {
  while (state_ == State::shaking || state_ == State::open) {
    auto frame = reader_.next();
    if (!frame) return on_bad_frame(frame.error());
    if (!*frame) return;
    ++stats_.frames_in;
    if (state_ == State::shaking) {
      if ((*frame)->kind != FrameKind::handshake)
        return refuse({RefusalReason::malformed, "a frame before the handshake", self_, cluster_});
      on_handshake(**frame);
    } else if ((*frame)->kind == FrameKind::handshake) {
      // Once open, a last word can still come: another connection has taken this one's place.
      auto message = codec_.decode_handshake((*frame)->body);
      if (message && std::holds_alternative<Refusal>(*message)) {
        host_.refused(*this, std::get<Refusal>(*message), false);
        return end(CloseCause::refused, {Errc::connection_lost, std::get<Refusal>(*message).text});
      }
      return end(CloseCause::corrupt, {Errc::corrupt, "a handshake after the handshake"});
    } else if ((*frame)->kind != FrameKind::ping) {
      host_.received(*this, std::move(**frame));
    }
  }
}

void Connection::on_bad_frame(const Error& why) {
  const bool version = why.code == Errc::unsupported;
  if (state_ == State::shaking)
    return refuse({version ? RefusalReason::wrong_version : RefusalReason::malformed, why.context,
                   self_, cluster_});
  end(CloseCause::corrupt, why);
}

void Connection::on_handshake(const Frame& frame) {
  auto step = handshake_.take(frame.body);
  if (!step) return refuse(step.error());
  if (step->refused) {
    host_.refused(*this, *step->refused, false);
    return end(CloseCause::refused, {Errc::connection_refused, step->refused->text});
  }
  if (step->say) say(*step->say);
  if (!step->open) return;
  world_.loop.cancel(timer_);
  reader_.allow(k_payload_bytes_max);
  since_ = world_.loop.now();
  state_ = State::open;
  host_.opened(*this);
}

void Connection::say(const Bytes& body) {
  auto pieces = encode_frame({FrameKind::handshake, Slice::copy_of(body), {}});
  ASSERT(pieces.has_value(), body.size());
  enqueue(*std::move(pieces));
}

Status Connection::send(std::vector<Slice> pieces, Bound bound) {
  REQUIRE(state_ == State::open);
  const size_t queued = queued_bytes();
  if (bound == Bound::full_queue && queued > 0 &&
      queued + total_bytes(pieces) > options_.queue_bytes_max) {
    writable_owed_ = true;
    return fail(Errc::overloaded, "the queue to node " + found().other.node.to_string() + " (" +
                                      std::string(channel_name(found().channel)) + ") is full");
  }
  enqueue(std::move(pieces));
  return {};
}

void Connection::enqueue(std::vector<Slice> pieces) {
  const size_t bytes = total_bytes(pieces);
  queue_.push_back({std::move(pieces), bytes});
  queued_bytes_ += bytes;
  last_sent_ = world_.loop.now();
  ++stats_.frames_out;
  stats_.bytes_out += bytes;
  flush_at_turn_end();
}

void Connection::flush_at_turn_end() {
  if (std::exchange(flush_pending_, true)) return;
  world_.loop.at_turn_end(scope_.wrap([this] {
    flush_pending_ = false;
    flush();
  }));
}

void Connection::flush() {
  if (state_ == State::closed) return;
  size_t below = stream_->queued_bytes();
  std::vector<Slice> pieces;
  while (!queue_.empty() && below < options_.stream_bytes_max) {
    Queued frame = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= frame.bytes;
    below += frame.bytes;
    if (pieces.empty()) {
      pieces = std::move(frame.pieces);
    } else {
      for (Slice& piece : frame.pieces) pieces.push_back(std::move(piece));
    }
  }
  // A write that fails shows at the read, too.
  if (!pieces.empty()) stream_->write(std::move(pieces), scope_.wrap([this](Status) { flush(); }));
  if (state_ == State::refusing && queue_.empty()) stream_->shutdown();
  if (writable_owed_ && queued_bytes() <= options_.queue_bytes_max / 2) {
    writable_owed_ = false;
    if (state_ == State::open) host_.writable(*this);
  }
}

void Connection::refuse(Refusal refusal) {
  if (state_ == State::refusing || state_ == State::closed) return;
  // Nothing but the reason is left to say.
  queue_.clear();
  queued_bytes_ = 0;
  say(codec_.encode_handshake(refusal));
  state_ = State::refusing;
  world_.loop.cancel(timer_);
  timer_ = world_.loop.after(options_.linger, scope_.wrap([this] {
    end(CloseCause::refused, {Errc::connection_lost, "refused"});
  }));
  host_.refused(*this, refusal, true);
}

void Connection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  world_.loop.cancel(timer_);
}

void Connection::end(CloseCause cause, Error why) {
  if (state_ == State::closed) return;
  if (state_ == State::refusing) cause = CloseCause::refused;
  close();
  host_.closed(*this, cause, why);
}

void Connection::ping() {
  auto pieces = encode_frame({FrameKind::ping, {}, {}});
  ASSERT(pieces.has_value());
  enqueue(*std::move(pieces));
}

void Connection::tick() {
  if (state_ != State::open) return;
  const MonotonicTime now = world_.loop.now();
  if (now - last_heard_ > options_.silence_timeout) {
    return end(CloseCause::silent, {Errc::connection_lost, "nothing was heard for too long"});
  }
  if (queue_.empty() && now - last_sent_ >= options_.ping_interval) ping();
}

}  // namespace bascule::peers

// From the greeting to a secured stream. NATS greets in the open: INFO says that TLS is required or
// available, and a client that wants it answers with its handshake instead of CONNECT.
//
// A first byte of 0x16 begins a handshake; no command begins with it. What was read with it belongs to the
// handshake. While it is under way nothing of the connection is written: what gathers goes out afterwards.
#include "src/nats/connection.h"

namespace bascule::nats {

void Connection::choose_encryption() {
  if (buffer_.data()[begin_] == env::k_tls_handshake_byte) return upgrade();
  if (hub_.options().tls_mode == env::TlsMode::require)
    return tls_failed("the client speaks plaintext where TLS is required");
  upgrade_ = Upgrade::none;
  process();
}

void Connection::upgrade() {
  upgrade_ = Upgrade::handshake;
  world_.loop.cancel(std::exchange(timer_, {}));  // the handshake has its own
  env::TlsHandshake handshake;
  handshake.already_read = Slice(std::exchange(buffer_, {}), begin_, end_ - begin_);
  handshake.timeout = hub_.options().tls_timeout;
  begin_ = end_ = 0;
  stream_ =
      hub_.options().tls->accept(std::move(stream_), std::move(handshake),
                                 scope_.wrap([this](const Status& status) { upgraded(status); }));
}

void Connection::upgraded(const Status& status) {
  if (state_ != State::open) return;
  if (!status) return tls_failed(status.error().context);
  upgrade_ = Upgrade::none;
  principal_ = static_cast<env::TlsStream&>(*stream_).identity().name();
  schedule_tick(connected_ ? hub_.options().ping_interval : hub_.options().auth_timeout);
  if (flush_pending_) hub_.wants_flush(*this);
  read();
}

void Connection::tls_failed(const std::string& why) {
  ++hub_.stats().tls_failures;
  world_.trace.probe("nats.connection.tls_refused");
  if (world_.trace.wants(TraceLevel::warning))
    world_.trace.message(TraceLevel::warning, "nats", peer().to_string() + ": " + why);
  // After a failed handshake nobody is left who could read a text.
  if (upgrade_ == Upgrade::handshake) return end();
  begin_ = end_ = 0;
  close("Secure Connection - TLS Required");
  read();  // what still comes is dropped until the client ends
}

}  // namespace bascule::nats

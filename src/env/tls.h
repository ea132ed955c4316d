// TLS as the broker sees it: a Stream is wrapped into another Stream whose bytes are secret on the wire.
//
// A front end that is configured for TLS gets a TlsServer and wraps what its listener accepts, at once or
// in the middle of a conversation (NATS greets in the open). What the other side has proved of itself is
// an identity, which the front end maps to a principal. io/ implements this with OpenSSL; the simulator
// has none, and front ends without a TlsServer speak in the open.
//
// Versions before TLS 1.2 are refused. An end without TLS's own goodbye is a broken stream, not an end.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/bytes.h"
#include "src/env/network.h"

namespace bascule::env {

// What the other side's certificate says, after it was verified. All empty: it showed none.
struct TlsIdentity {
  std::string common_name;          // of the subject
  std::vector<std::string> dns;     // subject alternative names
  std::vector<std::string> emails;  // the same
  std::vector<std::string> uris;    // the same
  bool operator==(const TlsIdentity&) const = default;

  // The name for a principal: the common name, else the first DNS name, e-mail address or URI. Empty:
  // no certificate, or one that names nobody.
  std::string_view name() const;
  // Whether `name` is the common name or one of the DNS names.
  bool has_name(std::string_view name) const;
  // All of those, for people: "a", "b".
  std::string listed() const;
};

// A Stream under TLS. Reads and writes may begin at once: they wait for the handshake.
//
// A read gives `unauthenticated` instead of `connection_lost` where the other side broke off because of
// our certificate, or the lack of one: with TLS 1.3 it can say so only after our handshake is over.
class TlsStream : public Stream {
 public:
  // Of the other side. Once `secured` has completed.
  virtual const TlsIdentity& identity() const = 0;
  // "TLSv1.3". Once `secured` has completed.
  virtual std::string_view protocol() const = 0;
};

// For both sides: `secured` completes once when the handshake is over, in a later turn, unless the stream
// is destroyed first. After an error the stream is of no use. Errors:
//   unauthenticated    a certificate was not accepted, by this side or the other; the text says why
//   unsupported        the other side speaks something else, or no version and cipher are common to both
//   connection_lost    it went away
//   deadline_exceeded  it did not finish in `timeout`
// A side that refuses says why to the other, with an alert, before it completes.
struct TlsHandshake {
  // Bytes of the other side that were read from the stream before the upgrade.
  Slice already_read{};
  Duration timeout = seconds(10);
};

class TlsServer {
 public:
  virtual ~TlsServer() = default;
  // `stream` is nobody else's any more. The certificates are those of this moment.
  virtual std::unique_ptr<TlsStream> accept(std::unique_ptr<Stream> stream, TlsHandshake handshake,
                                            Done<void> secured) = 0;
  // Whether each client must show a certificate: then a secured stream has an identity, and TLS is
  // authentication.
  virtual bool requires_identity() const = 0;
};

class TlsClient {
 public:
  virtual ~TlsClient() = default;
  // `server_name` is the host name or address literal that the server's certificate must be for.
  virtual std::unique_ptr<TlsStream> connect(std::unique_ptr<Stream> stream,
                                             const std::string& server_name, TlsHandshake handshake,
                                             Done<void> secured) = 0;
};

// Whether a listener speaks TLS. `allow`: a client chooses; for the time of a migration.
enum class TlsMode : uint8_t { off, allow, require };

// The first byte of a client that begins a TLS handshake, and that of a refusal; no text protocol begins
// with them.
inline constexpr uint8_t k_tls_handshake_byte = 0x16;
inline constexpr uint8_t k_tls_alert_byte = 0x15;

}  // namespace bascule::env

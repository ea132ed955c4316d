// One TLS connection as a machine without I/O: ciphertext in, plaintext out, and the other way round.
//
//   network → input_room()/filled() → read()  → plaintext
//   plaintext → write()             → take_output() → network
//
// OpenSSL reads from and writes to our own buffers (a BIO of ours), so ciphertext is copied once each way,
// and nothing in here waits. TLS 1.3 has messages after the handshake (key updates): what they answer
// shows in the output after a read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/openssl.h"
#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/env/tls.h"

namespace bascule::io {

// Whether a client compares the name that it calls with the server's certificate.
enum class ServerNames : uint8_t {
  checked,
  left_to_caller,  // who compares the identity with something better than a host's name
};

// Whom a certificate is for.
env::TlsIdentity identity_of(const X509* certificate);

class TlsSession {
 public:
  // Keeps the context alive. For a client, `server_name` is who the server's certificate must be for,
  // unless the names are left to the caller.
  static TlsSession server(SSL_CTX& context) {
    return TlsSession(context, nullptr, ServerNames::checked);
  }
  static TlsSession client(SSL_CTX& context, const std::string& server_name, ServerNames names) {
    return TlsSession(context, &server_name, names);
  }
  ~TlsSession();
  TlsSession(TlsSession&&) noexcept;

  // --- Ciphertext ---
  // Room for what the network has next. Empty: there is something that was not consumed yet.
  MutableBytes input_room();
  void filled(size_t bytes);
  // Bytes that came before this session was made; once, before anything else.
  void feed(ByteView bytes);
  // Forgets what came and was not consumed.
  void drop_input() { wire_->begin = wire_->end = 0; }
  // Something came that was not read yet: a read would find it, or part of it.
  bool has_input() const;
  // The network has ended its direction.
  void end_input();
  std::vector<Slice> take_output();
  size_t output_bytes() const { return wire_->output_bytes; }

  // --- Plaintext ---
  enum class Progress : uint8_t { want_input, done };
  // Goes on until it needs more input, is done, or has failed (as env::TlsHandshake says); an alert for
  // the other side may be in the output then.
  Result<Progress> handshake();
  struct Read {
    size_t bytes = 0;    // 0: more input is needed, or `ended`
    bool ended = false;  // the other side has said goodbye
  };
  // Fills `into` as far as there is something. `connection_lost`, or `unauthenticated` as TlsStream says.
  Result<Read> read(MutableBytes into);
  // Encrypts all of it into the output.
  Status write(ByteView bytes);
  // Our goodbye; nothing is written after it.
  void say_goodbye();

  // After the handshake.
  env::TlsIdentity identity() const;
  std::string_view protocol() const { return SSL_get_version(ssl_.get()); }

 private:
  friend struct SessionBio;

  // What the BIO reads and writes. It has an address of its own: OpenSSL keeps a pointer to it.
  struct Wire {
    BufferRef input;  // received and not consumed: [begin, end)
    size_t begin = 0;
    size_t end = 0;
    bool ended = false;
    std::vector<Slice> output;  // full chunks
    BufferRef chunk;            // being filled
    size_t chunk_begin = 0;     // what lies before was taken
    size_t chunk_end = 0;
    size_t output_bytes = 0;
  };

  TlsSession(SSL_CTX& context, const std::string* server_name, ServerNames names);
  Error failure();
  Error refusal_of(int verify_result) const;

  std::unique_ptr<Wire> wire_;
  SslPtr ssl_;
  bool is_server_;
  bool first_byte_seen_ = false;
  size_t input_bytes_ = 4096;  // size of the next input buffer: follows what comes
  std::string server_name_;
};

}  // namespace bascule::io

#include "io/tls_session.h"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <system_error>
#include <utility>

#include "src/base/assert.h"

namespace bascule::io {
namespace {

constexpr size_t k_input_bytes_max = 64 << 10;
// Ciphertext is gathered in chunks: a small one for small messages, else some full records.
constexpr size_t k_small_chunk_bytes = 4 << 10;
constexpr size_t k_chunk_bytes = 68 << 10;

bool names_an_address(const std::string& name) {
  return name.find(':') != std::string::npos ||
         name.find_first_not_of("0123456789.") == std::string::npos;
}

std::string text_of(const ASN1_STRING* string) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, string);
  if (size < 0) return {};
  std::string out(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  // A name with a zero or a line break in it is meant to look like another one.
  const auto bad = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return std::ranges::any_of(out, bad) ? std::string() : out;
}

// Alerts by which the other side refuses our certificate, or the lack of one.
bool is_about_certificates(int alert) {
  switch (alert) {
    case SSL_AD_NO_CERTIFICATE:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED: return true;
    default: return false;
  }
}

}  // namespace

std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return {};
  if (ERR_SYSTEM_ERROR(code)) return std::generic_category().message(ERR_GET_REASON(code));
  const char* const reason = ERR_reason_error_string(code);
  if (reason != nullptr) return reason;
  char text[120];
  ERR_error_string_n(code, text, sizeof(text));
  return text;
}

// The BIO: OpenSSL's view of a session's Wire.
struct SessionBio {
  using Wire = TlsSession::Wire;

  static Wire& wire(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* to, int size) {
    Wire& w = wire(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0) return 0;
    const size_t bytes = std::min(static_cast<size_t>(size), w.end - w.begin);
    if (bytes == 0) {
      if (w.ended) return 0;
      BIO_set_retry_read(bio);
      return -1;
    }
    std::memcpy(to, w.input.data() + w.begin, bytes);
    w.begin += bytes;
    return static_cast<int>(bytes);
  }

  static int write(BIO* bio, const char* from, int size) {
    Wire& w = wire(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0) return 0;
    ByteView left = as_bytes(std::string_view(from, static_cast<size_t>(size)));
    w.output_bytes += left.size();
    while (!left.empty()) {
      if (w.chunk_end == w.chunk.size()) {
        close_chunk(w);
        w.chunk = BufferRef::allocate(left.size() > k_small_chunk_bytes / 2 || !w.output.empty()
                                          ? k_chunk_bytes
                                          : k_small_chunk_bytes);
        w.chunk_begin = w.chunk_end = 0;
      }
      const size_t bytes = std::min(left.size(), w.chunk.size() - w.chunk_end);
      // What was taken of the chunk is with others; what lies behind is nobody's yet.
      std::memcpy(const_cast<uint8_t*>(w.chunk.data()) + w.chunk_end, left.data(), bytes);
      w.chunk_end += bytes;
      left = left.subspan(bytes);
    }
    return size;
  }

  static void close_chunk(Wire& w) {
    if (w.chunk_end > w.chunk_begin)
      w.output.emplace_back(w.chunk, w.chunk_begin, w.chunk_end - w.chunk_begin);
    w.chunk_begin = w.chunk_end;
  }

  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return wire(bio).ended && wire(bio).begin == wire(bio).end ? 1 : 0;
    return 0;
  }

  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }

  static const BIO_METHOD* method() {
    // Never freed and never written to again: a table of functions.
    static const BIO_METHOD* const k_method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "bascule");
      ASSERT(made != nullptr);
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      BIO_meth_set_create(made, create);
      return made;
    }();
    return k_method;
  }
};

TlsSession::TlsSession(SSL_CTX& context, const std::string* server_name, ServerNames names)
    : wire_(std::make_unique<Wire>()), ssl_(SSL_new(&context)), is_server_(server_name == nullptr) {
  ASSERT(ssl_ != nullptr);
  BIO* const bio = BIO_new(SessionBio::method());
  ASSERT(bio != nullptr);
  BIO_set_data(bio, wire_.get());
  SSL_set_bio(ssl_.get(), bio, bio);
  if (is_server_) {
    SSL_set_accept_state(ssl_.get());
    return;
  }
  server_name_ = *server_name;
  SSL_set_connect_state(ssl_.get());
  const bool address = names_an_address(server_name_);
  if (!address) SSL_set_tlsext_host_name(ssl_.get(), server_name_.c_str());
  if (names == ServerNames::left_to_caller) return;
  X509_VERIFY_PARAM* const verify = SSL_get0_param(ssl_.get());
  if (address) {
    X509_VERIFY_PARAM_set1_ip_asc(verify, server_name_.c_str());
  } else {
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(verify, server_name_.data(), server_name_.size());
  }
}

TlsSession::TlsSession(TlsSession&&) noexcept = default;
TlsSession::~TlsSession() = default;

// --- Ciphertext -----------------------------------------------------------------------------------

MutableBytes TlsSession::input_room() {
  Wire& w = *wire_;
  if (w.begin < w.end) return {};
  w.begin = w.end = 0;
  if (w.input.size() < input_bytes_) w.input = BufferRef::allocate(input_bytes_);
  return w.input.mutable_bytes();
}

void TlsSession::filled(size_t bytes) {
  wire_->end += bytes;
  if (wire_->end == wire_->input.size())
    input_bytes_ = std::min(input_bytes_ * 2, k_input_bytes_max);
}

void TlsSession::feed(ByteView bytes) {
  REQUIRE(wire_->end == 0);
  if (bytes.empty()) return;
  wire_->input = BufferRef::copy_of(bytes);
  wire_->end = bytes.size();
}

bool TlsSession::has_input() const {
  return wire_->begin < wire_->end || SSL_has_pending(ssl_.get()) == 1;
}

void TlsSession::end_input() { wire_->ended = true; }

std::vector<Slice> TlsSession::take_output() {
  SessionBio::close_chunk(*wire_);
  wire_->output_bytes = 0;
  // An idle connection keeps a small chunk at most.
  if (wire_->chunk.size() > k_small_chunk_bytes) {
    wire_->chunk = BufferRef();
    wire_->chunk_begin = wire_->chunk_end = 0;
  }
  return std::exchange(wire_->output, {});
}

// --- Plaintext ------------------------------------------------------------------------------------

Result<TlsSession::Progress> TlsSession::handshake() {
  Wire& w = *wire_;
  if (!first_byte_seen_ && w.begin < w.end) {
    first_byte_seen_ = true;
    const uint8_t first = w.input.data()[w.begin];
    // An alert may come first, to a client.
    if (first != env::k_tls_handshake_byte && (is_server_ || first != env::k_tls_alert_byte)) {
      // OpenSSL would say what its parser stumbled over. An alert of ours still tells a TLS library.
      static constexpr char k_unexpected_message[] = {env::k_tls_alert_byte, 3, 3, 0, 2, 2, 10};
      SessionBio::write(SSL_get_wbio(ssl_.get()), k_unexpected_message,
                        sizeof(k_unexpected_message));
      return fail(Errc::unsupported, is_server_
                                         ? "the client speaks plaintext where TLS is required"
                                         : "the server does not speak TLS here");
    }
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return Progress::done;
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return Progress::want_input;
  return fail(failure());
}

Result<TlsSession::Read> TlsSession::read(MutableBytes into) {
  Read out;
  while (out.bytes < into.size()) {
    ERR_clear_error();
    size_t bytes = 0;
    const int result =
        SSL_read_ex(ssl_.get(), into.data() + out.bytes, into.size() - out.bytes, &bytes);
    if (result == 1) {
      out.bytes += bytes;
      continue;
    }
    const int why = SSL_get_error(ssl_.get(), result);
    if (why == SSL_ERROR_WANT_READ) break;
    // What came before it is delivered first; the next read meets it again.
    if (out.bytes > 0) break;
    if (why == SSL_ERROR_ZERO_RETURN) {
      out.ended = true;
      break;
    }
    Error error = failure();
    if (error.code != Errc::unauthenticated) error.code = Errc::connection_lost;
    return fail(std::move(error));
  }
  return out;
}

Status TlsSession::write(ByteView bytes) {
  if (bytes.empty()) return {};
  ERR_clear_error();
  size_t written = 0;
  // The BIO takes everything and renegotiation is off: it writes all, or the session is broken.
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) != 1)
    return fail(Errc::connection_lost, "TLS: " + openssl_error());
  ASSERT(written == bytes.size(), written, bytes.size());
  return {};
}

void TlsSession::say_goodbye() {
  ERR_clear_error();
  (void)SSL_shutdown(ssl_.get());
}

// --- What went wrong ------------------------------------------------------------------------------

Error TlsSession::refusal_of(int verify_result) const {
  std::string why = X509_verify_cert_error_string(verify_result);
  if (verify_result == X509_V_ERR_HOSTNAME_MISMATCH ||
      verify_result == X509_V_ERR_IP_ADDRESS_MISMATCH)
    why = "it is not for \"" + server_name_ + "\"";
  return {Errc::unauthenticated,
          std::string(is_server_ ? "the client's" : "the server's") + " certificate: " + why};
}

Error TlsSession::failure() {
  const unsigned long code = ERR_peek_error();
  const int reason = ERR_GET_REASON(code);
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
    if (const long verified = SSL_get_verify_result(ssl_.get()); verified != X509_V_OK) {
      ERR_clear_error();
      return refusal_of(static_cast<int>(verified));
    }
  std::string text = openssl_error();
  if (code == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
    return {Errc::connection_lost, SSL_is_init_finished(ssl_.get())
                                       ? "TLS: the other side was cut off"
                                       : "TLS: the other side ended during the handshake"};
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
    return {Errc::unauthenticated, "the client showed no certificate"};
  if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET) {
    const int alert = reason - SSL_AD_REASON_OFFSET;
    if (is_about_certificates(alert))
      return {Errc::unauthenticated, "the other side refuses our certificate: " + text};
    return {Errc::unsupported, "TLS: the other side says: " + text};
  }
  return {Errc::unsupported, "TLS: " + text};
}

env::TlsIdentity TlsSession::identity() const {
  const X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
  return identity_of(certificate);
}

env::TlsIdentity identity_of(const X509* certificate) {
  env::TlsIdentity out;
  const X509_NAME* const subject = X509_get_subject_name(certificate);
  if (const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); at >= 0)
    out.common_name = text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    std::vector<std::string>* const to = name->type == GEN_DNS     ? &out.dns
                                         : name->type == GEN_EMAIL ? &out.emails
                                         : name->type == GEN_URI   ? &out.uris
                                                                   : nullptr;
    if (to == nullptr) continue;
    if (std::string text = text_of(name->d.ia5); !text.empty()) to->push_back(std::move(text));
  }
  return out;
}

}  // namespace bascule::io

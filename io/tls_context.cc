#include "io/tls_context.h"

#include <openssl/err.h>

#include <ctime>
#include <utility>

#include "io/openssl.h"
#include "io/tls_stream.h"
#include "src/base/assert.h"

namespace bascule::io {
namespace {

std::unexpected<Error> bad_file(const char* what, const std::string& file) {
  const std::string why = openssl_error();
  return fail(Errc::invalid,
              std::string(what) + " " + file + ": " + (why.empty() ? "cannot be used" : why));
}

Result<SslContextPtr> make_context(const SSL_METHOD* method) {
  SslContextPtr context(SSL_CTX_new(method));
  ASSERT(context != nullptr);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Connections live long: resumption saves nothing, and would outlive a change of the authorities.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                         SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  // An idle connection keeps no record buffers.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  // TLS 1.2: forward secrecy and authenticated encryption only. AES-128 first in both versions: it is the
  // faster one, and nobody breaks either.
  if (SSL_CTX_set_ciphersuites(context.get(),
                               "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                               "TLS_CHACHA20_POLY1305_SHA256") != 1 ||
      SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20") !=
          1)
    return fail(Errc::invalid, "TLS: " + openssl_error());
  return context;
}

Status use_certificate(SSL_CTX* context, const std::string& certificate, const std::string& key) {
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    return bad_file("certificate", certificate);
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
    return bad_file("key", key);
  if (SSL_CTX_check_private_key(context) != 1)
    return fail(Errc::invalid, "key " + key + ": is not that of the certificate " + certificate);
  return {};
}

std::string utc(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "?";
  char text[40];
  return {text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

// A key behind a passphrase would make OpenSSL ask on the terminal.
int no_passphrase(char*, int, int, void*) { return 0; }

}  // namespace

// --- Server ---------------------------------------------------------------------------------------

struct TlsServerContext::Loaded {
  SslContextPtr context;

  static Result<std::unique_ptr<Loaded>> load(const TlsServerFiles& files) {
    BASCULE_TRY_ASSIGN(SslContextPtr context, make_context(TLS_server_method()));
    SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
    BASCULE_TRY(use_certificate(context.get(), files.certificate, files.key));
    if (files.clients != ClientCertificates::none) {
      ERR_clear_error();
      if (SSL_CTX_load_verify_file(context.get(), files.client_ca.c_str()) != 1)
        return bad_file("client authority", files.client_ca);
      STACK_OF(X509_NAME)* const names = SSL_load_client_CA_file(files.client_ca.c_str());
      if (names == nullptr) return bad_file("client authority", files.client_ca);
      SSL_CTX_set_client_CA_list(context.get(), names);
      const bool must = files.clients == ClientCertificates::required;
      SSL_CTX_set_verify(context.get(),
                         SSL_VERIFY_PEER | (must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    }
    return std::make_unique<Loaded>(std::move(context));
  }
};

Result<std::unique_ptr<TlsServerContext>> TlsServerContext::open(env::Loop& loop,
                                                                 TlsServerFiles files) {
  BASCULE_TRY_ASSIGN(auto loaded, Loaded::load(files));
  return std::unique_ptr<TlsServerContext>(
      new TlsServerContext(loop, std::move(files), std::move(loaded)));
}

TlsServerContext::TlsServerContext(env::Loop& loop, TlsServerFiles files,
                                   std::unique_ptr<Loaded> loaded)
    : loop_(loop), files_(std::move(files)), loaded_(std::move(loaded)) {}

TlsServerContext::~TlsServerContext() = default;

std::unique_ptr<env::TlsStream> TlsServerContext::accept(std::unique_ptr<env::Stream> stream,
                                                         env::TlsHandshake handshake,
                                                         env::Done<void> secured) {
  return make_tls_stream(loop_, std::move(stream), TlsSession::server(*loaded_->context),
                         std::move(handshake), std::move(secured));
}

bool TlsServerContext::requires_identity() const {
  return files_.clients == ClientCertificates::required;
}

Status TlsServerContext::reload() {
  BASCULE_TRY_ASSIGN(loaded_, Loaded::load(files_));
  return {};
}

env::TlsIdentity TlsServerContext::identity() const {
  return identity_of(SSL_CTX_get0_certificate(loaded_->context.get()));
}

bool TlsServerContext::expired() const {
  X509* const certificate = SSL_CTX_get0_certificate(loaded_->context.get());
  return X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0;
}

std::string TlsServerContext::describe() const {
  X509* const certificate = SSL_CTX_get0_certificate(loaded_->context.get());
  ASSERT(certificate != nullptr);
  char name[256] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
  const ASN1_TIME* const end = X509_get0_notAfter(certificate);
  return "certificate of " + std::string(name[0] == '\0' ? "(no common name)" : name) +
         (expired() ? ", EXPIRED since " : ", valid until ") + utc(end);
}

// --- Client ---------------------------------------------------------------------------------------

struct TlsClientContext::Loaded {
  SslContextPtr context;

  static Result<std::unique_ptr<Loaded>> load(const TlsClientFiles& files) {
    BASCULE_TRY_ASSIGN(SslContextPtr context, make_context(TLS_client_method()));
    SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    ERR_clear_error();
    if (files.ca.empty()) {
      if (SSL_CTX_set_default_verify_paths(context.get()) != 1)
        return bad_file("authorities", "of the system");
    } else if (SSL_CTX_load_verify_file(context.get(), files.ca.c_str()) != 1) {
      return bad_file("authority", files.ca);
    }
    if (files.certificate.empty() != files.key.empty())
      return fail(Errc::invalid, "a client's certificate and its key go together");
    if (!files.certificate.empty())
      BASCULE_TRY(use_certificate(context.get(), files.certificate, files.key));
    return std::make_unique<Loaded>(std::move(context));
  }
};

Result<std::unique_ptr<TlsClientContext>> TlsClientContext::open(env::Loop& loop,
                                                                 TlsClientFiles files) {
  BASCULE_TRY_ASSIGN(auto loaded, Loaded::load(files));
  return std::unique_ptr<TlsClientContext>(
      new TlsClientContext(loop, std::move(files), std::move(loaded)));
}

TlsClientContext::TlsClientContext(env::Loop& loop, TlsClientFiles files,
                                   std::unique_ptr<Loaded> loaded)
    : loop_(loop), files_(std::move(files)), loaded_(std::move(loaded)) {}

TlsClientContext::~TlsClientContext() = default;

std::unique_ptr<env::TlsStream> TlsClientContext::connect(std::unique_ptr<env::Stream> stream,
                                                          const std::string& server_name,
                                                          env::TlsHandshake handshake,
                                                          env::Done<void> secured) {
  return make_tls_stream(loop_, std::move(stream),
                         TlsSession::client(*loaded_->context, server_name, files_.names),
                         std::move(handshake), std::move(secured));
}

Status TlsClientContext::reload() {
  BASCULE_TRY_ASSIGN(loaded_, Loaded::load(files_));
  return {};
}

}  // namespace bascule::io

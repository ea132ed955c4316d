#include "io/tls_authority.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "io/errno_error.h"
#include "io/fd.h"
#include "src/base/assert.h"

namespace bascule::io {
namespace {

Result<KeyPtr> make_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return fail(Errc::internal, "key: " + openssl_error());
  return key;
}

template <class Write>
std::string pem_of(Write write) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  ASSERT(bio != nullptr && write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

std::string pem_of(X509* certificate) {
  return pem_of([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

std::string pem_of(EVP_PKEY* key) {
  return pem_of([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

Status set_common_name(X509* certificate, const std::string& name) {
  // RFC 5280: at most 64 characters.
  if (name.empty() || name.size() > 64)
    return fail(Errc::invalid, "the common name \"" + name + "\" has not 1 to 64 characters");
  X509_NAME* const subject = X509_get_subject_name(certificate);
  if (X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(name.data()),
                                 static_cast<int>(name.size()), -1, 0) != 1)
    return fail(Errc::invalid, "common name \"" + name + "\": " + openssl_error());
  return {};
}

Status add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1)
    return fail(Errc::invalid,
                "\"" + value + "\" cannot stand in a certificate: " + openssl_error());
  return {};
}

// Random, positive and not zero.
void set_serial(X509* certificate) {
  unsigned char bytes[16];
  ASSERT(RAND_bytes(bytes, sizeof(bytes)) == 1);
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);
  BIGNUM* const number = BN_bin2bn(bytes, sizeof(bytes), nullptr);
  ASSERT(number != nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
}

// Everything but the issuer, the extensions and the signature.
Result<CertificatePtr> begin_certificate(const std::string& common_name, EVP_PKEY* key,
                                         Duration valid_from, Duration valid_until) {
  constexpr int64_t k_second = 1'000'000'000;
  CertificatePtr certificate(X509_new());
  ASSERT(certificate != nullptr);
  X509_set_version(certificate.get(), X509_VERSION_3);
  set_serial(certificate.get());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), valid_from.ns / k_second);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), valid_until.ns / k_second);
  X509_set_pubkey(certificate.get(), key);
  BASCULE_TRY(set_common_name(certificate.get(), common_name));
  return certificate;
}

Status sign(X509* certificate, EVP_PKEY* key) {
  if (X509_sign(certificate, key, EVP_sha256()) == 0)
    return fail(Errc::internal, "signing: " + openssl_error());
  return {};
}

Result<std::string> alternative_names(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    // The list has a syntax of its own.
    if (name.empty() || name.find_first_of(", \t\r\n;") != std::string::npos)
      return fail(Errc::invalid, "\"" + name + "\" is no host name or address");
    const bool address = name.find(':') != std::string::npos ||
                         name.find_first_not_of("0123456789.") == std::string::npos;
    out += (out.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + name;
  }
  return out;
}

// A reader sees the old file or the new one.
Status replace_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  const auto failed = [&](const char* what) { return fail(file_error(errno, what, path)); };
  {
    const Fd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!file) return failed("create");
    size_t written = 0;
    while (written < text.size()) {
      const ssize_t n = ::write(file.get(), text.data() + written, text.size() - written);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return failed("write");
      written += static_cast<size_t>(n);
    }
    if (::fsync(file.get()) != 0) return failed("sync");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed("rename");
  return {};
}

}  // namespace

Result<TlsAuthority> TlsAuthority::create(const std::string& common_name, Duration valid_for) {
  BASCULE_TRY_ASSIGN(KeyPtr key, make_key());
  BASCULE_TRY_ASSIGN(CertificatePtr certificate,
                     begin_certificate(common_name, key.get(), seconds(-300), valid_for));
  X509* const c = certificate.get();
  X509_set_issuer_name(c, X509_get_subject_name(c));
  BASCULE_TRY(add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  BASCULE_TRY(add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign"));
  BASCULE_TRY(add_extension(c, c, NID_subject_key_identifier, "hash"));
  BASCULE_TRY(sign(c, key.get()));
  return TlsAuthority(std::move(key), std::move(certificate));
}

std::string TlsAuthority::certificate() const { return pem_of(certificate_.get()); }

Result<TlsCertificate> TlsAuthority::issue(const TlsCertificateOptions& options) const {
  using Use = TlsCertificateOptions::Use;
  BASCULE_TRY_ASSIGN(const std::string names, alternative_names(options.names));
  BASCULE_TRY_ASSIGN(KeyPtr key, make_key());
  BASCULE_TRY_ASSIGN(
      CertificatePtr certificate,
      begin_certificate(options.common_name, key.get(), options.valid_from, options.valid_until));
  X509* const c = certificate.get();
  X509* const issuer = certificate_.get();
  X509_set_issuer_name(c, X509_get_subject_name(issuer));
  BASCULE_TRY(add_extension(c, issuer, NID_basic_constraints, "critical,CA:FALSE"));
  BASCULE_TRY(add_extension(c, issuer, NID_key_usage, "critical,digitalSignature"));
  const char* const use = options.use == Use::server   ? "serverAuth"
                          : options.use == Use::client ? "clientAuth"
                                                       : "serverAuth,clientAuth";
  BASCULE_TRY(add_extension(c, issuer, NID_ext_key_usage, use));
  BASCULE_TRY(add_extension(c, issuer, NID_subject_key_identifier, "hash"));
  BASCULE_TRY(add_extension(c, issuer, NID_authority_key_identifier, "keyid:always"));
  if (!names.empty()) BASCULE_TRY(add_extension(c, issuer, NID_subject_alt_name, names));
  BASCULE_TRY(sign(c, key_.get()));
  return TlsCertificate{pem_of(c), pem_of(key.get())};
}

TlsFiles tls_files_in(const std::string& directory) {
  return {.ca = directory + "/ca.pem",
          .certificate = directory + "/server.pem",
          .key = directory + "/server-key.pem",
          .client_certificate = directory + "/client.pem",
          .client_key = directory + "/client-key.pem"};
}

TlsBrokerFiles tls_broker_files_in(const std::string& directory, uint32_t node) {
  const std::string stem = directory + "/node-" + std::to_string(node);
  return {.certificate = stem + ".pem", .key = stem + "-key.pem"};
}

Result<TlsFiles> make_tls_files(const std::string& directory, const TlsFilesOptions& options) {
  using Use = TlsCertificateOptions::Use;
  BASCULE_TRY_ASSIGN(const TlsAuthority authority,
                     TlsAuthority::create("bascule throw-away authority", options.valid_for));
  TlsCertificateOptions server{.common_name = "localhost",
                               .names = {"localhost", "127.0.0.1", "::1"},
                               .use = Use::both,
                               .valid_until = options.valid_for};
  server.names.insert(server.names.end(), options.names.begin(), options.names.end());
  BASCULE_TRY_ASSIGN(const TlsCertificate broker, authority.issue(server));
  std::vector<TlsCertificate> members;
  for (uint32_t n = 1; n <= options.nodes; ++n) {
    TlsCertificateOptions member = server;
    member.common_name = "node-" + std::to_string(n);
    member.names.push_back(member.common_name);
    BASCULE_TRY_ASSIGN(members.emplace_back(), authority.issue(member));
  }
  BASCULE_TRY_ASSIGN(
      const TlsCertificate client,
      authority.issue(
          {.common_name = options.client, .use = Use::client, .valid_until = options.valid_for}));
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail(Errc::io_error, "create " + directory + ": " + error.message());
  TlsFiles files = tls_files_in(directory);
  // A client must not meet a certificate whose authority it does not know yet.
  BASCULE_TRY(replace_file(files.ca, authority.certificate(), 0644));
  BASCULE_TRY(replace_file(files.key, broker.key, 0600));
  BASCULE_TRY(replace_file(files.certificate, broker.certificate, 0644));
  for (uint32_t n = 1; n <= options.nodes; ++n) {
    const TlsBrokerFiles member = tls_broker_files_in(directory, n);
    BASCULE_TRY(replace_file(member.key, members[n - 1].key, 0600));
    BASCULE_TRY(replace_file(member.certificate, members[n - 1].certificate, 0644));
  }
  BASCULE_TRY(replace_file(files.client_key, client.key, 0600));
  BASCULE_TRY(replace_file(files.client_certificate, client.certificate, 0644));
  return files;
}

}  // namespace bascule::io

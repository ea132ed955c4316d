#include "src/controller/identity.h"

#include <algorithm>
#include <string>

#include "src/base/codec.h"
#include "src/base/crc32c.h"

namespace bascule::controller {
namespace {

constexpr uint64_t k_identity_magic = 0x3144'4943'5341'42;     // "BASCID1"
constexpr uint64_t k_incarnation_magic = 0x314e'4943'5341'42;  // "BASCIN1"
constexpr uint32_t k_format = 2;
constexpr uint32_t k_format_before = 1;  // `incarnation` without `registered`
constexpr size_t k_record_bytes = 64;
// Apart by more than a sector or a block: what spoils one leaves the other.
constexpr size_t k_copy_distance = 4096;

void put_uuid(Writer& w, const Uuid& u) {
  w.fixed(u.words[0]);
  w.fixed(u.words[1]);
}

Uuid take_uuid(Reader& r) {
  const auto first = r.fixed<uint64_t>();
  return Uuid{{first, r.fixed<uint64_t>()}};
}

Bytes twice(Bytes record) {
  record.resize(k_record_bytes - sizeof(uint32_t), 0);
  Writer(record).fixed(crc32c(record));
  Bytes file = record;
  file.resize(k_copy_distance, 0);
  file.insert(file.end(), record.begin(), record.end());
  return file;
}

struct Copy {
  uint32_t format = 0;
  ByteView body;
};

// The first whole copy, without its CRC.
Result<Copy> whole_copy(ByteView file, uint64_t magic, std::string_view name) {
  for (const size_t at : {size_t{0}, k_copy_distance}) {
    if (file.size() < at + k_record_bytes) continue;
    const ByteView record = file.subspan(at, k_record_bytes);
    const ByteView body = record.first(k_record_bytes - sizeof(uint32_t));
    if (load_le<uint64_t>(record.data()) != magic ||
        load_le<uint32_t>(record.data() + body.size()) != crc32c(body))
      continue;
    const auto format = load_le<uint32_t>(record.data() + sizeof(uint64_t));
    if (format != k_format && format != k_format_before)
      return fail(Errc::unsupported, "the file '" + std::string(name) + "' is of a later format");
    return Copy{format, body.subspan(sizeof(uint64_t) + sizeof(uint32_t))};
  }
  return fail(Errc::corrupt, "the file '" + std::string(name) + "' is damaged in both its copies");
}

}  // namespace

Bytes encode_identity(const Identity& identity) {
  Bytes record;
  Writer w(record);
  w.fixed(k_identity_magic);
  w.fixed(k_format);
  w.fixed(identity.node.value);
  put_uuid(w, identity.storage);
  put_uuid(w, identity.cluster);
  return twice(std::move(record));
}

Result<Identity> decode_identity(ByteView file) {
  BASCULE_TRY_ASSIGN(const Copy copy, whole_copy(file, k_identity_magic, "identity"));
  Reader r(copy.body);
  Identity identity;
  identity.node = NodeId(r.fixed<uint32_t>());
  identity.storage = take_uuid(r);
  identity.cluster = take_uuid(r);
  if (!identity.node || !identity.storage)
    return fail(Errc::corrupt, "the file 'identity' names nobody");
  return identity;
}

Bytes encode_incarnation(const Uuid& storage, const PersistedIncarnation& incarnation) {
  Bytes record;
  Writer w(record);
  w.fixed(k_incarnation_magic);
  w.fixed(k_format);
  put_uuid(w, storage);
  w.fixed(incarnation.incarnation.value);
  w.fixed<uint8_t>(incarnation.rolled_back ? 1 : 0);
  w.fixed(incarnation.registered.value);
  return twice(std::move(record));
}

Result<PersistedIncarnation> decode_incarnation(const Uuid& storage, ByteView file) {
  BASCULE_TRY_ASSIGN(const Copy copy, whole_copy(file, k_incarnation_magic, "incarnation"));
  Reader r(copy.body);
  if (take_uuid(r) != storage)
    return fail(Errc::corrupt, "the file 'incarnation' is of another storage");
  PersistedIncarnation out;
  out.incarnation = Incarnation(r.fixed<uint64_t>());
  out.rolled_back = r.fixed<uint8_t>() != 0;
  // Before, every life counted as registered.
  out.registered =
      copy.format == k_format_before ? out.incarnation : Incarnation(r.fixed<uint64_t>());
  return out;
}

}  // namespace bascule::controller

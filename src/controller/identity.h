// Who a data directory is: two small files beside the logs, each record in it held twice.
//
// `identity` is written once, last of all when a directory is formatted: while it is missing and the
// metadata log is empty, formatting was cut short and begins anew. `incarnation` is replaced at each start,
// before the broker registers.
#pragma once

#include <cstdint>
#include <optional>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"

namespace bascule::controller {

struct Identity {
  NodeId node;
  Uuid storage;  // of this directory; a copy of the directory is the same storage
  Uuid cluster;  // none: formatted, and not founded or joined yet

  bool operator==(const Identity&) const = default;
};

struct PersistedIncarnation {
  Incarnation incarnation;  // of the last life that began on this disk; 0: none
  // This disk remembered an earlier registration than the metadata; stays until a registration that carries
  // it has been applied.
  bool rolled_back = false;
  // The last life that was, or was about to be, registered: lives that never got so far do not hide that
  // the metadata knows a registration of which this disk knows nothing.
  Incarnation registered = {};

  bool operator==(const PersistedIncarnation&) const = default;
};

// The whole file: the record at 0 and again one block (4 KiB) further, each with its CRC.
Bytes encode_identity(const Identity& identity);
Bytes encode_incarnation(const Uuid& storage, const PersistedIncarnation& incarnation);
// `corrupt`: neither copy is whole; `unsupported`: a later format. The incarnation of another storage is
// `corrupt` too.
Result<Identity> decode_identity(ByteView file);
Result<PersistedIncarnation> decode_incarnation(const Uuid& storage, ByteView file);

}  // namespace bascule::controller

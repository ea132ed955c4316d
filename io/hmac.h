// HMAC-SHA256 (RFC 2104, FIPS 180-4), for challenge and response.
#pragma once

#include <array>
#include <cstdint>

#include "src/base/bytes.h"

namespace bascule::io {

using HmacSha256 = std::array<uint8_t, 32>;

// A pure function. Any length of key and message, 0 too.
HmacSha256 hmac_sha256(ByteView key, ByteView message);

// Takes the same time wherever the two differ.
bool same_hmac(const HmacSha256& a, const HmacSha256& b);

}  // namespace bascule::io

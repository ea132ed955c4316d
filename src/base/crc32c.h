// CRC-32C (Castagnoli, RFC 3720 appendix B.4), by ISA-L: about 20 GB/s on current machines.
#pragma once

#include <cstdint>

#include "src/base/bytes.h"

namespace bascule {

// The CRC of `bytes`, or of an earlier range followed by them where `crc` is that range's CRC.
// crc32c(b, crc32c(a)) == crc32c(a ++ b); crc32c of "123456789" is 0xe3069283.
uint32_t crc32c(ByteView bytes, uint32_t crc = 0);

}  // namespace bascule

// The system's randomness, the source of every seed in production.
#pragma once

#include <cstdint>

namespace bascule::io {

// 64 random bits from the kernel's generator. Waits for it right after a machine's start.
uint64_t random_seed();

}  // namespace bascule::io

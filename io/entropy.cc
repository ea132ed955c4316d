#include "io/entropy.h"

#include <sys/random.h>

#include <cerrno>

#include "src/base/assert.h"

namespace bascule::io {

uint64_t random_seed() {
  uint64_t seed = 0;
  ssize_t n;
  do {
    n = ::getrandom(&seed, sizeof(seed), 0);
  } while (n < 0 && errno == EINTR);
  // A read of up to 256 bytes is never short; without randomness nothing here may start.
  ASSERT(n == static_cast<ssize_t>(sizeof(seed)), n, errno);
  return seed;
}

}  // namespace bascule::io

#include "src/nats/subject_cache.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace bascule::nats {

uint64_t subject_hash(std::string_view subject) {
  return XXH3_64bits(subject.data(), subject.size());
}

}  // namespace bascule::nats

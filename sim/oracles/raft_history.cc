#include "sim/oracles/raft_history.h"

#include "src/base/crc32c.h"
#include "src/base/prng.h"

namespace bascule::sim {

uint64_t chain_of(uint64_t before, Index index, Term term, raft::EntryKind kind, ByteView data) {
  uint64_t chain = mix64(before ^ index.value);
  chain = mix64(chain ^ term.value);
  chain = mix64(chain ^ (static_cast<uint64_t>(kind) << 56) ^ data.size());
  return mix64(chain ^ crc32c(data));
}

}  // namespace bascule::sim

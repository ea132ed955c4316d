// Batches whose content is a function of (seed, id): nothing needs to be remembered to check them.
#pragma once

#include "src/base/bytes.h"
#include "src/model/batch.h"
#include "src/model/record.h"

namespace bascule::sim {

// A batch of `records` records of about `bytes` bytes of value each, as a client sends it.
BufferRef make_batch(uint64_t seed, uint64_t id, uint32_t records, uint32_t bytes,
                     model::Compression compression);

}  // namespace bascule::sim

// Compression of batch bodies: lz4 blocks and zstd frames.
#pragma once

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/model/batch.h"

namespace bascule::model {

// Appends the compressed `in` to `out`. Returns false, and leaves `out` as it was, where that would not
// be shorter than `in` (or for Compression::none): then it is stored as it is.
bool compress(Compression method, ByteView in, Bytes& out);

// Decompresses `in` to exactly `size` bytes (bounded by the caller). `corrupt` when it is not that.
Status decompress(Compression method, ByteView in, size_t size, Bytes& out);

}  // namespace bascule::model

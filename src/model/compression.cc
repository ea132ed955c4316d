#include "src/model/compression.h"

#include <lz4.h>
#include <zstd.h>

namespace bascule::model {
namespace {

constexpr int k_zstd_level = 3;

size_t bound(Compression method, size_t size) {
  switch (method) {
    case Compression::none: return 0;
    case Compression::lz4: return static_cast<size_t>(LZ4_compressBound(static_cast<int>(size)));
    case Compression::zstd: return ZSTD_compressBound(size);
  }
  return 0;
}

// Compressed length, or 0.
size_t compress_into(Compression method, ByteView in, MutableBytes out) {
  switch (method) {
    case Compression::none: return 0;
    case Compression::lz4: {
      const int n = LZ4_compress_default(reinterpret_cast<const char*>(in.data()),
                                         reinterpret_cast<char*>(out.data()),
                                         static_cast<int>(in.size()), static_cast<int>(out.size()));
      return n > 0 ? static_cast<size_t>(n) : 0;
    }
    case Compression::zstd: {
      const size_t n = ZSTD_compress(out.data(), out.size(), in.data(), in.size(), k_zstd_level);
      return ZSTD_isError(n) != 0 ? 0 : n;
    }
  }
  return 0;
}

}  // namespace

bool compress(Compression method, ByteView in, Bytes& out) {
  if (method == Compression::none || in.empty()) return false;
  REQUIRE(in.size() <= limits::k_batch_body_bytes_max, in.size());
  const size_t before = out.size();
  out.resize(before + bound(method, in.size()));
  const size_t n = compress_into(method, in, MutableBytes(out).subspan(before));
  const bool shorter = n > 0 && n < in.size();
  out.resize(before + (shorter ? n : 0));
  return shorter;
}

Status decompress(Compression method, ByteView in, size_t size, Bytes& out) {
  REQUIRE(size <= limits::k_batch_body_bytes_max, size);
  out.resize(size);
  bool good = false;
  switch (method) {
    case Compression::none: break;
    case Compression::lz4: {
      const int n = LZ4_decompress_safe(reinterpret_cast<const char*>(in.data()),
                                        reinterpret_cast<char*>(out.data()),
                                        static_cast<int>(in.size()), static_cast<int>(size));
      good = n >= 0 && static_cast<size_t>(n) == size;
      break;
    }
    case Compression::zstd: {
      const size_t n = ZSTD_decompress(out.data(), size, in.data(), in.size());
      good = ZSTD_isError(n) == 0 && n == size;
      break;
    }
  }
  if (!good) return fail(Errc::corrupt, "batch body: does not decompress to its length");
  return {};
}

}  // namespace bascule::model

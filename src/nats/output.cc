#include "src/nats/output.h"

#include <algorithm>

namespace bascule::nats {
namespace {
constexpr size_t k_chunk_bytes_min = Output::k_claim_bytes_max;
constexpr size_t k_chunk_bytes_max = 64 << 10;
}  // namespace

void Output::append(ByteView bytes) {
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (!chunk_) begin_chunk();
    const size_t take = std::min(bytes.size(), chunk_.size() - chunk_used_);
    std::memcpy(chunk_.mutable_bytes().data() + chunk_used_, bytes.data(), take);
    chunk_used_ += take;
    bytes = bytes.subspan(take);
    if (chunk_used_ == chunk_.size()) end_chunk();
  }
}

char* Output::claim(size_t size) {
  REQUIRE(size <= k_claim_bytes_max, size);
  if (chunk_ && chunk_.size() - chunk_used_ < size) end_chunk();
  if (!chunk_) begin_chunk();
  return reinterpret_cast<char*>(chunk_.mutable_bytes().data() + chunk_used_);
}

void Output::commit(size_t size) {
  REQUIRE(chunk_ && size <= chunk_.size() - chunk_used_, size);
  chunk_used_ += size;
  bytes_ += size;
}

void Output::begin_chunk() {
  chunk_ = BufferRef::allocate(chunk_bytes_);
  chunk_used_ = 0;
}

// The chunk is full: the next one is larger.
void Output::end_chunk() {
  seal();
  chunk_bytes_ = std::min(chunk_bytes_ * 2, k_chunk_bytes_max);
}

void Output::append_shared(const BufferRef& buffer, ByteView bytes) {
  REQUIRE(bytes.data() >= buffer.data() &&
          bytes.data() + bytes.size() <= buffer.data() + buffer.size());
  if (bytes.empty()) return;
  seal();
  pieces_.emplace_back(buffer, static_cast<size_t>(bytes.data() - buffer.data()), bytes.size());
  bytes_ += bytes.size();
}

void Output::seal() {
  if (!chunk_ || chunk_used_ == 0) return;
  pieces_.emplace_back(std::move(chunk_), 0, chunk_used_);
  chunk_ = BufferRef();
  chunk_used_ = 0;
}

std::vector<Slice> Output::take() {
  if (bytes_ * 4 < chunk_bytes_) chunk_bytes_ = std::max(chunk_bytes_ / 2, k_chunk_bytes_min);
  seal();
  bytes_ = 0;
  return std::exchange(pieces_, {});
}

}  // namespace bascule::nats

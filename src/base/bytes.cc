#include "src/base/bytes.h"

#include <algorithm>
#include <new>

namespace bascule {

bool equal(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

BufferRef BufferRef::allocate(size_t size, size_t alignment) {
  REQUIRE(alignment >= alignof(Block) && (alignment & (alignment - 1)) == 0, alignment);
  const size_t data_offset = (sizeof(Block) + alignment - 1) / alignment * alignment;
  void* memory = ::operator new(data_offset + size, std::align_val_t{alignment});
  BufferRef out;
  out.block_ = new (memory) Block{1, size, alignment, data_offset};
  return out;
}

BufferRef BufferRef::copy_of(ByteView bytes) {
  BufferRef out = allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(out.block_->data(), bytes.data(), bytes.size());
  return out;
}

MutableBytes BufferRef::mutable_bytes() {
  REQUIRE(block_ == nullptr || block_->references == 1);
  return block_ ? MutableBytes{block_->data(), block_->size} : MutableBytes{};
}

void BufferRef::free_block(Block* block) noexcept {
  const size_t alignment = block->alignment;
  ::operator delete(block, std::align_val_t{alignment});
}

}  // namespace bascule

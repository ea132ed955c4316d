// The bytes of one file in copy-on-write pages: copying an image costs one reference per page.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/bytes.h"

namespace bascule::sim {

class Image {
 public:
  static constexpr uint64_t k_page_bytes = 4096;

  uint64_t size() const { return size_; }
  // Cuts or extends; new bytes are zeros.
  void resize(uint64_t size);
  // Grows the image where needed.
  void write(uint64_t position, ByteView bytes);
  // Requires position + into.size() <= size().
  void read(uint64_t position, MutableBytes into) const;
  // Takes over the page that holds `position` from `other`: shared, not copied.
  void share_page(const Image& other, uint64_t position);
  bool operator==(const Image& other) const;

 private:
  uint8_t* writable_page(size_t index);

  uint64_t size_ = 0;
  std::vector<BufferRef> pages_;  // null: all zeros. Bytes past size_ are zeros.
};

}  // namespace bascule::sim

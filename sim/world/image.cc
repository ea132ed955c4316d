#include "sim/world/image.h"

#include <algorithm>

namespace bascule::sim {
namespace {

constexpr uint64_t k_page = Image::k_page_bytes;

size_t pages_for(uint64_t size) { return static_cast<size_t>((size + k_page - 1) / k_page); }

}  // namespace

void Image::resize(uint64_t size) {
  if (size < size_) {
    pages_.resize(std::min(pages_.size(), pages_for(size)));
    const size_t tail = static_cast<size_t>(size % k_page);
    const size_t last = static_cast<size_t>(size / k_page);
    if (tail != 0 && last < pages_.size() && pages_[last])
      std::memset(writable_page(last) + tail, 0, k_page - tail);
  }
  size_ = size;
  pages_.resize(pages_for(size));
}

void Image::write(uint64_t position, ByteView bytes) {
  if (position + bytes.size() > size_) resize(position + bytes.size());
  while (!bytes.empty()) {
    const size_t offset = static_cast<size_t>(position % k_page);
    const size_t step = std::min<size_t>(bytes.size(), k_page - offset);
    std::memcpy(writable_page(static_cast<size_t>(position / k_page)) + offset, bytes.data(), step);
    bytes = bytes.subspan(step);
    position += step;
  }
}

void Image::read(uint64_t position, MutableBytes into) const {
  ASSERT(position + into.size() <= size_, position, into.size(), size_);
  while (!into.empty()) {
    const size_t offset = static_cast<size_t>(position % k_page);
    const size_t step = std::min<size_t>(into.size(), k_page - offset);
    const BufferRef& page = pages_[static_cast<size_t>(position / k_page)];
    if (page) {
      std::memcpy(into.data(), page.data() + offset, step);
    } else {
      std::memset(into.data(), 0, step);
    }
    into = into.subspan(step);
    position += step;
  }
}

void Image::share_page(const Image& other, uint64_t position) {
  const size_t index = static_cast<size_t>(position / k_page);
  if (index < pages_.size() && index < other.pages_.size()) pages_[index] = other.pages_[index];
}

bool Image::operator==(const Image& other) const {
  if (size_ != other.size_) return false;
  static constexpr uint8_t k_zeros[k_page] = {};
  for (size_t i = 0; i < pages_.size(); ++i) {
    const uint8_t* a = pages_[i] ? pages_[i].data() : k_zeros;
    const uint8_t* b = other.pages_[i] ? other.pages_[i].data() : k_zeros;
    if (a != b && std::memcmp(a, b, k_page) != 0) return false;
  }
  return true;
}

uint8_t* Image::writable_page(size_t index) {
  BufferRef& page = pages_[index];
  if (!page) {
    page = BufferRef::allocate(k_page);
    std::memset(page.mutable_bytes().data(), 0, k_page);
  } else if (!page.unique()) {
    page = BufferRef::copy_of(page.view());
  }
  return page.mutable_bytes().data();
}

}  // namespace bascule::sim

// One number for all that a storage holds and may still become: two with the same one go the same way
// under the same operations. Numbers of inodes and of changes do not count, only their order.
#include <xxhash.h>

#include "sim/world/storage.h"
#include "sim/world/trace_hash.h"

namespace bascule::sim {
namespace {

void add_text(TraceHash& hash, std::string_view text) {
  hash.add(text.size(), XXH3_64bits(text.data(), text.size()));
}

void add_image(TraceHash& hash, const Image& image) {
  Bytes page(Image::k_page_bytes);
  hash.add(image.size());
  for (uint64_t at = 0; at < image.size(); at += page.size()) {
    const uint64_t size = std::min<uint64_t>(page.size(), image.size() - at);
    image.read(at, MutableBytes(page).first(size));
    hash.add(XXH3_64bits(page.data(), size));
  }
}

}  // namespace

// Inodes are numbered as a walk over names meets them first: visible ones, durable ones, names on
// their way. What none of them reaches, nobody will read.
Uuid Storage::state_hash() const {
  TraceHash hash;
  std::map<InodeId, uint64_t> numbers;
  std::vector<InodeId> left;
  const auto number = [&](InodeId id) {
    const auto [at, fresh] = numbers.emplace(id, numbers.size());
    if (fresh) left.push_back(id);
    return at->second;
  };
  const auto add_entries = [&](const Entries& entries) {
    hash.add(entries.size());
    for (const auto& [name, id] : entries) {
      add_text(hash, name);
      hash.add(number(id));
    }
  };
  (void)number(1);
  hash.add(names_.size());
  for (const NameChange& change : names_) {
    hash.add(number(change.inode));
    hash.add(change.from_directory == 0 ? 0 : 1 + number(change.from_directory));
    hash.add(change.to_directory == 0 ? 0 : 1 + number(change.to_directory));
    add_text(hash, change.from);
    add_text(hash, change.to);
  }
  for (size_t i = 0; i < left.size(); ++i) {
    const auto at = inodes_.find(left[i]);
    hash.add(at == inodes_.end() ? 0 : 1);
    if (at == inodes_.end()) continue;
    const Inode& inode = at->second;
    hash.add(inode.directory ? 1 : 0, inode.diverged ? 1 : 0);
    add_entries(inode.entries);
    add_entries(inode.durable_entries);
    add_image(hash, inode.visible);
    add_image(hash, inode.durable);
    hash.add(inode.reserved, inode.pending.size());
    for (const Change& change : inode.pending) {
      hash.add(static_cast<uint64_t>(change.kind), change.durable ? 1 : 0);
      hash.add(change.position, change.old_size);
      add_text(hash, as_text(change.bytes.view()));
    }
    hash.add(inode.spoiled_sectors.size());
    for (const uint64_t sector : inode.spoiled_sectors) hash.add(sector);
  }
  return hash.value();
}

}  // namespace bascule::sim

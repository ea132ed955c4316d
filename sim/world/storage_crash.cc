// What survives a crash: the choices that the crash contract of env::Disk leaves open.
#include <algorithm>
#include <compare>

#include "sim/world/storage.h"

namespace bascule::sim {
namespace {

// How one crash treats a file: small systematic cases first, since uniformly random subsets of many
// sectors almost never show "all but the last".
enum class Mode : uint32_t { nothing, everything, prefix, any_subset };
constexpr uint32_t k_modes = 4;
// Coarse: an operation is lost, kept, or torn after its first sector, or before its last.
enum class Fate : uint32_t { lost, kept, head_only, all_but_head };

struct Touch {
  uint64_t sector;
  uint32_t change;  // index in the list of changes
  auto operator<=>(const Touch&) const = default;
};

uint64_t sectors(uint64_t bytes) { return (bytes + env::k_sector_bytes - 1) / env::k_sector_bytes; }

// Copies one sector of `from` to `to`; both may end inside or before it.
void copy_sector(const Image& from, Image& to, uint64_t sector) {
  uint8_t bytes[env::k_sector_bytes] = {};
  const uint64_t position = sector * env::k_sector_bytes;
  if (position < from.size()) {
    from.read(position,
              {bytes, static_cast<size_t>(std::min(env::k_sector_bytes, from.size() - position))});
  }
  to.write(position, bytes);
}

}  // namespace

// Makes `image` (the durable one) what it is after a crash with `changes` outstanding. Each sector takes
// a prefix of the changes that touch it, and the size takes a prefix of the changes of size; a change that
// is durable already is in each prefix.
void Storage::keep_some(Inode& inode, std::vector<Change>& changes, Chooser& chooser,
                        uint64_t address, Image& image) const {
  if (changes.empty()) return;
  const uint64_t entity = address;
  uint64_t ordinal = 0;
  const auto count = static_cast<uint32_t>(changes.size());
  // Per change: does it survive, by mode, where a sector does not choose by itself.
  std::vector<Fate> fates(count, Fate::lost);
  bool each_sector = false;
  if (chooser.coarse()) {
    for (uint32_t i = 0; i < count; ++i) {
      const Change& change = changes[i];
      const bool tearable = change.kind == Change::Kind::write && sectors(change.bytes.size()) > 1;
      fates[i] = change.durable ? Fate::kept
                                : static_cast<Fate>(chooser.choose(
                                      {Domain::disk_sector, entity, ordinal++}, tearable ? 4 : 2));
    }
  } else {
    switch (static_cast<Mode>(chooser.choose({Domain::disk_mode, entity, ordinal++}, k_modes))) {
      case Mode::nothing: break;
      case Mode::everything: std::ranges::fill(fates, Fate::kept); break;
      case Mode::prefix: {
        const uint32_t kept = chooser.choose({Domain::disk_sector, entity, ordinal++}, count + 1);
        std::fill_n(fates.begin(), kept, Fate::kept);
        if (kept < count)
          fates[kept] =
              static_cast<Fate>(chooser.choose({Domain::disk_sector, entity, ordinal++}, 4));
        break;
      }
      case Mode::any_subset: each_sector = true; break;
    }
    for (uint32_t i = 0; i < count; ++i) {
      if (changes[i].durable) fates[i] = Fate::kept;
    }
  }

  std::vector<Touch> touches;
  uint64_t end_max = std::max(image.size(), inode.visible.size());
  for (const Change& change : changes)
    end_max = std::max({end_max, change.old_size,
                        change.kind == Change::Kind::write ? change.end() : change.position});
  for (uint32_t i = 0; i < count; ++i) {
    const Change& change = changes[i];
    uint64_t first = change.position / env::k_sector_bytes;
    uint64_t last = sectors(change.kind == Change::Kind::write ? change.end() : end_max);
    for (uint64_t s = first; s < last; ++s) touches.push_back({s, i});
  }
  std::ranges::sort(touches);

  // The image after each prefix is built once per change, then sectors are picked from them.
  std::vector<Image> after;
  after.reserve(count + 1);
  after.push_back(image);
  for (const Change& change : changes) {
    after.push_back(after.back());
    apply(change, after.back());
  }
  Image out = image;
  out.resize(end_max);
  for (size_t begin = 0; begin < touches.size();) {
    size_t end = begin;
    while (end < touches.size() && touches[end].sector == touches[begin].sector) ++end;
    const uint64_t sector = touches[begin].sector;
    uint32_t taken = 0;  // number of the sector's changes that it has
    const auto sector_count = static_cast<uint32_t>(end - begin);
    if (each_sector) {
      taken = chooser.choose({Domain::disk_sector, entity, ordinal++}, sector_count + 1);
    }
    for (uint32_t i = 0; i < sector_count; ++i) {
      const uint32_t index = touches[begin + i].change;
      const Change& change = changes[index];
      const bool head =
          change.kind == Change::Kind::write && sector == change.position / env::k_sector_bytes;
      const Fate fate = fates[index];
      if (fate == Fate::kept || (fate == Fate::head_only && head) ||
          (fate == Fate::all_but_head && !head))
        taken = std::max(taken, i + 1);
    }
    const size_t prefix = taken == 0 ? 0 : touches[begin + taken - 1].change + 1;
    copy_sector(after[prefix], out, sector);
    begin = end;
  }

  uint64_t size = image.size();
  for (uint32_t i = 0; i < count; ++i) {
    const Change& change = changes[i];
    bool kept = fates[i] != Fate::lost;
    if (each_sector && !kept)
      kept = chooser.choose({Domain::disk_sector, entity, ordinal++}, 2) == 1;
    if (!kept) continue;
    size = change.kind == Change::Kind::write ? std::max(size, change.end()) : change.position;
  }
  out.resize(size);
  image = std::move(out);
}

void Storage::fail_sync(InodeId id, uint64_t sequence, SyncFailure failure, Chooser& chooser) {
  Inode& f = file(id);
  if (failure == SyncFailure::kept_dirty) return;
  size_t count = 0;
  while (count < f.pending.size() && f.pending[count].sequence <= sequence) ++count;
  std::vector<Change> failed(f.pending.begin(),
                             f.pending.begin() + static_cast<std::ptrdiff_t>(count));
  f.pending.erase(f.pending.begin(), f.pending.begin() + static_cast<std::ptrdiff_t>(count));
  keep_some(f, failed, chooser, mix64(sequence ^ (id << 40)), f.durable);
  f.diverged = true;
  if (failure == SyncFailure::dropped) {
    const uint64_t before = blocks(f);
    f.visible = f.durable;
    for (const Change& change : f.pending) apply(change, f.visible);
    recharge(f, before);
  }
}

void Storage::crash_file(InodeId id, Inode& inode, Chooser& chooser, uint64_t address) {
  keep_some(inode, inode.pending, chooser, mix64(address) ^ id, inode.durable);
  inode.pending.clear();
  inode.diverged = false;
  inode.visible = inode.durable;
}

void Storage::crash_names(Chooser& chooser, uint64_t address) {
  // A name that a lost rename vacates in the visible view still holds its file: what came to that name
  // later is lost too, or the file would be gone without having been removed.
  std::set<std::pair<InodeId, std::string>> blocked;
  const uint64_t entity = mix64(address + 1);
  uint64_t ordinal = 0;
  // 0: none; 1: all; 2: each by itself.
  const uint32_t mode = chooser.coarse() || names_.empty()
                            ? 2
                            : chooser.choose({Domain::disk_mode, entity, ordinal++}, 3);
  for (const NameChange& change : names_) {
    const std::pair from{change.from_directory, change.from};
    const std::pair to{change.to_directory, change.to};
    bool keep = mode == 1;
    if (mode == 2) keep = chooser.choose({Domain::disk_name, entity, ordinal++}, 2) == 1;
    if (blocked.contains(from) || blocked.contains(to)) keep = false;
    if (keep) {
      apply_durably(change);
    } else if (change.from_directory != 0 && change.to_directory != 0) {
      blocked.insert(from);
    } else if (blocked.contains(from) || blocked.contains(to)) {
      blocked.insert(from);
      blocked.insert(to);
    }
  }
  blocked.clear();
  names_.clear();
}

void Storage::crash(Chooser& chooser, uint64_t address, const std::vector<Flight>& flights) {
  for (const Flight& flight : flights) {
    // A write in flight is one more change that may survive in any part.
    Inode& f = file(flight.inode);
    f.pending.push_back(
        {++sequence_, Change::Kind::write, false, flight.position, f.visible.size(), flight.bytes});
  }
  for (auto& [id, inode] : inodes_) {
    if (!inode.directory) crash_file(id, inode, chooser, address);
  }
  crash_names(chooser, address);
  used_bytes_ = 0;
  for (auto& [id, inode] : inodes_) {
    inode.opens = 0;
    inode.links = 0;
    inode.entries = inode.durable_entries;
  }
  // What has no durable name any more is gone, and all below it.
  for (size_t before = 0; before != inodes_.size();) {
    before = inodes_.size();
    collect_garbage();
  }
  inodes_.at(1).links = 1;
  for (auto& [id, inode] : inodes_) {
    for (const auto& [name, child] : inode.entries) ++inodes_.at(child).links;
  }
  for (auto& [id, inode] : inodes_) {
    if (inode.directory) continue;
    inode.charged = true;
    inode.reserved = inode.visible.size();
    used_bytes_ += blocks(inode);
  }
}

Storage Storage::crash_image(Chooser& chooser, uint64_t address,
                             const std::vector<Flight>& flights) const {
  Storage copy = *this;
  copy.crash(chooser, address, flights);
  return copy;
}

Storage Storage::worst_image() const {
  WorstChooser worst;
  return crash_image(worst, 0);
}

size_t Storage::pending() const {
  size_t count = names_.size();
  for (const auto& [id, inode] : inodes_) count += inode.pending.size();
  return count;
}

}  // namespace bascule::sim

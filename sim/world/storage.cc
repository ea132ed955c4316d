#include "sim/world/storage.h"

#include <algorithm>

namespace bascule::sim {
namespace {

constexpr InodeId k_root = 1;
constexpr size_t k_name_bytes_max = 255;

uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

Storage::Storage(uint64_t bytes_max) : bytes_max_(bytes_max) {
  inodes_[k_root].directory = true;
  inodes_[k_root].links = 1;
}

// --- Names ---------------------------------------------------------------------------------------

Result<Storage::Place> Storage::resolve(std::string_view path) const {
  Place place{0, "", k_root};
  if (path.empty()) return place;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == ".." || name.size() > k_name_bytes_max ||
        name.find('\0') != std::string_view::npos)
      return fail(Errc::invalid, "path: bad name");
    if (place.inode == 0 || !inodes_.at(place.inode).directory)
      return fail(Errc::not_found, std::string(path));
    place.directory = place.inode;
    place.name = name;
    const Entries& entries = inodes_.at(place.directory).entries;
    const auto it = entries.find(name);
    place.inode = it == entries.end() ? 0 : it->second;
    if (slash == std::string_view::npos) return place;
    path.remove_prefix(slash + 1);
  }
}

InodeId Storage::add_inode(bool directory) {
  const InodeId id = next_inode_++;
  inodes_[id].directory = directory;
  return id;
}

void Storage::link(InodeId directory, const std::string& name, InodeId inode) {
  inodes_.at(directory).entries[name] = inode;
  ++inodes_.at(inode).links;
}

void Storage::unlink(InodeId directory, const std::string& name) {
  Entries& entries = inodes_.at(directory).entries;
  const auto it = entries.find(name);
  ASSERT(it != entries.end(), name);
  Inode& inode = inodes_.at(it->second);
  entries.erase(it);
  --inode.links;
  maybe_discharge(inode);
}

Result<InodeId> Storage::open(std::string_view path, env::OpenMode mode) {
  BASCULE_TRY_ASSIGN(Place place, resolve(path));
  const bool create = mode == env::OpenMode::create_new || mode == env::OpenMode::create_or_open;
  if (place.inode != 0) {
    if (inodes_.at(place.inode).directory)
      return fail(Errc::invalid, std::string(path) + ": is a directory");
    if (mode == env::OpenMode::create_new) return fail(Errc::already_exists, std::string(path));
    return place.inode;
  }
  if (!create) return fail(Errc::not_found, std::string(path));
  const InodeId id = add_inode(false);
  link(place.directory, place.name, id);
  names_.push_back({++sequence_, id, 0, "", place.directory, place.name});
  return id;
}

Status Storage::make_dir(std::string_view path) {
  if (path.empty()) return {};
  for (size_t end = path.find('/'); true; end = path.find('/', end + 1)) {
    BASCULE_TRY_ASSIGN(Place place, resolve(path.substr(0, end)));
    if (place.inode != 0) {
      if (!inodes_.at(place.inode).directory)
        return fail(Errc::already_exists, std::string(path) + ": is a file");
    } else {
      const InodeId id = add_inode(true);
      link(place.directory, place.name, id);
      names_.push_back({++sequence_, id, 0, "", place.directory, place.name});
    }
    if (end == std::string_view::npos) return {};
  }
}

Result<std::vector<env::DirEntry>> Storage::list(std::string_view path) const {
  BASCULE_TRY_ASSIGN(Place place, resolve(path));
  if (place.inode == 0) return fail(Errc::not_found, std::string(path));
  const Inode& directory = inodes_.at(place.inode);
  if (!directory.directory) return fail(Errc::invalid, std::string(path) + ": is a file");
  std::vector<env::DirEntry> out;
  for (const auto& [name, id] : directory.entries) {
    const Inode& inode = inodes_.at(id);
    out.push_back({name, inode.directory, inode.directory ? 0 : inode.visible.size()});
  }
  return out;
}

Status Storage::rename(std::string_view from_path, std::string_view to_path) {
  BASCULE_TRY_ASSIGN(Place from, resolve(from_path));
  BASCULE_TRY_ASSIGN(Place to, resolve(to_path));
  if (from.inode == 0) return fail(Errc::not_found, std::string(from_path));
  if (from.name.empty() || to.name.empty()) return fail(Errc::invalid, "rename of the root");
  if (from.inode == to.inode) return {};
  const bool directory = inodes_.at(from.inode).directory;
  if (directory) {
    // A directory cannot go below itself.
    for (std::string_view above = to_path; !above.empty();) {
      const size_t slash = above.rfind('/');
      above = slash == std::string_view::npos ? std::string_view{} : above.substr(0, slash);
      if (above == from_path) return fail(Errc::invalid, "rename of a directory into itself");
    }
  }
  if (to.inode != 0) {
    const Inode& target = inodes_.at(to.inode);
    if (target.directory != directory) return fail(Errc::invalid, "rename of unlike things");
    if (target.directory && !target.entries.empty())
      return fail(Errc::already_exists, std::string(to_path));
    unlink(to.directory, to.name);
  }
  ++inodes_.at(from.inode).links;  // never without a name on the way
  unlink(from.directory, from.name);
  --inodes_.at(from.inode).links;
  link(to.directory, to.name, from.inode);
  names_.push_back({++sequence_, from.inode, from.directory, from.name, to.directory, to.name});
  return {};
}

Status Storage::remove(std::string_view path) {
  BASCULE_TRY_ASSIGN(Place place, resolve(path));
  if (place.inode == 0) return fail(Errc::not_found, std::string(path));
  if (place.name.empty()) return fail(Errc::invalid, "removal of the root");
  const Inode& inode = inodes_.at(place.inode);
  if (inode.directory && !inode.entries.empty())
    return fail(Errc::already_exists, std::string(path) + ": not empty");
  unlink(place.directory, place.name);
  names_.push_back({++sequence_, place.inode, place.directory, place.name, 0, ""});
  return {};
}

Status Storage::sync_dir(std::string_view path, uint64_t sequence) {
  BASCULE_TRY_ASSIGN(Place place, resolve(path));
  if (place.inode == 0) return fail(Errc::not_found, std::string(path));
  if (!inodes_.at(place.inode).directory) return fail(Errc::invalid, std::string(path));
  // What touches a name of this directory goes, with the earlier changes that touch the same names: a
  // rename between directories is one transaction of the file system.
  std::vector<bool> taken(names_.size(), false);
  std::set<std::pair<InodeId, std::string>> touched;
  for (size_t i = names_.size(); i-- > 0;) {
    const NameChange& change = names_[i];
    if (change.sequence > sequence) continue;
    taken[i] = change.from_directory == place.inode || change.to_directory == place.inode ||
               touched.contains({change.from_directory, change.from}) ||
               touched.contains({change.to_directory, change.to});
    if (!taken[i]) continue;
    if (change.from_directory) touched.insert({change.from_directory, change.from});
    if (change.to_directory) touched.insert({change.to_directory, change.to});
  }
  std::vector<NameChange> left;
  for (size_t i = 0; i < names_.size(); ++i) {
    if (taken[i]) {
      apply_durably(names_[i]);
    } else {
      left.push_back(std::move(names_[i]));
    }
  }
  names_ = std::move(left);
  collect_garbage();
  return {};
}

void Storage::apply_durably(const NameChange& change) {
  if (change.to_directory != 0 && inodes_.contains(change.to_directory))
    inodes_.at(change.to_directory).durable_entries[change.to] = change.inode;
  if (change.from_directory != 0 && inodes_.contains(change.from_directory)) {
    Entries& entries = inodes_.at(change.from_directory).durable_entries;
    const auto it = entries.find(change.from);
    if (it != entries.end() && it->second == change.inode) entries.erase(it);
  }
}

Result<InodeId> Storage::find(std::string_view path) const {
  BASCULE_TRY_ASSIGN(Place place, resolve(path));
  if (place.inode == 0) return fail(Errc::not_found, std::string(path));
  return place.inode;
}

std::string Storage::path_of(InodeId inode) const {
  for (const std::string& path : files()) {
    if (const auto found = find(path); found && *found == inode) return path;
  }
  return {};
}

void Storage::walk(InodeId directory, const std::string& prefix, bool directories,
                   std::vector<std::string>& out) const {
  for (const auto& [name, id] : inodes_.at(directory).entries) {
    const bool is_directory = inodes_.at(id).directory;
    if (is_directory == directories) out.push_back(prefix + name);
    if (is_directory) walk(id, prefix + name + "/", directories, out);
  }
}

std::vector<std::string> Storage::files() const {
  std::vector<std::string> out;
  walk(k_root, "", false, out);
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> Storage::directories() const {
  std::vector<std::string> out;
  walk(k_root, "", true, out);
  std::ranges::sort(out);
  return out;
}

void Storage::collect_garbage() {
  std::set<InodeId> reached{k_root};
  for (const NameChange& change : names_) reached.insert(change.inode);
  for (const auto& [id, inode] : inodes_) {
    if (inode.opens > 0) reached.insert(id);
    for (const auto& [name, child] : inode.entries) reached.insert(child);
    for (const auto& [name, child] : inode.durable_entries) reached.insert(child);
  }
  std::erase_if(inodes_, [&](const auto& item) { return !reached.contains(item.first); });
}

// --- Files ---------------------------------------------------------------------------------------

Storage::Inode& Storage::file(InodeId inode) {
  const auto it = inodes_.find(inode);
  ASSERT(it != inodes_.end() && !it->second.directory, inode);
  return it->second;
}

const Storage::Inode& Storage::file(InodeId inode) const {
  const auto it = inodes_.find(inode);
  ASSERT(it != inodes_.end() && !it->second.directory, inode);
  return it->second;
}

void Storage::retain(InodeId inode) { ++file(inode).opens; }

void Storage::release(InodeId inode) {
  const auto it = inodes_.find(inode);
  if (it == inodes_.end() || it->second.opens == 0) return;
  --it->second.opens;
  maybe_discharge(it->second);
}

uint64_t Storage::blocks(const Inode& inode) {
  return round_up(std::max(inode.reserved, inode.visible.size()), env::k_block_bytes);
}

void Storage::recharge(Inode& inode, uint64_t before) {
  if (inode.charged) used_bytes_ += blocks(inode) - before;
}

void Storage::maybe_discharge(Inode& inode) {
  if (inode.directory || inode.links > 0 || inode.opens > 0 || !inode.charged) return;
  inode.charged = false;
  used_bytes_ -= blocks(inode);
}

uint64_t Storage::free_bytes() const {
  return used_bytes_ >= bytes_max_ ? 0 : bytes_max_ - used_bytes_;
}

Status Storage::make_room(InodeId inode, uint64_t end) {
  const Inode& f = file(inode);
  const uint64_t need = round_up(end, env::k_block_bytes);
  const uint64_t have = blocks(f);
  if (need > have && need - have > free_bytes()) return fail(Errc::no_space, "disk full");
  return {};
}

Slice Storage::read(InodeId inode, uint64_t position, size_t size) const {
  const Image& image = file(inode).visible;
  if (position >= image.size()) return {};
  size = static_cast<size_t>(std::min<uint64_t>(size, image.size() - position));
  BufferRef out = BufferRef::allocate(size, env::k_block_bytes);
  image.read(position, out.mutable_bytes());
  return out;
}

Status Storage::write_cached(InodeId inode, uint64_t position, ByteView bytes) {
  if (bytes.empty()) return {};
  BASCULE_TRY(make_room(inode, position + bytes.size()));
  Inode& f = file(inode);
  const uint64_t before = blocks(f);
  Change change{++sequence_, Change::Kind::write, false,
                position,    f.visible.size(),    Slice::copy_of(bytes)};
  apply(change, f.visible);
  f.pending.push_back(std::move(change));
  // Sectors that are written whole are read from the cache from now on.
  if (!f.spoiled_sectors.empty()) {
    const uint64_t first = (position + env::k_sector_bytes - 1) / env::k_sector_bytes;
    const uint64_t end = (position + bytes.size()) / env::k_sector_bytes;
    if (first < end)
      f.spoiled_sectors.erase(f.spoiled_sectors.lower_bound(first),
                              f.spoiled_sectors.lower_bound(end));
  }
  recharge(f, before);
  return {};
}

Status Storage::write_direct(InodeId inode, uint64_t position, ByteView bytes) {
  if (bytes.empty()) return {};
  BASCULE_TRY(make_room(inode, position + bytes.size()));
  Inode& f = file(inode);
  const uint64_t before = blocks(f);
  ++sequence_;
  f.visible.write(position, bytes);
  if (f.pending.empty()) {
    f.durable.write(position, bytes);
  } else {
    f.pending.push_back(
        {sequence_, Change::Kind::write, true, position, f.visible.size(), Slice::copy_of(bytes)});
  }
  if (!f.spoiled_sectors.empty()) {
    const uint64_t first = position / env::k_sector_bytes;
    const uint64_t last = (position + bytes.size() - 1) / env::k_sector_bytes;
    f.spoiled_sectors.erase(f.spoiled_sectors.lower_bound(first),
                            f.spoiled_sectors.upper_bound(last));
  }
  recharge(f, before);
  return {};
}

Status Storage::reserve(InodeId inode, uint64_t size) {
  BASCULE_TRY(make_room(inode, size));
  Inode& f = file(inode);
  const uint64_t before = blocks(f);
  f.reserved = std::max(f.reserved, size);
  if (size > f.visible.size()) {
    f.pending.push_back({++sequence_, Change::Kind::resize, false, size, f.visible.size(), {}});
    apply(f.pending.back(), f.visible);
  }
  recharge(f, before);
  return {};
}

void Storage::truncate(InodeId inode, uint64_t size) {
  Inode& f = file(inode);
  if (size == f.visible.size()) return;
  const uint64_t before = blocks(f);
  f.reserved = std::min(f.reserved, size);
  f.pending.push_back({++sequence_, Change::Kind::resize, false, size, f.visible.size(), {}});
  apply(f.pending.back(), f.visible);
  recharge(f, before);
}

void Storage::sync(InodeId inode, uint64_t sequence) {
  Inode& f = file(inode);
  if (f.pending.empty() || f.pending.front().sequence > sequence) return;
  size_t count = 0;
  while (count < f.pending.size() && f.pending[count].sequence <= sequence) ++count;
  if (count == f.pending.size() && !f.diverged) {
    // What was cut on the way is zeros below what grew again.
    uint64_t shortest = f.visible.size();
    for (const Change& change : f.pending) {
      if (change.kind == Change::Kind::resize) shortest = std::min(shortest, change.position);
    }
    if (shortest < f.durable.size()) f.durable.resize(shortest);
    f.durable.resize(f.visible.size());
    for (const Change& change : f.pending) {
      if (change.kind == Change::Kind::resize) {
        // A cut may have zeroed a part of the page at its end.
        f.durable.share_page(f.visible, change.position);
        continue;
      }
      for (uint64_t at = change.position / Image::k_page_bytes * Image::k_page_bytes;
           at < change.end(); at += Image::k_page_bytes)
        f.durable.share_page(f.visible, at);
    }
  } else {
    for (size_t i = 0; i < count; ++i) apply(f.pending[i], f.durable);
  }
  if (!f.spoiled_sectors.empty()) {
    for (size_t i = 0; i < count; ++i) {
      const Change& change = f.pending[i];
      if (change.kind != Change::Kind::write) continue;
      f.spoiled_sectors.erase(
          f.spoiled_sectors.lower_bound(change.position / env::k_sector_bytes),
          f.spoiled_sectors.upper_bound((change.end() - 1) / env::k_sector_bytes));
    }
  }
  f.pending.erase(f.pending.begin(), f.pending.begin() + static_cast<std::ptrdiff_t>(count));
}

void Storage::apply(const Change& change, Image& image) {
  if (change.kind == Change::Kind::resize) {
    image.resize(change.position);
  } else {
    image.write(change.position, change.bytes);
  }
}

// --- Damage --------------------------------------------------------------------------------------

void Storage::flip(InodeId inode, uint64_t position, uint8_t mask) {
  Inode& f = file(inode);
  for (Image* image : {&f.durable, &f.visible}) {
    if (position >= image->size()) continue;
    uint8_t byte = 0;
    image->read(position, {&byte, 1});
    byte ^= mask;
    image->write(position, {&byte, 1});
  }
}

void Storage::spoil_sector(InodeId inode, uint64_t sector) {
  file(inode).spoiled_sectors.insert(sector);
}

bool Storage::spoiled(InodeId inode, uint64_t position, uint64_t size) const {
  const auto& sectors = file(inode).spoiled_sectors;
  if (sectors.empty() || size == 0) return false;
  const auto it = sectors.lower_bound(position / env::k_sector_bytes);
  return it != sectors.end() && *it <= (position + size - 1) / env::k_sector_bytes;
}

Status Storage::lose_directory(std::string_view path) {
  BASCULE_TRY_ASSIGN(Place place, resolve(path));
  if (place.inode == 0 || place.name.empty()) return fail(Errc::not_found, std::string(path));
  std::erase_if(names_, [&](const NameChange& change) {
    return (change.to_directory == place.directory && change.to == place.name) ||
           (change.from_directory == place.directory && change.from == place.name);
  });
  unlink(place.directory, place.name);
  inodes_.at(place.directory).durable_entries.erase(place.name);
  collect_garbage();
  return {};
}

// --- Comparison ----------------------------------------------------------------------------------

bool Storage::same_view(const Storage& other) const { return same_tree(other, k_root, k_root); }

bool Storage::same_tree(const Storage& other, InodeId mine, InodeId theirs) const {
  const Inode& a = inodes_.at(mine);
  const Inode& b = other.inodes_.at(theirs);
  if (a.directory != b.directory) return false;
  if (!a.directory) return a.visible == b.visible;
  if (a.entries.size() != b.entries.size()) return false;
  for (auto x = a.entries.begin(), y = b.entries.begin(); x != a.entries.end(); ++x, ++y) {
    if (x->first != y->first || !same_tree(other, x->second, y->second)) return false;
  }
  return true;
}

}  // namespace bascule::sim

#include "sim/world/operations.h"

#include <algorithm>

namespace bascule::sim {
namespace {

constexpr uint64_t k_sector = env::k_sector_bytes;

// Where a misdirected operation of `size` bytes goes: another aligned place of the same file.
uint64_t misdirected(uint64_t position, uint64_t size, uint64_t file_size, uint64_t pick) {
  const uint64_t places = file_size / env::k_block_bytes;
  if (places < 2 || size > file_size) return position;
  uint64_t to = (position / env::k_block_bytes + 1 + pick % (places - 1)) % places;
  to *= env::k_block_bytes;
  return to + size > file_size ? 0 : to;
}

}  // namespace

void Device::Operation::orphaned(Device& device, uint64_t number) {
  // The kernel may have done it before the process died.
  if (device.sim_.chooser().choose({Domain::disk_flight, device.node_.value, number}, 2) == 1)
    perform(device);
}

Device::WriteOperation::WriteOperation(SharedOpenFile file, uint64_t position,
                                       std::vector<Slice> pieces, env::Sync sync,
                                       env::Done<void> done)
    : file_(std::move(file)),
      position_(position),
      pieces_(std::move(pieces)),
      sync_(sync),
      done_(std::move(done)) {
  if (pieces_.size() == 1) {
    bytes_ = pieces_[0];
    return;
  }
  size_t size = 0;
  for (const Slice& piece : pieces_) size += piece.size();
  BufferRef all = BufferRef::allocate(size);
  uint8_t* to = all.mutable_bytes().data();
  for (const Slice& piece : pieces_) {
    if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
  bytes_ = all;
}

void Device::WriteOperation::land_in_part(Device& device, uint64_t number) {
  Storage& storage = device.storage_;
  const Address base{Domain::disk_flight, device.node_.value, number};
  if (bytes_.empty() || !storage.make_room(file_->inode, position_ + bytes_.size())) return;
  const uint64_t sectors = (bytes_.size() + k_sector - 1) / k_sector;
  // 0: nothing, 1: all, 2: a first part, 3: a last part, 4: any subset.
  const uint32_t manner =
      device.sim_.chooser().choose(base, device.sim_.chooser().coarse() ? 4 : 5);
  const uint64_t cut = 1 + draw(device.sim_.seed(), {base.domain, base.entity, ~number}) % sectors;
  for (uint64_t i = 0; i < sectors; ++i) {
    bool lands = manner == 1 || (manner == 2 && i < cut) || (manner == 3 && i >= cut);
    if (manner == 4) lands = (draw(device.sim_.seed(), {base.domain, mix64(number), i}) & 1) != 0;
    if (!lands) continue;
    const uint64_t from = i * k_sector;
    const ByteView part =
        bytes_.view().subspan(from, std::min<uint64_t>(k_sector, bytes_.size() - from));
    const Status written = sync_ == env::Sync::yes
                               ? storage.write_direct(file_->inode, position_ + from, part)
                               : storage.write_cached(file_->inode, position_ + from, part);
    ASSERT(written.has_value());
  }
}

void Device::WriteOperation::perform(Device& device) {
  Storage& storage = device.storage_;
  TraceHash& trace = device.sim_.trace();
  trace.add(position_, file_->inode);
  trace.add_bytes(bytes_);
  if (device.take_armed(DiskFault::write_error)) {
    land_in_part(device, device.operations_ + 1);
    result_ = fail(Errc::io_error, "write: medium error");
    return;
  }
  uint64_t position = position_;
  if (!device.armed_.empty() && storage.size(file_->inode) > env::k_block_bytes &&
      device.take_armed(DiskFault::misdirected_write)) {
    position = misdirected(position_, bytes_.size(), storage.size(file_->inode),
                           device.draw_number(Domain::disk_fault, device.operations_, 1 << 20));
    for (const uint64_t at : {position, position_})
      device.damage_.push_back({Damage::Kind::misdirected, storage.path_of(file_->inode),
                                file_->inode, at, bytes_.size(), device.sim_.now()});
  }
  result_ = sync_ == env::Sync::yes ? storage.write_direct(file_->inode, position, bytes_)
                                    : storage.write_cached(file_->inode, position, bytes_);
}

void Device::WriteOperation::orphaned(Device& device, uint64_t number) {
  Chooser& chooser = device.sim_.chooser();
  if (sync_ == env::Sync::no) return land_in_part(device, number);
  // On its way to the medium: now in some part, or later.
  const uint32_t fate = chooser.choose({Domain::disk_flight, device.node_.value, number}, 3);
  if (fate == 0) return;  // never
  if (fate == 1) return land_in_part(device, mix64(number));
  // From 20 µs to half a second, each order of magnitude as likely.
  const uint64_t shift = device.draw_number(Domain::disk_flight, ~number, 15);
  const Duration later = microseconds(static_cast<int64_t>(
      (uint64_t{20} << shift) - device.draw_number(Domain::disk_flight, number << 20, 10)));
  device.sim_.count("disk.orphan_write_pending");
  device.start(nullptr, std::make_unique<OrphanWrite>(file_, flight()), later);
}

void Device::OrphanWrite::perform(Device& device) {
  if (!device.storage_.exists(file_->inode)) return;
  device.sim_.count("disk.orphan_write_landed");
  WriteOperation write(file_, flight_.position, {flight_.bytes}, env::Sync::yes, nullptr);
  write.perform(device);
}

void Device::ReadOperation::perform(Device& device) {
  Storage& storage = device.storage_;
  if (storage.spoiled(file_->inode, position_, size_)) {
    result_ = fail(Errc::io_error, "read: unreadable sector");
    return;
  }
  uint64_t position = position_;
  if (!device.armed_.empty()) {
    if (device.take_armed(DiskFault::read_error)) {
      device.damage_.push_back({Damage::Kind::failed_read, storage.path_of(file_->inode),
                                file_->inode, position_, size_, device.sim_.now()});
      result_ = fail(Errc::io_error, "read: medium error");
      return;
    }
    if (storage.size(file_->inode) > env::k_block_bytes && size_ > 0 &&
        device.take_armed(DiskFault::misdirected_read)) {
      device.damage_.push_back({Damage::Kind::misdirected, storage.path_of(file_->inode),
                                file_->inode, position_, size_, device.sim_.now()});
      position = misdirected(position_, size_, storage.size(file_->inode),
                             device.draw_number(Domain::disk_fault, device.operations_, 1 << 20));
    }
  }
  result_ = storage.read(file_->inode, position, size_);
  device.sim_.trace().add(position, result_->size());
}

void Device::SyncOperation::perform(Device& device) {
  Storage& storage = device.storage_;
  device.sim_.trace().add(0x51, file_->inode);
  const std::pair<DiskFault, SyncFailure> flavours[] = {
      {DiskFault::sync_kept_dirty, SyncFailure::kept_dirty},
      {DiskFault::sync_marked_clean, SyncFailure::marked_clean},
      {DiskFault::sync_dropped, SyncFailure::dropped},
  };
  if (!device.armed_.empty()) {
    for (const auto& [fault, failure] : flavours) {
      if (!device.take_armed(fault)) continue;
      storage.fail_sync(file_->inode, sequence_, failure, device.sim_.chooser());
      ++device.sync_failures_;
      result_ = fail(Errc::io_error, "sync: medium error");
      return;
    }
  }
  storage.sync(file_->inode, sequence_);
}

void Device::SyncDirOperation::perform(Device& device) {
  device.sim_.trace().add(0x52, path_.size());
  // A directory's failed sync keeps its names pending: whoever retries it would get a success, so only
  // the flavour that keeps pages dirty can hit it.
  if (!device.armed_.empty() && device.take_armed(DiskFault::sync_kept_dirty)) {
    ++device.sync_failures_;
    result_ = fail(Errc::io_error, "sync of a directory: medium error");
    return;
  }
  result_ = device.storage_.sync_dir(path_, sequence_);
}

}  // namespace bascule::sim

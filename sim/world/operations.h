// The operations of a Device, one class each: what each does when it takes effect, and what is left of it
// when the process dies first.
#pragma once

#include <optional>
#include <utility>

#include "sim/world/device.h"
#include "sim/world/life.h"

namespace bascule::sim {

// Shared by a SimFile and its operations: a file stays open until the last of them has ended.
struct OpenFile {
  OpenFile(Device& d, InodeId i) : device(d), inode(i), boot(d.boot_id()) {
    device.storage().retain(inode);
  }
  ~OpenFile() {
    // After a crash of the machine the inode's number may not mean this file any more.
    if (device.boot_id() == boot) device.storage().release(inode);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  Device& device;
  InodeId inode;
  Uuid boot;
  bool handle_gone = false;
  bool writable = true;
};
using SharedOpenFile = std::shared_ptr<OpenFile>;

// Runs `action` on the storage and gives its result.
template <class T>
class Device::CallOperation final : public Device::Operation {
 public:
  using Action = std::move_only_function<Result<T>(Device&)>;
  CallOperation(Action action, env::Done<T> done, SharedOpenFile file = nullptr)
      : action_(std::move(action)), done_(std::move(done)), file_(std::move(file)) {}
  void perform(Device& device) override { result_.emplace(action_(device)); }
  void complete() override {
    if (file_ && file_->handle_gone) return;
    done_(std::move(*result_));
  }

 private:
  Action action_;
  env::Done<T> done_;
  SharedOpenFile file_;
  std::optional<Result<T>> result_;
};

class Device::WriteOperation final : public Device::Operation {
 public:
  WriteOperation(SharedOpenFile file, uint64_t position, std::vector<Slice> pieces, env::Sync sync,
                 env::Done<void> done);
  void perform(Device& device) override;
  void complete() override {
    if (!file_->handle_gone) done_(std::move(result_));
  }
  void orphaned(Device& device, uint64_t number) override;
  Storage::Flight flight() const {
    return {file_->inode, position_, bytes_, sync_ == env::Sync::yes};
  }

 private:
  // Lands some of the sectors, as drawn for this operation.
  void land_in_part(Device& device, uint64_t number);

  SharedOpenFile file_;
  uint64_t position_;
  std::vector<Slice> pieces_;  // kept alive until the end, as the contract says
  Slice bytes_;
  env::Sync sync_;
  env::Done<void> done_;
  Status result_;
};

// A direct write of a dead life, on its way to the medium.
class Device::OrphanWrite final : public Device::Operation {
 public:
  OrphanWrite(SharedOpenFile file, Storage::Flight flight)
      : file_(std::move(file)), flight_(std::move(flight)) {}
  void perform(Device& device) override;
  void complete() override {}
  const Storage::Flight& flight() const { return flight_; }

 private:
  SharedOpenFile file_;
  Storage::Flight flight_;
};

class Device::ReadOperation final : public Device::Operation {
 public:
  ReadOperation(SharedOpenFile file, uint64_t position, size_t size, env::Done<Slice> done)
      : file_(std::move(file)), position_(position), size_(size), done_(std::move(done)) {}
  void perform(Device& device) override;
  void complete() override {
    if (!file_->handle_gone) done_(std::move(result_));
  }

 private:
  SharedOpenFile file_;
  uint64_t position_;
  size_t size_;
  env::Done<Slice> done_;
  Result<Slice> result_;
};

class Device::SyncOperation final : public Device::Operation {
 public:
  SyncOperation(SharedOpenFile file, uint64_t sequence, env::Done<void> done)
      : file_(std::move(file)), sequence_(sequence), done_(std::move(done)) {}
  void perform(Device& device) override;
  void complete() override {
    if (!file_->handle_gone) done_(std::move(result_));
  }

 private:
  SharedOpenFile file_;
  uint64_t sequence_;
  env::Done<void> done_;
  Status result_;
};

class Device::SyncDirOperation final : public Device::Operation {
 public:
  SyncDirOperation(std::string path, uint64_t sequence, env::Done<void> done)
      : path_(std::move(path)), sequence_(sequence), done_(std::move(done)) {}
  void perform(Device& device) override;
  void complete() override { done_(std::move(result_)); }

 private:
  std::string path_;
  uint64_t sequence_;
  env::Done<void> done_;
  Status result_;
};

}  // namespace bascule::sim

#include "sim/world/disk.h"

#include "sim/world/operations.h"

namespace bascule::sim {

// One open file of a life.
class SimFile final : public env::File {
 public:
  SimFile(Device& device, Life& life, SharedOpenFile file)
      : device_(device), life_(life), file_(std::move(file)) {}
  ~SimFile() override { file_->handle_gone = true; }

  void write_at(uint64_t position, std::vector<Slice> pieces, env::Sync sync,
                env::Done<void> done) override;
  void read_at(uint64_t position, size_t size, env::Done<Slice> done) override;
  void sync(env::Done<void> done) override;
  void reserve(uint64_t size, env::Done<void> done) override;
  void truncate(uint64_t size, env::Done<void> done) override;
  void size(env::Done<uint64_t> done) override;

 private:
  template <class T, class F>
  void call(F action, env::Done<T> done) {
    if (life_.dead()) return life_.bury([done = std::move(done)]() mutable { done = nullptr; });
    device_.start(
        &life_,
        std::make_unique<Device::CallOperation<T>>(std::move(action), std::move(done), file_),
        device_.options_.cached);
  }
  // Completes with `error` in a later turn.
  template <class T>
  void refuse(Errc code, const char* why, env::Done<T> done) {
    call<T>([code, why](Device&) -> Result<T> { return fail(code, why); }, std::move(done));
  }

  Device& device_;
  Life& life_;
  SharedOpenFile file_;
};

void SimFile::write_at(uint64_t position, std::vector<Slice> pieces, env::Sync sync,
                       env::Done<void> done) {
  if (life_.dead()) return life_.bury([done = std::move(done)]() mutable { done = nullptr; });
  if (!file_->writable)
    return refuse<void>(Errc::invalid, "write: opened read-only", std::move(done));
  uint64_t bytes = 0;
  if (position > uint64_t{1} << 50)
    return refuse<void>(Errc::invalid, "write: position", std::move(done));
  for (const Slice& piece : pieces) {
    bytes += piece.size();
    if (sync == env::Sync::no) continue;
    if (piece.size() % env::k_block_bytes != 0 ||
        reinterpret_cast<uintptr_t>(piece.data()) % env::k_block_bytes != 0)
      return refuse<void>(Errc::invalid, "synced write: not aligned", std::move(done));
  }
  if (sync == env::Sync::yes && position % env::k_block_bytes != 0)
    return refuse<void>(Errc::invalid, "synced write: not aligned", std::move(done));
  const Duration base = sync == env::Sync::yes
                            ? device_.options_.direct + Duration{static_cast<int64_t>(bytes / 2)}
                            : device_.options_.cached;
  device_.start(&life_,
                std::make_unique<Device::WriteOperation>(file_, position, std::move(pieces), sync,
                                                         std::move(done)),
                base);
}

void SimFile::read_at(uint64_t position, size_t size, env::Done<Slice> done) {
  if (life_.dead()) return life_.bury([done = std::move(done)]() mutable { done = nullptr; });
  device_.start(&life_,
                std::make_unique<Device::ReadOperation>(file_, position, size, std::move(done)),
                device_.options_.read);
}

void SimFile::sync(env::Done<void> done) {
  if (life_.dead()) return life_.bury([done = std::move(done)]() mutable { done = nullptr; });
  device_.start(
      &life_,
      std::make_unique<Device::SyncOperation>(file_, device_.storage_.sequence(), std::move(done)),
      device_.options_.sync);
}

void SimFile::reserve(uint64_t size, env::Done<void> done) {
  if (!file_->writable)
    return refuse<void>(Errc::invalid, "reserve: opened read-only", std::move(done));
  call<void>([file = file_, size](Device& d) { return d.storage().reserve(file->inode, size); },
             std::move(done));
}

void SimFile::truncate(uint64_t size, env::Done<void> done) {
  if (!file_->writable)
    return refuse<void>(Errc::invalid, "truncate: opened read-only", std::move(done));
  call<void>(
      [file = file_, size](Device& d) -> Status {
        d.storage().truncate(file->inode, size);
        return {};
      },
      std::move(done));
}

void SimFile::size(env::Done<uint64_t> done) {
  call<uint64_t>(
      [file = file_](Device& d) -> Result<uint64_t> { return d.storage().size(file->inode); },
      std::move(done));
}

namespace {

constexpr Duration k_lock_wait_max = seconds(10);
constexpr Duration k_lock_poll = milliseconds(10);

}  // namespace

// Waits for the lock of the data directory by polling, as the kernel's has no queue.
class Device::LockOperation final : public Device::Operation {
 public:
  LockOperation(const void* who, Life& life, SimTime deadline, env::Done<void> done)
      : who_(who), life_(life), deadline_(deadline), done_(std::move(done)) {}
  void perform(Device& device) override {
    const bool free = device.lock_holder_ == nullptr && device.sim_.now() >= device.lock_free_at_;
    if (free || device.lock_holder_ == who_) {
      device.lock_holder_ = who_;
    } else if (device.sim_.now() >= deadline_) {
      result_ = fail(Errc::busy, "the data directory is locked by another process");
    } else {
      again_ = &device;
    }
  }
  void complete() override {
    if (again_ == nullptr) return done_(std::move(result_));
    again_->start(&life_, std::make_unique<LockOperation>(who_, life_, deadline_, std::move(done_)),
                  k_lock_poll);
  }
  // A dead process takes no lock.
  void orphaned(Device&, uint64_t) override {}

 private:
  const void* who_;
  Life& life_;
  SimTime deadline_;
  env::Done<void> done_;
  Device* again_ = nullptr;
  Status result_;
};

SimDisk::~SimDisk() {
  if (device_.lock_holder_ == this) device_.lock_holder_ = nullptr;
}

void SimDisk::open(std::string path, env::OpenMode mode,
                   env::Done<std::unique_ptr<env::File>> done) {
  using Opened = std::unique_ptr<env::File>;
  if (life_.dead()) return life_.bury([done = std::move(done)]() mutable { done = nullptr; });
  auto action = [path = std::move(path), mode, life = &life_](Device& d) -> Result<Opened> {
    BASCULE_TRY(d.take_descriptor());
    BASCULE_TRY_ASSIGN(InodeId inode, d.storage().open(path, mode));
    auto shared = std::make_shared<OpenFile>(d, inode);
    shared->writable = mode != env::OpenMode::read_only;
    return std::make_unique<SimFile>(d, *life, std::move(shared));
  };
  device_.start(&life_,
                std::make_unique<Device::CallOperation<Opened>>(std::move(action), std::move(done)),
                device_.options_.cached);
}

namespace {

template <class T>
bool drop_if_dead(Life& life, env::Done<T>& done) {
  if (!life.dead()) return false;
  life.bury([done = std::move(done)]() mutable { done = nullptr; });
  return true;
}

}  // namespace

void SimDisk::make_dir(std::string path, env::Done<void> done) {
  if (drop_if_dead(life_, done)) return;
  auto action = [path = std::move(path)](Device& d) { return d.storage().make_dir(path); };
  device_.start(&life_,
                std::make_unique<Device::CallOperation<void>>(std::move(action), std::move(done)),
                device_.options_.cached);
}

void SimDisk::list(std::string path, env::Done<std::vector<env::DirEntry>> done) {
  if (drop_if_dead(life_, done)) return;
  using Entries = std::vector<env::DirEntry>;
  auto action = [path = std::move(path)](Device& d) -> Result<Entries> {
    BASCULE_TRY(d.take_descriptor());
    return d.storage().list(path);
  };
  device_.start(
      &life_, std::make_unique<Device::CallOperation<Entries>>(std::move(action), std::move(done)),
      device_.options_.cached);
}

void SimDisk::rename(std::string from, std::string to, env::Done<void> done) {
  if (drop_if_dead(life_, done)) return;
  auto action = [from = std::move(from), to = std::move(to)](Device& d) {
    return d.storage().rename(from, to);
  };
  device_.start(&life_,
                std::make_unique<Device::CallOperation<void>>(std::move(action), std::move(done)),
                device_.options_.cached);
}

void SimDisk::remove(std::string path, env::Done<void> done) {
  if (drop_if_dead(life_, done)) return;
  auto action = [path = std::move(path)](Device& d) { return d.storage().remove(path); };
  device_.start(&life_,
                std::make_unique<Device::CallOperation<void>>(std::move(action), std::move(done)),
                device_.options_.cached);
}

void SimDisk::sync_dir(std::string path, env::Done<void> done) {
  if (drop_if_dead(life_, done)) return;
  device_.start(&life_,
                std::make_unique<Device::SyncDirOperation>(
                    std::move(path), device_.storage_.sequence(), std::move(done)),
                device_.options_.sync);
}

void SimDisk::free_bytes(env::Done<uint64_t> done) {
  if (drop_if_dead(life_, done)) return;
  auto action = [](Device& d) -> Result<uint64_t> { return d.storage().free_bytes(); };
  device_.start(
      &life_, std::make_unique<Device::CallOperation<uint64_t>>(std::move(action), std::move(done)),
      device_.options_.cached);
}

void SimDisk::lock(env::Done<void> done) {
  if (drop_if_dead(life_, done)) return;
  device_.start(&life_,
                std::make_unique<Device::LockOperation>(
                    this, life_, device_.sim_.now() + k_lock_wait_max, std::move(done)),
                device_.options_.cached);
}

}  // namespace bascule::sim

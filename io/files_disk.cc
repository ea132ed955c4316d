#include "io/files_disk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "io/errno_error.h"

namespace bascule::io {
namespace {

constexpr Duration k_lock_patience = seconds(10);
constexpr Duration k_lock_pause = milliseconds(50);
// No file is larger: keeps positions within what the system counts in.
constexpr uint64_t k_file_bytes_max = uint64_t{1} << 50;

bool is_aligned(uint64_t n) { return n % env::k_block_bytes == 0; }

}  // namespace

FilesDisk::FilesDisk(AsioLoop& loop, DataDirectory directory)
    : loop_(loop),
      directory_(std::make_shared<const DataDirectory>(std::move(directory))),
      names_(std::make_shared<WorkerPool>(loop, 1)),
      boot_id_(read_boot_id()) {}

void FilesDisk::make_dir(std::string path, env::Done<void> done) {
  names_->call<void>(
      [directory = directory_, path = std::move(path)]() -> Status {
        BASCULE_TRY(check_path(path, Root::no));
        return directory->make_dir(path);
      },
      std::move(done));
}

void FilesDisk::list(std::string path, env::Done<std::vector<env::DirEntry>> done) {
  names_->call<std::vector<env::DirEntry>>(
      [directory = directory_, path = std::move(path)]() -> Result<std::vector<env::DirEntry>> {
        BASCULE_TRY(check_path(path, Root::yes));
        return directory->list(path);
      },
      std::move(done));
}

void FilesDisk::rename(std::string from, std::string to, env::Done<void> done) {
  names_->call<void>(
      [directory = directory_, from = std::move(from), to = std::move(to)]() -> Status {
        BASCULE_TRY(check_path(from, Root::no));
        BASCULE_TRY(check_path(to, Root::no));
        return directory->rename(from, to);
      },
      std::move(done));
}

void FilesDisk::remove(std::string path, env::Done<void> done) {
  names_->call<void>(
      [directory = directory_, path = std::move(path)]() -> Status {
        BASCULE_TRY(check_path(path, Root::no));
        return directory->remove(path);
      },
      std::move(done));
}

void FilesDisk::sync_dir(std::string path, env::Done<void> done) {
  names_->call<void>(
      [directory = directory_, path = std::move(path)]() -> Status {
        BASCULE_TRY(check_path(path, Root::yes));
        return directory->sync_dir(path);
      },
      std::move(done));
}

void FilesDisk::free_bytes(env::Done<uint64_t> done) {
  names_->call<uint64_t>([directory = directory_] { return directory->free_bytes(); },
                         std::move(done));
}

void FilesDisk::lock(env::Done<void> done) {
  loop_.post(scope_.wrap([this, done = std::move(done)]() mutable {
    try_lock(loop_.now() + k_lock_patience, std::move(done));
  }));
}

void FilesDisk::try_lock(MonotonicTime deadline, env::Done<void> done) {
  const Result<bool> locked = directory_->try_lock();
  if (!locked) return done(fail(locked.error()));
  if (*locked) return done({});
  if (loop_.now() >= deadline)
    return done(fail(Errc::busy, "the data directory is locked by another process"));
  loop_.after(k_lock_pause, scope_.wrap([this, deadline, done = std::move(done)]() mutable {
    try_lock(deadline, std::move(done));
  }));
}

OpenFile::~OpenFile() {
  const std::shared_ptr<WorkerPool> closer = closer_.lock();
  if (!closer) return;
  closer->call<void>(
      [a = std::move(buffered_), b = std::move(direct_)]() mutable -> Status {
        const Fd first = std::move(a);
        const Fd second = std::move(b);
        return {};
      },
      [](Status) {});
}

Status FilesFile::check_write(uint64_t position, const std::vector<Slice>& pieces,
                              env::Sync sync) const {
  if (!file_->writable()) return fail(Errc::invalid, "write: opened read-only");
  if (position > k_file_bytes_max) return fail(Errc::invalid, "write: position");
  if (sync == env::Sync::no) return {};
  bool aligned = is_aligned(position);
  for (const Slice& piece : pieces)
    aligned = aligned && is_aligned(piece.size()) &&
              is_aligned(reinterpret_cast<uintptr_t>(piece.data()));
  if (!aligned) return fail(Errc::invalid, "synced write: not aligned");
  return {};
}

Status FilesFile::check_read(uint64_t position, size_t size) {
  if (position > k_file_bytes_max || size > k_file_bytes_max)
    return fail(Errc::invalid, "read: position");
  return {};
}

void FilesFile::reserve(uint64_t size, env::Done<void> done) {
  if (!file_->writable())
    return complete_later<void>(fail(Errc::invalid, "reserve: opened read-only"), std::move(done));
  auto reserved = [file = file_, done = std::move(done)](Status status) mutable {
    // Blocks are taken back only while no write can make the file longer at the same moment.
    if (!status && status.error().code == Errc::no_space && file->writes_in_flight == 0)
      free_past_end(file->buffered());
    if (!file->handle_gone) done(std::move(status));
  };
  names_->call<void>([fd = file_->buffered(), size] { return reserve_blocks(fd, size); },
                     std::move(reserved));
}

void FilesFile::truncate(uint64_t size, env::Done<void> done) {
  if (!file_->writable())
    return complete_later<void>(fail(Errc::invalid, "truncate: opened read-only"), std::move(done));
  auto cut = [file = file_, done = std::move(done)](Status status) mutable {
    if (!file->handle_gone) done(std::move(status));
  };
  names_->call<void>(
      [fd = file_->buffered(), size]() -> Status {
        if (::ftruncate(fd, static_cast<off_t>(size)) != 0)
          return fail(file_error(errno, "truncate", ""));
        return {};
      },
      std::move(cut));
}

void FilesFile::size(env::Done<uint64_t> done) {
  struct stat st;
  Result<uint64_t> result = 0;
  if (::fstat(file_->buffered(), &st) == 0) {
    result = static_cast<uint64_t>(st.st_size);
  } else {
    result = fail(file_error(errno, "size", ""));
  }
  complete_later<uint64_t>(std::move(result), std::move(done));
}

}  // namespace bascule::io

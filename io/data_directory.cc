#include "io/data_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "io/entropy.h"
#include "io/errno_error.h"

namespace bascule::io {
namespace {

constexpr size_t k_name_bytes_max = 255;
constexpr size_t k_path_bytes_max = 4000;  // the system's bound is 4096 with the end mark
constexpr mode_t k_file_mode = 0640;
constexpr mode_t k_directory_mode = 0750;

struct CloseFile {
  void operator()(FILE* file) const { std::fclose(file); }
};
struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

std::unexpected<Error> file_fail(std::string_view operation, std::string_view path) {
  return fail(file_error(errno, operation, path));
}

const char* at_path(const std::string& path) { return path.empty() ? "." : path.c_str(); }

int open_flags(env::OpenMode mode) {
  switch (mode) {
    case env::OpenMode::read_only: return O_RDONLY;
    case env::OpenMode::read_write: return O_RDWR;
    case env::OpenMode::create_new: return O_RDWR | O_CREAT | O_EXCL;
    case env::OpenMode::create_or_open: return O_RDWR | O_CREAT;
  }
  return O_RDONLY;
}

// Makes `path` and those above it below `base`. With `sync`, each new name is made durable.
Status make_dirs(int base, const std::string& path, bool sync) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    if (::mkdirat(base, prefix.c_str(), k_directory_mode) == 0) {
      const size_t slash = prefix.rfind('/');
      const std::string above = slash == std::string::npos ? "." : prefix.substr(0, slash + 1);
      if (sync) {
        const Fd parent(::openat(base, above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!parent || ::fsync(parent.get()) != 0) return file_fail("sync of", above);
      }
    } else if (errno != EEXIST) {
      return file_fail("make directory", prefix);
    }
    if (end == std::string::npos) break;
  }
  struct stat st;
  if (::fstatat(base, path.c_str(), &st, 0) != 0) return file_fail("make directory", path);
  if (!S_ISDIR(st.st_mode)) return fail(Errc::already_exists, path + ": is a file");
  return {};
}

}  // namespace

Status check_path(std::string_view path, Root root) {
  if (path.empty()) {
    if (root == Root::yes) return {};
    return fail(Errc::invalid, "path: empty");
  }
  if (path.size() > k_path_bytes_max) return fail(Errc::invalid, "path: too long");
  if (path.find('\0') != std::string_view::npos) return fail(Errc::invalid, "path: a zero byte");
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == ".." || name.size() > k_name_bytes_max)
      return fail(Errc::invalid, "path: bad name \"" + std::string(name.substr(0, 64)) + "\"");
    if (slash == std::string_view::npos) return {};
    path.remove_prefix(slash + 1);
  }
}

Result<DataDirectory> DataDirectory::open(const std::string& path) {
  if (path.empty()) return fail(Errc::invalid, "data directory: empty path");
  BASCULE_TRY(make_dirs(AT_FDCWD, path, true));
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return file_fail("open", path);
  return DataDirectory(std::move(fd));
}

Result<Fd> DataDirectory::open_file(const std::string& path, env::OpenMode mode, int flags) const {
  Fd fd(::openat(fd_.get(), path.c_str(), open_flags(mode) | flags | O_CLOEXEC, k_file_mode));
  if (!fd) return file_fail("open", path);
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return file_fail("open", path);
  if (!S_ISREG(st.st_mode)) return fail(Errc::invalid, path + ": is not a file");
  return fd;
}

Result<Fd> DataDirectory::open_dir(const std::string& path) const {
  Fd fd(::openat(fd_.get(), at_path(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return file_fail("open directory", path);
  return fd;
}

Status DataDirectory::make_dir(const std::string& path) const {
  return make_dirs(fd_.get(), path, false);
}

Result<std::vector<env::DirEntry>> DataDirectory::list(const std::string& path) const {
  BASCULE_TRY_ASSIGN(Fd fd, open_dir(path));
  Fd copy(::dup(fd.get()));
  if (!copy) return file_fail("list", path);
  const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(copy.get()));
  if (!dir) return file_fail("list", path);
  (void)copy.release();  // it is the directory stream's now
  std::vector<env::DirEntry> entries;
  while (true) {
    errno = 0;
    const dirent* found = ::readdir(dir.get());
    if (found == nullptr) break;
    const std::string name = found->d_name;
    if (name == "." || name == "..") continue;
    struct stat st;
    if (::fstatat(fd.get(), name.c_str(), &st, 0) != 0) {
      if (errno == ENOENT) continue;  // removed meanwhile
      return file_fail("list", path + "/" + name);
    }
    const bool directory = S_ISDIR(st.st_mode);
    entries.push_back({name, directory, directory ? 0 : static_cast<uint64_t>(st.st_size)});
  }
  if (errno != 0) return file_fail("list", path);
  std::ranges::sort(entries, {}, &env::DirEntry::name);
  return entries;
}

Status DataDirectory::rename(const std::string& from, const std::string& to) const {
  if (::renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) != 0)
    return file_fail("rename", from + " to " + to);
  return {};
}

Status DataDirectory::remove(const std::string& path) const {
  if (::unlinkat(fd_.get(), path.c_str(), 0) == 0) return {};
  if (errno != EISDIR) return file_fail("remove", path);
  if (::unlinkat(fd_.get(), path.c_str(), AT_REMOVEDIR) != 0) return file_fail("remove", path);
  return {};
}

Status DataDirectory::sync_dir(const std::string& path) const {
  const Result<Fd> fd = open_dir(path);
  // Whoever has changed a name must be able to make it durable. Without a descriptor for the directory
  // its whole file system is synced, by the one that is always there.
  if (!fd && fd.error().code == Errc::overloaded) {
    if (::syncfs(fd_.get()) != 0) return file_fail("sync of directory", path);
    return {};
  }
  if (!fd) return fail(fd.error());
  if (::fsync(fd->get()) != 0) return file_fail("sync of directory", path);
  return {};
}

Result<uint64_t> DataDirectory::free_bytes() const {
  struct statvfs st;
  if (::fstatvfs(fd_.get(), &st) != 0) return file_fail("statvfs", "");
  return uint64_t{st.f_bavail} * st.f_frsize;
}

Result<bool> DataDirectory::try_lock() const {
  if (::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return file_fail("lock of the data directory", "");
}

Status reserve_blocks(int fd, uint64_t size) {
  struct stat st;
  struct statvfs vfs;
  if (::fstat(fd, &st) != 0 || ::fstatvfs(fd, &vfs) != 0) return file_fail("reserve", "");
  // Asked first: a fallocate that fails has emptied the disk for everybody until it is taken back.
  const uint64_t have = static_cast<uint64_t>(st.st_blocks) * 512;
  if (size > have && size - have > uint64_t{vfs.f_bavail} * vfs.f_frsize)
    return fail(Errc::no_space, "reserve: the file system has less");
  // Blocks first, then the length: a failure leaves the length alone, and concurrent writes may make
  // the file longer than `size` at any time.
  const auto length = static_cast<off_t>(size);
  if (::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, length) != 0) return file_fail("reserve", "");
  if (::fallocate(fd, 0, 0, length) != 0) return file_fail("reserve", "");
  return {};
}

void free_past_end(int fd) {
  struct stat st;
  if (::fstat(fd, &st) != 0) return;
  // Setting a file's length to what it is frees the blocks past it. If that fails they stay until the
  // file is cut or removed: a loss of space alone.
  if (::ftruncate(fd, st.st_size) != 0) return;
}

Uuid read_boot_id() {
  Uuid id;
  char text[64] = {};
  if (const std::unique_ptr<FILE, CloseFile> file(
          std::fopen("/proc/sys/kernel/random/boot_id", "re"));
      file && std::fgets(text, sizeof(text), file.get()) != nullptr) {
    int digits = 0;
    for (const char* c = text; *c != '\0' && digits < 32; ++c) {
      int value = -1;
      if (*c >= '0' && *c <= '9') value = *c - '0';
      if (*c >= 'a' && *c <= 'f') value = *c - 'a' + 10;
      if (value < 0) continue;
      uint64_t& word = id.words[static_cast<size_t>(digits++ / 16)];
      word = word << 4 | static_cast<uint64_t>(value);
    }
    if (digits == 32 && id) return id;
  }
  return {{random_seed(), random_seed()}};
}

}  // namespace bascule::io

// The data directory: names below it, by blocking calls. FilesDisk runs them on its helper thread.
//
// All go through one descriptor of the directory, so that a process stays in its data even where
// somebody renames a directory above.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/fd.h"
#include "src/env/disk.h"

namespace bascule::io {

// `invalid` unless the path stays below the data directory and its names are of legal length. Empty
// names the data directory itself, and is refused where `root` is no.
enum class Root : uint8_t { no, yes };
Status check_path(std::string_view path, Root root);

class DataDirectory {
 public:
  // Makes the directory where it is absent; its name is durable then.
  static Result<DataDirectory> open(const std::string& path);

  // The descriptor of a file as `mode` says, plus `flags` of open(2). Directories are `invalid`.
  Result<Fd> open_file(const std::string& path, env::OpenMode mode, int flags = 0) const;
  Status make_dir(const std::string& path) const;
  Result<std::vector<env::DirEntry>> list(const std::string& path) const;
  Status rename(const std::string& from, const std::string& to) const;
  Status remove(const std::string& path) const;
  Status sync_dir(const std::string& path) const;
  Result<uint64_t> free_bytes() const;
  // The lock lies on the directory itself, so no file of its own stands among the data. It goes with
  // the descriptor. False: another holds it.
  Result<bool> try_lock() const;

  int fd() const { return fd_.get(); }

 private:
  explicit DataDirectory(Fd fd) : fd_(std::move(fd)) {}
  Result<Fd> open_dir(const std::string& path) const;

  Fd fd_;
};

// Blocks for [0, size), and at least that length. On `no_space` the length is as it was, but blocks past
// the end of the file may be allocated: free_past_end gives them back.
Status reserve_blocks(int fd, uint64_t size);
// Requires that nobody writes the file meanwhile.
void free_past_end(int fd);

// The machine's boot id; a random one where the system tells none (it then equals no other).
Uuid read_boot_id();

}  // namespace bascule::io

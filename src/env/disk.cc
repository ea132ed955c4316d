#include "src/env/disk.h"

#include <utility>

namespace bascule::env {
namespace {

// The file stays open until the last completion of the chain has run.
using SharedFile = std::shared_ptr<File>;

void write_and_swap(Disk& disk, SharedFile file, std::string directory, std::string from,
                    std::string to, Slice contents, Done<void> done) {
  File& f = *file;
  auto renamed = [&disk, directory, done = std::move(done)](Status s) mutable {
    if (!s) return done(fail(std::move(s.error())));
    disk.sync_dir(std::move(directory), std::move(done));
  };
  auto synced = [&disk, file, from = std::move(from), to = std::move(to),
                 renamed = std::move(renamed)](Status s) mutable {
    if (!s) return renamed(fail(std::move(s.error())));
    disk.rename(std::move(from), std::move(to), std::move(renamed));
  };
  auto written = [file = std::move(file), synced = std::move(synced)](Status s) mutable {
    if (!s) return synced(fail(std::move(s.error())));
    file->sync(std::move(synced));
  };
  f.write_at(0, {std::move(contents)}, Sync::no, std::move(written));
}

}  // namespace

void read_file(Disk& disk, std::string path, uint64_t bytes_max, Done<Slice> done) {
  auto opened = [path, bytes_max, done = std::move(done)](Result<std::unique_ptr<File>> r) mutable {
    if (!r) return done(fail(std::move(r.error())));
    SharedFile file = std::move(*r);
    File& f = *file;
    f.size([file = std::move(file), path = std::move(path), bytes_max,
            done = std::move(done)](Result<uint64_t> size) mutable {
      if (!size) return done(fail(std::move(size.error())));
      if (*size > bytes_max) return done(fail(Errc::too_large, std::move(path)));
      File& inner = *file;
      inner.read_at(0, static_cast<size_t>(*size),
                    [file = std::move(file), done = std::move(done)](Result<Slice> bytes) mutable {
                      done(std::move(bytes));
                    });
    });
  };
  disk.open(std::move(path), OpenMode::read_only, std::move(opened));
}

void replace_file(Disk& disk, std::string directory, std::string name, Slice contents,
                  Done<void> done) {
  std::string to = directory.empty() ? name : directory + "/" + name;
  std::string from = to + ".new";
  auto opened = [&disk, directory, from, to, contents = std::move(contents),
                 done = std::move(done)](Result<std::unique_ptr<File>> r) mutable {
    if (!r) return done(fail(std::move(r.error())));
    SharedFile file = std::move(*r);
    write_and_swap(disk, std::move(file), std::move(directory), std::move(from), std::move(to),
                   std::move(contents), std::move(done));
  };
  // A write of a dead life may still land in a file of this name that it left: this one is another.
  std::string path = from;
  disk.remove(from, [&disk, path = std::move(path), opened = std::move(opened)](Status s) mutable {
    if (!s && s.error().code != Errc::not_found) return opened(fail(std::move(s.error())));
    disk.open(std::move(path), OpenMode::create_new, std::move(opened));
  });
}

}  // namespace bascule::env

// What the two production disks have in common: names, the lock, and files that are opened, sized and cut
// on a helper thread, so that the loop never waits for a directory. How bytes move is theirs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/asio_loop.h"
#include "io/data_directory.h"
#include "io/sync_latch.h"
#include "io/worker_pool.h"
#include "src/env/disk.h"

namespace bascule::io {

class FilesDisk : public env::Disk {
 public:
  void make_dir(std::string path, env::Done<void> done) final;
  void list(std::string path, env::Done<std::vector<env::DirEntry>> done) final;
  void rename(std::string from, std::string to, env::Done<void> done) final;
  void remove(std::string path, env::Done<void> done) final;
  void sync_dir(std::string path, env::Done<void> done) final;
  void free_bytes(env::Done<uint64_t> done) final;
  void lock(env::Done<void> done) final;
  Uuid boot_id() const final { return boot_id_; }

 protected:
  FilesDisk(AsioLoop& loop, DataDirectory directory);

  AsioLoop& loop_;
  // Shared with jobs, which may end after this.
  std::shared_ptr<const DataDirectory> directory_;
  std::shared_ptr<WorkerPool> names_;  // one thread: names change in the order of the calls

 private:
  void try_lock(MonotonicTime deadline, env::Done<void> done);

  Uuid boot_id_;
  env::Scope scope_;
};

// The descriptors of one open file, shared by its handle and its operations; closed when the last of them
// has ended, on the helper thread: the last close of a removed file frees its blocks, which takes a while.
class OpenFile {
 public:
  OpenFile(Fd buffered, Fd direct, bool writable, std::weak_ptr<WorkerPool> closer)
      : buffered_(std::move(buffered)),
        direct_(std::move(direct)),
        writable_(writable),
        closer_(std::move(closer)) {}
  virtual ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int buffered() const { return buffered_.get(); }
  int direct() const { return direct_.get(); }
  bool writable() const { return writable_; }

  bool handle_gone = false;     // its completions are dropped
  bool written_direct = false;  // by this handle, at least once
  uint64_t writes_in_flight = 0;
  SyncLatch syncs;  // of the page cache

 private:
  Fd buffered_;
  Fd direct_;  // O_DIRECT | O_DSYNC; none on the thread pool's files, and on read-only ones
  bool writable_;
  std::weak_ptr<WorkerPool> closer_;
};

// Operations of a file that are the same on both disks.
class FilesFile : public env::File {
 public:
  ~FilesFile() override { file_->handle_gone = true; }

  void reserve(uint64_t size, env::Done<void> done) final;
  void truncate(uint64_t size, env::Done<void> done) final;
  void size(env::Done<uint64_t> done) final;

 protected:
  FilesFile(AsioLoop& loop, std::shared_ptr<WorkerPool> names, std::shared_ptr<OpenFile> file)
      : loop_(loop), names_(std::move(names)), file_(std::move(file)) {}

  // `invalid` unless a write (a read) there can be asked of the system.
  Status check_write(uint64_t position, const std::vector<Slice>& pieces, env::Sync sync) const;
  static Status check_read(uint64_t position, size_t size);
  // Completes in a later turn with what is known already.
  template <class T>
  void complete_later(Result<T> result, env::Done<T> done) {
    loop_.post([file = file_, result = std::move(result), done = std::move(done)]() mutable {
      if (!file->handle_gone) done(std::move(result));
    });
  }

  AsioLoop& loop_;
  std::shared_ptr<WorkerPool> names_;
  std::shared_ptr<OpenFile> file_;
};

}  // namespace bascule::io

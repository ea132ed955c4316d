#include "io/thread_pool_disk.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "io/errno_error.h"
#include "io/iovecs.h"

namespace bascule::io {
namespace {

// A synced write holds its thread for the device's latency; more threads than a device has use for only
// queue up in the kernel.
constexpr int k_transfer_threads = 4;

// On a worker.
Status sync_data(OpenFile& file) {
  return file.syncs.run([&]() -> Status {
    if (::fdatasync(file.buffered()) != 0) return fail(file_error(errno, "sync", ""));
    return {};
  });
}

class WriteJob final : public Job {
 public:
  WriteJob(std::shared_ptr<OpenFile> file, uint64_t position, std::vector<Slice> pieces,
           env::Sync sync, env::Done<void> done)
      : file_(std::move(file)),
        position_(position),
        pieces_(std::move(pieces)),
        left_(pieces_),
        sync_(sync),
        done_(std::move(done)) {
    ++file_->writes_in_flight;
  }

  void work() override {
    while (!left_.empty()) {
      const ssize_t n = ::pwritev(file_->buffered(), left_.data(), static_cast<int>(left_.count()),
                                  static_cast<off_t>(position_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return set_failed();
      position_ += static_cast<uint64_t>(n);
      left_.advance(static_cast<size_t>(n));
    }
    if (sync_ == env::Sync::yes) result_ = sync_data(*file_);
  }

  void finish() override {
    --file_->writes_in_flight;
    if (!file_->handle_gone) done_(std::move(result_));
  }

 private:
  void set_failed() { result_ = fail(file_error(errno, "write", "")); }

  std::shared_ptr<OpenFile> file_;
  uint64_t position_;
  std::vector<Slice> pieces_;  // keeps alive what left_ points to
  Iovecs left_;
  env::Sync sync_;
  env::Done<void> done_;
  Status result_;
};

class ReadJob final : public Job {
 public:
  ReadJob(std::shared_ptr<OpenFile> file, uint64_t position, size_t size, env::Done<Slice> done)
      : file_(std::move(file)),
        position_(position),
        buffer_(BufferRef::allocate(size)),
        into_(buffer_.mutable_bytes()),
        done_(std::move(done)) {}

  void work() override {
    while (got_ < into_.size()) {
      const ssize_t n = ::pread(file_->buffered(), into_.data() + got_, into_.size() - got_,
                                static_cast<off_t>(position_ + got_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        error_ = errno;
        return;
      }
      if (n == 0) return;
      got_ += static_cast<size_t>(n);
    }
  }

  void finish() override {
    if (file_->handle_gone) return;
    if (error_ != 0) return done_(fail(file_error(error_, "read", "")));
    done_(Slice(std::move(buffer_), 0, got_));
  }

 private:
  std::shared_ptr<OpenFile> file_;
  uint64_t position_;
  BufferRef buffer_;
  MutableBytes into_;
  size_t got_ = 0;
  int error_ = 0;
  env::Done<Slice> done_;
};

class ThreadPoolFile final : public FilesFile {
 public:
  ThreadPoolFile(AsioLoop& loop, std::shared_ptr<WorkerPool> names,
                 std::shared_ptr<WorkerPool> transfers, std::shared_ptr<OpenFile> file)
      : FilesFile(loop, std::move(names), std::move(file)), transfers_(std::move(transfers)) {}

  void write_at(uint64_t position, std::vector<Slice> pieces, env::Sync sync,
                env::Done<void> done) override {
    if (Status s = check_write(position, pieces, sync); !s)
      return complete_later<void>(std::move(s), std::move(done));
    transfers_->run(
        std::make_unique<WriteJob>(file_, position, std::move(pieces), sync, std::move(done)));
  }

  void read_at(uint64_t position, size_t size, env::Done<Slice> done) override {
    if (Status s = check_read(position, size); !s)
      return complete_later<Slice>(fail(s.error()), std::move(done));
    transfers_->run(std::make_unique<ReadJob>(file_, position, size, std::move(done)));
  }

  void sync(env::Done<void> done) override {
    auto synced = [file = file_, done = std::move(done)](Status status) mutable {
      if (!file->handle_gone) done(std::move(status));
    };
    // `synced` keeps the file.
    transfers_->call<void>([file = file_.get()] { return sync_data(*file); }, std::move(synced));
  }

 private:
  std::shared_ptr<WorkerPool> transfers_;
};

}  // namespace

ThreadPoolDisk::ThreadPoolDisk(AsioLoop& loop, DataDirectory directory)
    : FilesDisk(loop, std::move(directory)),
      transfers_(std::make_shared<WorkerPool>(loop, k_transfer_threads)) {}

void ThreadPoolDisk::open(std::string path, env::OpenMode mode,
                          env::Done<std::unique_ptr<env::File>> done) {
  auto opened = [this, mode, done = std::move(done)](Result<Fd> fd) mutable {
    if (!fd) return done(fail(std::move(fd.error())));
    auto file =
        std::make_shared<OpenFile>(std::move(*fd), Fd(), mode != env::OpenMode::read_only, names_);
    done(std::make_unique<ThreadPoolFile>(loop_, names_, transfers_, std::move(file)));
  };
  names_->call<Fd>(
      [directory = directory_, path = std::move(path), mode]() -> Result<Fd> {
        BASCULE_TRY(check_path(path, Root::no));
        return directory->open_file(path, mode);
      },
      std::move(opened));
}

}  // namespace bascule::io

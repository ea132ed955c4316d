#include "io/uring_disk.h"

#include <fcntl.h>
#include <liburing.h>

#include <cerrno>
#include <deque>

#include "io/errno_error.h"
#include "io/iovecs.h"

namespace bascule::io {
namespace {

constexpr uint64_t k_block = env::k_block_bytes;
constexpr size_t k_read_bytes_max = size_t{1} << 30;  // of one submission
// Answers in a row that bring a write no block further, before it is given up.
constexpr int k_idle_answers_max = 8;

constexpr uint64_t align_down(uint64_t n) { return n & ~(k_block - 1); }
constexpr uint64_t align_up(uint64_t n) { return align_down(n + k_block - 1); }

class WriteOperation;
class SyncOperation;

// An open file, with its writes in flight: all direct, or all cached. A write of the other kind, and all
// after it, wait here until those have ended (see the header: the two must not meet in one page).
class UringOpenFile final : public OpenFile {
 public:
  UringOpenFile(Fd buffered, Fd direct, bool writable, std::weak_ptr<WorkerPool> closer,
                std::weak_ptr<Uring> ring)
      : OpenFile(std::move(buffered), std::move(direct), writable, std::move(closer)),
        ring_(std::move(ring)) {}

  void start_write(std::unique_ptr<WriteOperation> write);
  // Once for each write that was submitted and has ended.
  void write_ended();
  // One at a time, as sync_latch.h has it.
  void start_sync(std::unique_ptr<SyncOperation> sync);
  // Once for each sync that was submitted and has ended; `result` becomes what may be told of it.
  void sync_ended(Status& result);
  // Of a synced write: after one that failed, whatever its reason but a full disk, no later one is
  // told to be durable.
  void settle(Status& result);
  // What waits owns this file, as this owns it: nobody else would let go of either.
  void drop_held_without_ring() {
    if (!ring_.expired()) return;
    const auto dropped = std::exchange(held_, {});
    const auto dropped_syncs = std::exchange(held_syncs_, {});
  }

 private:
  void submit_held();
  void submit_sync();

  std::weak_ptr<Uring> ring_;
  std::deque<std::unique_ptr<WriteOperation>> held_;
  std::deque<std::unique_ptr<SyncOperation>> held_syncs_;
  bool syncing_ = false;
  Status failed_;                   // that of the first sync or synced write that failed
  env::Sync kind_ = env::Sync::no;  // of those submitted
  uint64_t submitted_ = 0;
};

class WriteOperation final : public UringOperation {
 public:
  WriteOperation(std::shared_ptr<UringOpenFile> file, uint64_t position, std::vector<Slice> pieces,
                 env::Sync sync, env::Done<void> done)
      : file_(std::move(file)),
        position_(position),
        pieces_(std::move(pieces)),
        left_(pieces_),
        sync_(sync),
        done_(std::move(done)) {
    ++file_->writes_in_flight;
  }
  ~WriteOperation() override {
    --file_->writes_in_flight;
    file_->drop_held_without_ring();
  }

  void prepare(io_uring_sqe& sqe) override {
    const int fd = sync_ == env::Sync::yes ? file_->direct() : file_->buffered();
    io_uring_prep_writev(&sqe, fd, left_.data(), left_.count(), position_);
  }

  bool advance(int answer) override {
    if (answer < 0) {
      result_ = fail(file_error(-answer, "write", ""));
      return true;
    }
    // A direct write continues at a whole block; what it then writes twice is the same.
    auto step = static_cast<size_t>(answer);
    if (sync_ == env::Sync::yes) step = align_down(step);
    idle_answers_ = step == 0 ? idle_answers_ + 1 : 0;
    left_.advance(step);
    position_ += step;
    if (idle_answers_ < k_idle_answers_max) return left_.empty();
    result_ = fail(Errc::io_error, "write: the system accepts no bytes");
    return true;
  }

  void complete() override {
    file_->write_ended();
    if (sync_ == env::Sync::yes) file_->settle(result_);
    if (!file_->handle_gone) done_(std::move(result_));
  }

  env::Sync sync() const { return sync_; }

 private:
  std::shared_ptr<UringOpenFile> file_;
  uint64_t position_;
  std::vector<Slice> pieces_;  // keeps alive what left_ points to
  Iovecs left_;
  env::Sync sync_;
  int idle_answers_ = 0;
  env::Done<void> done_;
  Status result_;
};

void UringOpenFile::start_write(std::unique_ptr<WriteOperation> write) {
  held_.push_back(std::move(write));
  submit_held();
}

void UringOpenFile::write_ended() {
  ASSERT(submitted_ > 0);
  --submitted_;
  submit_held();
}

void UringOpenFile::submit_held() {
  const std::shared_ptr<Uring> ring = ring_.lock();
  while (ring && !held_.empty() && (submitted_ == 0 || held_.front()->sync() == kind_)) {
    kind_ = held_.front()->sync();
    ++submitted_;
    ring->start(std::move(held_.front()));
    held_.pop_front();
  }
}

class ReadOperation final : public UringOperation {
 public:
  ReadOperation(std::shared_ptr<OpenFile> file, uint64_t position, size_t size,
                env::Done<Slice> done)
      : file_(std::move(file)),
        direct_(file_->written_direct),
        skip_(direct_ ? static_cast<size_t>(position - align_down(position)) : 0),
        size_(size),
        from_(position - skip_),
        buffer_(direct_ ? BufferRef::allocate(align_up(skip_ + size), k_block)
                        : BufferRef::allocate(size)),
        into_(buffer_.mutable_bytes()),
        done_(std::move(done)) {}

  void prepare(io_uring_sqe& sqe) override {
    const size_t step = std::min(into_.size() - got_, k_read_bytes_max);
    io_uring_prep_read(&sqe, direct_ ? file_->direct() : file_->buffered(), into_.data() + got_,
                       static_cast<unsigned>(step), from_ + got_);
  }

  bool advance(int answer) override {
    if (answer < 0) {
      error_ = -answer;
      return true;
    }
    got_ += static_cast<size_t>(answer);
    // A direct read that ends inside a block has seen the file's end.
    return answer == 0 || got_ >= skip_ + size_ || (direct_ && got_ % k_block != 0);
  }

  void complete() override {
    if (file_->handle_gone) return;
    if (error_ != 0) return done_(fail(file_error(error_, "read", "")));
    const size_t end = std::min(got_, skip_ + size_);
    done_(end > skip_ ? Slice(std::move(buffer_), skip_, end - skip_) : Slice());
  }

 private:
  std::shared_ptr<OpenFile> file_;
  bool direct_;
  size_t skip_;    // bytes of the buffer before those that were asked for
  size_t size_;    // asked for
  uint64_t from_;  // position in the file of the buffer's start
  BufferRef buffer_;
  MutableBytes into_;
  size_t got_ = 0;
  int error_ = 0;
  env::Done<Slice> done_;
};

class SyncOperation final : public UringOperation {
 public:
  SyncOperation(std::shared_ptr<UringOpenFile> file, env::Done<void> done)
      : file_(std::move(file)), done_(std::move(done)) {}
  ~SyncOperation() override { file_->drop_held_without_ring(); }

  void prepare(io_uring_sqe& sqe) override {
    io_uring_prep_fsync(&sqe, file_->buffered(), IORING_FSYNC_DATASYNC);
  }
  bool advance(int answer) override {
    if (answer < 0) result_ = fail(file_error(-answer, "sync", ""));
    return true;
  }
  void complete() override {
    file_->sync_ended(result_);
    if (!file_->handle_gone) done_(std::move(result_));
  }

 private:
  std::shared_ptr<UringOpenFile> file_;
  env::Done<void> done_;
  Status result_;
};

void UringOpenFile::start_sync(std::unique_ptr<SyncOperation> sync) {
  held_syncs_.push_back(std::move(sync));
  submit_sync();
}

void UringOpenFile::sync_ended(Status& result) {
  syncing_ = false;
  if (failed_ && !result) failed_ = result;
  result = failed_;
  submit_sync();
}

void UringOpenFile::submit_sync() {
  const std::shared_ptr<Uring> ring = ring_.lock();
  if (!ring || syncing_ || held_syncs_.empty()) return;
  syncing_ = true;
  ring->start(std::move(held_syncs_.front()));
  held_syncs_.pop_front();
}

void UringOpenFile::settle(Status& result) {
  if (!failed_) {
    result = failed_;
  } else if (!result && result.error().code != Errc::no_space) {
    failed_ = result;
  }
}

class UringFile final : public FilesFile {
 public:
  UringFile(AsioLoop& loop, std::shared_ptr<WorkerPool> names, std::shared_ptr<Uring> ring,
            std::shared_ptr<UringOpenFile> file)
      : FilesFile(loop, std::move(names), file),
        ring_(std::move(ring)),
        uring_file_(std::move(file)) {}

  void write_at(uint64_t position, std::vector<Slice> pieces, env::Sync sync,
                env::Done<void> done) override {
    if (Status s = check_write(position, pieces, sync); !s)
      return complete_later<void>(std::move(s), std::move(done));
    if (sync == env::Sync::yes) file_->written_direct = true;
    uring_file_->start_write(std::make_unique<WriteOperation>(
        uring_file_, position, std::move(pieces), sync, std::move(done)));
  }

  void read_at(uint64_t position, size_t size, env::Done<Slice> done) override {
    if (Status s = check_read(position, size); !s)
      return complete_later<Slice>(fail(s.error()), std::move(done));
    if (size == 0) return complete_later<Slice>(Slice(), std::move(done));
    ring_->start(std::make_unique<ReadOperation>(file_, position, size, std::move(done)));
  }

  void sync(env::Done<void> done) override {
    uring_file_->start_sync(std::make_unique<SyncOperation>(uring_file_, std::move(done)));
  }

 private:
  std::shared_ptr<Uring> ring_;
  std::shared_ptr<UringOpenFile> uring_file_;  // file_, as what it is
};

struct Descriptors {
  Fd buffered;
  Fd direct;
};

}  // namespace

UringDisk::UringDisk(AsioLoop& loop, DataDirectory directory, std::unique_ptr<Uring> ring)
    : FilesDisk(loop, std::move(directory)), ring_(std::move(ring)) {}

void UringDisk::open(std::string path, env::OpenMode mode,
                     env::Done<std::unique_ptr<env::File>> done) {
  const bool writable = mode != env::OpenMode::read_only;
  auto opened = [this, writable, done = std::move(done)](Result<Descriptors> fds) mutable {
    if (!fds) return done(fail(std::move(fds.error())));
    auto file = std::make_shared<UringOpenFile>(std::move(fds->buffered), std::move(fds->direct),
                                                writable, names_, ring_);
    done(std::make_unique<UringFile>(loop_, names_, ring_, std::move(file)));
  };
  names_->call<Descriptors>(
      [directory = directory_, path = std::move(path), mode, writable]() -> Result<Descriptors> {
        BASCULE_TRY(check_path(path, Root::no));
        Descriptors fds;
        BASCULE_TRY_ASSIGN(fds.buffered, directory->open_file(path, mode));
        // Names change on this thread alone, so the second open meets the same file.
        if (writable) {
          Result<Fd> direct =
              directory->open_file(path, env::OpenMode::read_write, O_DIRECT | O_DSYNC);
          if (!direct) {
            // A file that was not to be there is not left behind by a failure.
            if (mode == env::OpenMode::create_new) (void)directory->remove(path);
            return fail(std::move(direct.error()));
          }
          fds.direct = std::move(*direct);
        }
        return fds;
      },
      std::move(opened));
}

}  // namespace bascule::io

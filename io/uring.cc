#include "io/uring.h"

#include <liburing.h>
#include <sys/eventfd.h>

#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <deque>
#include <utility>

#include "io/asio_access.h"
#include "io/errno_error.h"
#include "io/fd.h"
#include "src/base/assert.h"

namespace bascule::io {

struct Uring::State : std::enable_shared_from_this<State> {
  explicit State(AsioLoop& l) : loop(l), events(AsioAccess::context(l)) {}

  AsioLoop& loop;
  io_uring ring{};
  bool ring_open = false;
  asio::posix::stream_descriptor events;  // owns the eventfd
  // Longer than the eventfd's count: a read that fills its buffer would be tried again at once.
  std::array<uint8_t, 16> event_buffer{};
  std::deque<std::unique_ptr<UringOperation>> waiting;
  unsigned in_flight = 0;
  bool submit_scheduled = false;
  bool gone = false;

  Status open();
  void close();
  void wait_for_events();
  void submit_at_turn_end();
  void submit();
  void reap();
  void take_answer(UringOperation* operation, int answer);
};

Status Uring::State::open() {
  // Answers of interrupts are taken when we enter the kernel anyway, not by interrupting this thread.
  int e = io_uring_queue_init(k_depth, &ring, IORING_SETUP_COOP_TASKRUN);
  if (e == -EINVAL) e = io_uring_queue_init(k_depth, &ring, 0);  // before Linux 5.19
  if (e < 0) return fail(file_error(-e, "io_uring", ""));
  ring_open = true;
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return fail(file_error(errno, "eventfd", ""));
  asio::error_code error;
  events.assign(fd, error);
  if (error) return fail(file_error(error.value(), "eventfd", ""));
  e = io_uring_register_eventfd(&ring, fd);
  if (e < 0) return fail(file_error(-e, "io_uring: eventfd", ""));
  wait_for_events();
  return {};
}

void Uring::State::wait_for_events() {
  events.async_read_some(asio::buffer(event_buffer),
                         [self = shared_from_this()](const asio::error_code& error, size_t) {
                           if (error || self->gone) return;
                           self->reap();
                           self->wait_for_events();
                         });
}

void Uring::State::submit_at_turn_end() {
  if (submit_scheduled) return;
  submit_scheduled = true;
  loop.at_turn_end([self = shared_from_this()] {
    self->submit_scheduled = false;
    if (!self->gone) self->submit();
  });
}

void Uring::State::submit() {
  while (!waiting.empty() && in_flight < k_depth) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    if (sqe == nullptr) break;  // the kernel has not taken the last ones yet
    std::unique_ptr<UringOperation> operation = std::move(waiting.front());
    waiting.pop_front();
    operation->prepare(*sqe);
    io_uring_sqe_set_data(sqe, operation.release());
    ++in_flight;
  }
  const int e = io_uring_submit(&ring);
  // A lack of memory passes when operations end; anything else is a broken ring.
  if (e == -EAGAIN || e == -EBUSY || e == -EINTR) {
    submit_at_turn_end();
  } else if (e < 0) {
    loop.fail_stop(file_error(-e, "io_uring: submit", ""));
  }
  // What the page cache could answer is there already.
  reap();
}

void Uring::State::reap() {
  io_uring_cqe* cqe = nullptr;
  while (io_uring_peek_cqe(&ring, &cqe) == 0 && cqe != nullptr) {
    auto* operation = static_cast<UringOperation*>(io_uring_cqe_get_data(cqe));
    const int answer = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    take_answer(operation, answer);
  }
  if (!waiting.empty()) submit_at_turn_end();
}

void Uring::State::take_answer(UringOperation* given, int answer) {
  ASSERT(given != nullptr && in_flight > 0, in_flight);
  std::unique_ptr<UringOperation> operation(given);
  --in_flight;
  const bool interrupted = answer == -EINTR || answer == -EAGAIN;
  if (interrupted || !operation->advance(answer)) {
    waiting.push_front(std::move(operation));
    return;
  }
  loop.post([self = shared_from_this(), operation = std::move(operation)] {
    if (!self->gone) operation->complete();
  });
}

void Uring::State::close() {
  gone = true;
  // Until the last answer the kernel may write into buffers that operations own.
  while (in_flight > 0) {
    io_uring_submit(&ring);
    io_uring_cqe* cqe = nullptr;
    const int e = io_uring_wait_cqe(&ring, &cqe);
    if (e == -EINTR || e == -EAGAIN) continue;
    ASSERT(e == 0, e);
    const std::unique_ptr<UringOperation> operation(
        static_cast<UringOperation*>(io_uring_cqe_get_data(cqe)));
    io_uring_cqe_seen(&ring, cqe);
    --in_flight;
  }
  asio::error_code ignored;
  events.close(ignored);
  if (std::exchange(ring_open, false)) io_uring_queue_exit(&ring);
  const auto dropped = std::exchange(waiting, {});
}

Uring::Uring(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Uring>> Uring::make(AsioLoop& loop) {
  auto state = std::make_shared<State>(loop);
  // The destructor closes what has been opened.
  std::unique_ptr<Uring> ring(new Uring(state));
  BASCULE_TRY(state->open());
  return ring;
}

Uring::~Uring() { state_->close(); }

void Uring::start(std::unique_ptr<UringOperation> operation) {
  state_->waiting.push_back(std::move(operation));
  state_->submit_at_turn_end();
}

}  // namespace bascule::io

// An io_uring on the loop: operations that are started in a turn are submitted together at its end, and
// completions come in by an eventfd.
//
// At most k_depth operations are with the kernel; others wait here in order. Lives on the loop's thread.
#pragma once

#include <memory>

#include "io/asio_loop.h"

struct io_uring_sqe;

namespace bascule::io {

// One operation, which may take several submissions. Owned by the ring until it has ended.
class UringOperation {
 public:
  virtual ~UringOperation() = default;
  // Fills in what is to be submitted next.
  virtual void prepare(io_uring_sqe& sqe) = 0;
  // Takes the kernel's answer: bytes, or a negated error number. False: submit again.
  virtual bool advance(int answer) = 0;
  // In a turn of its own, after advance has given true.
  virtual void complete() = 0;
};

class Uring {
 public:
  static constexpr unsigned k_depth = 256;

  // Fails where the kernel or a container forbids io_uring.
  static Result<std::unique_ptr<Uring>> make(AsioLoop& loop);
  // Waits for what is with the kernel (it writes into our memory); completes nothing any more.
  ~Uring();

  void start(std::unique_ptr<UringOperation> operation);

 private:
  struct State;
  explicit Uring(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace bascule::io

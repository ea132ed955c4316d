// Lines of a file or of standard input, read by a thread of their own (a pipe may block for ever) and handed
// to the loop in portions, one portion at a time.
#pragma once

#include <functional>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "src/base/result.h"

namespace bascule::io {
class AsioLoop;
}

namespace bascule::cli {

class LineSource {
 public:
  // An empty name is standard input. `invalid`: it cannot be opened.
  static Result<std::unique_ptr<LineSource>> open(io::AsioLoop& loop, const std::string& file);
  // Waits for the end of what is read.
  ~LineSource();
  LineSource(const LineSource&) = delete;
  LineSource& operator=(const LineSource&) = delete;

  // Calls `lines` on the loop for each portion (up to 64 KiB of text, without line ends; the last line may
  // lack one), the next only after proceed(); `ended` after the last, with `io_error` when the input could not
  // be read to its end, or `too_large` for a line that no message can hold. Once.
  void start(std::function<void(std::vector<std::string>)> lines,
             std::function<void(Status)> ended);
  void proceed() { consumed_.release(); }

 private:
  LineSource(io::AsioLoop& loop, int fd) : loop_(loop), fd_(fd) {}
  Status read_all();
  void hand_over(std::vector<std::string> lines);

  io::AsioLoop& loop_;
  const int fd_;
  std::function<void(std::vector<std::string>)> lines_;
  std::function<void(Status)> ended_;
  std::counting_semaphore<> consumed_{0};
  std::thread thread_;
};

}  // namespace bascule::cli

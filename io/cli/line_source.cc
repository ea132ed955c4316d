#include "io/cli/line_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "io/asio_loop.h"
#include "src/model/limits.h"

namespace bascule::cli {

Result<std::unique_ptr<LineSource>> LineSource::open(io::AsioLoop& loop, const std::string& file) {
  const int fd = file.empty() ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(Errc::invalid, "cannot read " + file);
  return std::unique_ptr<LineSource>(new LineSource(loop, fd));
}

LineSource::~LineSource() {
  if (thread_.joinable()) thread_.join();
  if (fd_ != STDIN_FILENO) close(fd_);
}

void LineSource::start(std::function<void(std::vector<std::string>)> lines,
                       std::function<void(Status)> ended) {
  lines_ = std::move(lines);
  ended_ = std::move(ended);
  thread_ = std::thread([this] {
    auto status = std::make_shared<Status>(read_all());
    loop_.post_from_any_thread([this, status] { ended_(std::move(*status)); });
  });
}

Status LineSource::read_all() {
  std::string rest;
  std::vector<char> buffer(64 << 10);
  while (true) {
    const ssize_t n = read(fd_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Errc::io_error, std::strerror(errno));
    if (n == 0) break;
    const size_t unread = rest.size();
    rest.append(buffer.data(), static_cast<size_t>(n));
    std::vector<std::string> lines;
    size_t begin = 0;
    for (size_t end = rest.find('\n', unread); end != std::string::npos;
         end = rest.find('\n', begin)) {
      lines.push_back(rest.substr(begin, end - begin));
      begin = end + 1;
    }
    rest.erase(0, begin);
    if (!lines.empty()) hand_over(std::move(lines));
    if (rest.size() > limits::k_value_bytes_max)
      return fail(Errc::too_large, "a line is longer than any message");
  }
  if (!rest.empty()) hand_over({std::move(rest)});
  return {};
}

void LineSource::hand_over(std::vector<std::string> lines) {
  loop_.post_from_any_thread(
      [this, lines = std::move(lines)]() mutable { lines_(std::move(lines)); });
  consumed_.acquire();
}

}  // namespace bascule::cli

#include "sim/campaign/isolate.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace bascule::sim {
namespace {

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) ::_exit(4);
    text.remove_prefix(static_cast<size_t>(n));
  }
}

uint64_t number(std::string_view text, int base = 10) {
  uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out, base);
  return out;
}

// A failure's text may have lines; one line travels.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ';';
  }
  return text;
}

}  // namespace

std::string outcome_text(const Outcome& outcome) {
  std::string out = "trace " + outcome.trace.to_string() + "\nevents " +
                    std::to_string(outcome.events) + "\nsimulated " +
                    std::to_string(outcome.simulated.ns) + '\n';
  if (outcome.failure) {
    out += "oracle " + outcome.failure->oracle + "\ntext " + one_line(outcome.failure->text) +
           "\nat " + std::to_string(outcome.failure->at.ns) + '\n';
  }
  for (const auto& [name, value] : outcome.counts)
    out += "count " + name + ' ' + std::to_string(value) + '\n';
  return out;
}

Outcome parse_outcome(std::string_view text) {
  Outcome out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t space = std::min(line.find(' '), line.size());
    const std::string_view key = line.substr(0, space);
    const std::string_view value = line.substr(std::min(space + 1, line.size()));
    if (key == "trace" && value.size() == 32) {
      out.trace = Uuid{{number(value.substr(0, 16), 16), number(value.substr(16), 16)}};
    } else if (key == "events") {
      out.events = number(value);
    } else if (key == "simulated") {
      out.simulated = Duration{static_cast<int64_t>(number(value))};
    } else if (key == "oracle") {
      out.failure = Failure{std::string(value), {}, {}};
    } else if (key == "text" && out.failure) {
      out.failure->text = value;
    } else if (key == "at" && out.failure) {
      out.failure->at = Duration{static_cast<int64_t>(number(value))};
    } else if (key == "count") {
      const size_t split = value.rfind(' ');
      if (split != std::string_view::npos)
        out.counts[std::string(value.substr(0, split))] += number(value.substr(split + 1));
    }
  }
  return out;
}

std::string oracle_of_death(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    if (WTERMSIG(wait_status) == SIGABRT) return "assertion";
    if (WTERMSIG(wait_status) == SIGALRM) return "hang";
  }
  return "crash";
}

Outcome run_isolated(const WorldType& world, const Plan& plan, bool quiet) {
  int pipe_ends[2];
  if (::pipe(pipe_ends) != 0) std::abort();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) std::abort();
  if (child == 0) {
    ::close(pipe_ends[0]);
    if (quiet) {
      const int null = ::open("/dev/null", O_WRONLY);
      if (null >= 0) ::dup2(null, 2);
    }
    ::alarm(k_run_seconds_max);
    write_all(pipe_ends[1], outcome_text(world.run(plan, {})));
    ::_exit(0);
  }
  ::close(pipe_ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::read(pipe_ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  ::close(pipe_ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return parse_outcome(text);
  Outcome out;
  out.failure = Failure{oracle_of_death(status), "the run ended its process", plan.end};
  return out;
}

}  // namespace bascule::sim

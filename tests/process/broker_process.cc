#include "tests/process/broker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

extern char** environ;

namespace bascule::process_test {
namespace {

const std::string k_program = BASCULE_BINARY_DIR "/bin/bascule";

std::string read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Starts the program with its three standard files; returns its pid.
pid_t spawn(const std::vector<std::string>& arguments, int in, int out, int error) {
  std::vector<char*> argv;
  argv.push_back(const_cast<char*>(k_program.c_str()));
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, error, 2);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, k_program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot start " + k_program);
  return pid;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Reads one line; empty when the other end was closed before it ended.
std::string read_line(int fd) {
  std::string line;
  char c = 0;
  while (true) {
    const ssize_t n = read(fd, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return {};
    if (c == '\n') return line;
    line += c;
  }
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = BASCULE_BINARY_DIR "/process_test_XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

namespace {

// Starts the program with the files `in`, `out` and `error` of the directory; the first must be there.
pid_t spawn_with_files(const std::vector<std::string>& arguments, const std::string& directory) {
  const auto open_file = [&](const std::string& name, int flags) {
    const int fd = open((directory + "/" + name).c_str(), flags | O_CLOEXEC, 0600);
    if (fd < 0) throw std::runtime_error("cannot open " + name);
    return fd;
  };
  const int in = open_file("in", O_RDONLY);
  const int out = open_file("out", O_WRONLY | O_CREAT | O_TRUNC);
  const int error = open_file("error", O_WRONLY | O_CREAT | O_TRUNC);
  const pid_t pid = spawn(arguments, in, out, error);
  close(in);
  close(out);
  close(error);
  return pid;
}

}  // namespace

CommandResult run_bascule(const std::vector<std::string>& arguments, const std::string& input) {
  const TemporaryDirectory files;
  std::ofstream(files.path() + "/in", std::ios::binary) << input;
  const pid_t pid = spawn_with_files(arguments, files.path());
  CommandResult result;
  result.exit_status = wait_for(pid);
  result.out = read_whole(files.path() + "/out");
  result.error = read_whole(files.path() + "/error");
  return result;
}

RunningCommand::RunningCommand(const std::vector<std::string>& arguments) {
  std::ofstream(files_.path() + "/in", std::ios::binary).flush();
  pid_ = spawn_with_files(arguments, files_.path());
}

RunningCommand::~RunningCommand() {
  kill(pid_, SIGKILL);
  (void)wait_for(pid_);
}

std::vector<std::string> RunningCommand::lines() const {
  std::istringstream out(read_whole(files_.path() + "/out"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(out, line) && !out.eof();) lines.push_back(line);
  return lines;
}

std::string RunningCommand::error() const { return read_whole(files_.path() + "/error"); }

BrokerProcess::BrokerProcess(std::string data, std::vector<std::string> arguments)
    : data_(std::move(data)), arguments_(std::move(arguments)), error_file_(data_ + ".stderr") {}

BrokerProcess::~BrokerProcess() {
  if (running()) kill9();
  if (out_ >= 0) close(out_);
}

bool BrokerProcess::begin() {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int error = open(error_file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  std::vector<std::string> arguments{"serve", "--data", data_};
  arguments.insert(arguments.end(), arguments_.begin(), arguments_.end());
  for (const char* listener : {"--nats", "--rpc"})
    if (std::ranges::find(arguments_, listener) == arguments_.end())
      arguments.insert(arguments.end(), {listener, "127.0.0.1:0"});
  pid_ = spawn(arguments, null, pipe_ends[1], error);
  close(null);
  close(error);
  close(pipe_ends[1]);
  if (out_ >= 0) close(out_);
  out_ = pipe_ends[0];
  return true;
}

bool BrokerProcess::await_ready() {
  std::istringstream words(read_line(out_));
  std::string word;
  endpoints_.clear();
  if (!(words >> word) || word != "ready") {
    (void)wait();
    return false;
  }
  while (words >> word) {
    const size_t equals = word.find('=');
    endpoints_[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return true;
}

void BrokerProcess::kill9() {
  kill(pid_, SIGKILL);
  (void)wait();
}

int BrokerProcess::terminate() {
  kill(pid_, SIGTERM);
  return wait();
}

int BrokerProcess::wait() { return wait_for(std::exchange(pid_, -1)); }

std::string BrokerProcess::error() const { return read_whole(error_file_); }

bool BrokerProcess::says(const std::string& text) const {
  for (int tries = 0; tries < 1000; ++tries) {
    if (error().find(text) != std::string::npos) return true;
    usleep(10'000);
  }
  return false;
}

CommandResult BrokerProcess::command(std::vector<std::string> arguments,
                                     const std::string& input) const {
  arguments.insert(arguments.end(), {"--server", endpoint("rpc")});
  return run_bascule(arguments, input);
}

}  // namespace bascule::process_test

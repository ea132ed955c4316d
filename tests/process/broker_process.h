// The shipped program as a child process: started on free ports of 127.0.0.1, killed or drained by tests.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace bascule::process_test {

// A directory under the build tree, removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct CommandResult {
  int exit_status = -1;  // 128 + signal where it was killed
  std::string out;
  std::string error;
};

// Runs build/…/bin/bascule with the arguments and `input` on its standard input, to its end.
CommandResult run_bascule(const std::vector<std::string>& arguments, const std::string& input = {});

// The program with a command that does not end by itself, until this goes.
class RunningCommand {
 public:
  explicit RunningCommand(const std::vector<std::string>& arguments);
  ~RunningCommand();  // kills it
  RunningCommand(const RunningCommand&) = delete;
  RunningCommand& operator=(const RunningCommand&) = delete;

  // Whole lines of standard output so far.
  std::vector<std::string> lines() const;
  std::string error() const;

 private:
  TemporaryDirectory files_;
  pid_t pid_ = -1;
};

class BrokerProcess {
 public:
  // Nothing is started yet. `data` is the data directory.
  explicit BrokerProcess(std::string data, std::vector<std::string> arguments = {});
  ~BrokerProcess();  // kills it
  BrokerProcess(const BrokerProcess&) = delete;
  BrokerProcess& operator=(const BrokerProcess&) = delete;

  // Starts it and waits for its ready line. False, with what it said in error(), when it ended instead.
  bool start() { return begin() && await_ready(); }
  // The two halves of start(): brokers of a cluster wait for each other.
  bool begin();
  bool await_ready();
  void kill9();
  // SIGTERM; its exit status.
  int terminate();
  // Waits for its end: its exit status, 128 + signal where it was killed.
  int wait();
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

  // Of the ready line, such as "nats": "127.0.0.1:40123".
  const std::string& endpoint(const std::string& name) const { return endpoints_.at(name); }
  std::string nats_url() const { return "nats://" + endpoint("nats"); }
  // What it wrote to standard error in its present life.
  std::string error() const;
  // Waits, up to ten seconds, until it has written `text` there.
  bool says(const std::string& text) const;
  // Runs a command of the command line against this broker.
  CommandResult command(std::vector<std::string> arguments, const std::string& input = {}) const;

 private:
  std::string data_;
  std::vector<std::string> arguments_;
  std::string error_file_;
  pid_t pid_ = -1;
  int out_ = -1;
  std::map<std::string, std::string> endpoints_;
};

}  // namespace bascule::process_test

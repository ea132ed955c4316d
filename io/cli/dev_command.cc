// bascule dev: a local cluster of real processes, for trying things out. It starts `bascule serve` once per
// node, tells where each is reached, and stops all of them when it is stopped. A node that ends by itself is
// told, with the command that starts it again.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/cli/app.h"
#include "io/fd.h"
#include "io/tls_authority.h"

extern char** environ;  // NOLINT: what POSIX calls it

namespace bascule::cli {
namespace {

constexpr int k_stop_patience_ms = 40'000;

struct DevOptions {
  uint32_t nodes = 1;
  std::string data = "data";
  uint32_t port_base = 0;  // 0: the standard ports
  std::string log_level = "warning";
  bool tls = false;

  // Beside the data: a broker alone takes all of its directory for its own.
  std::string certificates() const { return std::filesystem::absolute(data).string() + "-tls"; }
};

struct Ports {
  uint32_t nats;
  uint32_t rpc;
  uint32_t peers;
};

Ports ports_of(const DevOptions& options, uint32_t node) {
  const uint32_t i = node - 1;
  if (options.port_base == 0) return {4222 + i, 9292 + 10 * i, 9293 + 10 * i};
  const uint32_t base = options.port_base + 10 * i;
  return {base, base + 1, base + 2};
}

std::string local(uint32_t port) { return "127.0.0.1:" + std::to_string(port); }

class DevNode {
 public:
  DevNode(const DevOptions& options, uint32_t number) : number_(number) {
    const Ports ports = ports_of(options, number);
    arguments_ = {
        "serve",
        "--node",
        std::to_string(number),
        "--data",
        options.nodes == 1 ? options.data : options.data + "/node" + std::to_string(number),
        "--nats",
        local(ports.nats),
        "--rpc",
        local(ports.rpc),
        "--log-level",
        options.log_level};
    if (options.tls) add_certificates(options);
    if (options.nodes == 1) return;
    std::string founders;
    for (uint32_t n = 1; n <= options.nodes; ++n)
      founders += (n == 1 ? "" : ",") + std::to_string(n) + "@" + local(ports_of(options, n).peers);
    arguments_.insert(arguments_.end(), {"--peers", local(ports.peers), "--founders", founders});
  }

  Status start() {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return failed("pipe");
    out_ = io::Fd(pipe[0]);
    const io::Fd child_end(pipe[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_end.get(), STDOUT_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    // A group of its own, so that Ctrl-C reaches it through us alone; signals as a program expects them.
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    std::string program = "bascule";
    std::vector<char*> argv{program.data()};
    for (std::string& argument : arguments_) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int error =
        posix_spawn(&pid_, "/proc/self/exe", &actions, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error == 0) return {};
    pid_ = 0;
    errno = error;
    return failed("start");
  }

  // What it says on its standard output, whole lines.
  void read() {
    std::array<char, 4096> buffer{};
    const ssize_t n = ::read(out_.get(), buffer.data(), buffer.size());
    if (n <= 0) {
      out_ = {};
      return;
    }
    text_.append(buffer.data(), static_cast<size_t>(n));
    for (size_t end; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1)) {
      std::string line = text_.substr(0, end);
      if (line.starts_with("ready ")) line += " pid=" + std::to_string(pid_);
      std::printf("%s\n", line.c_str());
      std::fflush(stdout);
    }
  }

  void ended(int status) {
    std::string how = WIFSIGNALED(status)
                          ? std::string("by signal ") + std::to_string(WTERMSIG(status))
                          : "with status " + std::to_string(WEXITSTATUS(status));
    pid_ = 0;
    if (stopping_) return;
    std::string command = "bascule";
    for (const std::string& argument : arguments_) command += " " + argument;
    std::fprintf(stderr, "bascule: node %u ended %s; start it again with\n  %s\n", number_,
                 how.c_str(), command.c_str());
  }

  void signal(int signal) {
    stopping_ = stopping_ || signal != SIGHUP;
    if (pid_ != 0) ::kill(pid_, signal);
  }
  pid_t pid() const { return pid_; }
  int out() const { return out_ ? out_.get() : -1; }

 private:
  // One authority for all: of the brokers among each other, and of their clients.
  void add_certificates(const DevOptions& options) {
    const std::string ca = io::tls_files_in(options.certificates()).ca;
    const io::TlsBrokerFiles own = io::tls_broker_files_in(options.certificates(), number_);
    arguments_.insert(arguments_.end(), {"--tls-cert", own.certificate, "--tls-key", own.key,
                                         "--tls-client-ca", ca, "--tls-peer-ca", ca});
  }

  static Status failed(const char* what) {
    return fail(Errc::io_error, std::string(what) + ": " + std::strerror(errno));
  }

  uint32_t number_;
  std::vector<std::string> arguments_;
  pid_t pid_ = 0;  // 0: not running
  io::Fd out_;
  std::string text_;
  bool stopping_ = false;
};

// A new authority and its certificates at each start, and what a client has to say to be let in.
Status make_certificates(const DevOptions& options) {
  BASCULE_TRY_ASSIGN(const io::TlsFiles files,
                     io::make_tls_files(options.certificates(), {.nodes = options.nodes}));
  std::string servers;
  for (uint32_t n = 1; n <= options.nodes; ++n)
    servers += (n == 1 ? "" : ",") + local(ports_of(options, n).rpc);
  std::printf(
      "export BASCULE_SERVER=%s BASCULE_TLS_CA='%s' BASCULE_TLS_CLIENT_CERT='%s' "
      "BASCULE_TLS_CLIENT_KEY='%s'\n",
      servers.c_str(), files.ca.c_str(), files.client_certificate.c_str(),
      files.client_key.c_str());
  std::printf("nats --server tls://%s --tlsca '%s' --tlscert '%s' --tlskey '%s'\n",
              local(ports_of(options, 1).nats).c_str(), files.ca.c_str(),
              files.client_certificate.c_str(), files.client_key.c_str());
  std::fflush(stdout);
  return {};
}

class Dev {
 public:
  explicit Dev(const DevOptions& options) {
    for (uint32_t n = 1; n <= options.nodes; ++n)
      nodes_.push_back(std::make_unique<DevNode>(options, n));
  }

  ExitStatus run() {
    sigset_t handled;
    sigemptyset(&handled);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&handled, signal);
    sigprocmask(SIG_BLOCK, &handled, nullptr);
    signals_ = io::Fd(::signalfd(-1, &handled, SFD_CLOEXEC));
    if (!signals_) return report({Errc::io_error, "signalfd"});
    for (const auto& node : nodes_) {
      if (const Status started = node->start(); !started) {
        stop_all(SIGKILL);
        return report(started.error());
      }
    }
    while (any_alive()) {
      std::vector<pollfd> fds{{signals_.get(), POLLIN, 0}};
      for (const auto& node : nodes_) fds.push_back({node->out(), POLLIN, 0});
      const int ready = ::poll(fds.data(), fds.size(), stopping_ ? k_stop_patience_ms : -1);
      if (ready == 0) stop_all(SIGKILL);
      if ((fds[0].revents & POLLIN) != 0) on_signal();
      for (size_t i = 0; i < nodes_.size(); ++i)
        if (fds[i + 1].revents != 0) nodes_[i]->read();
      reap();
    }
    return stopping_ ? k_exit_done : k_exit_failed;
  }

 private:
  void on_signal() {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
    if (info.ssi_signo == SIGCHLD) return;
    stop_all(info.ssi_signo == SIGHUP ? SIGHUP : SIGTERM);
  }

  void stop_all(int signal) {
    stopping_ = stopping_ || signal != SIGHUP;
    for (const auto& node : nodes_) node->signal(signal);
  }

  void reap() {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
      for (const auto& node : nodes_)
        if (node->pid() == pid) node->ended(status);
  }

  bool any_alive() const {
    for (const auto& node : nodes_)
      if (node->pid() != 0) return true;
    return false;
  }

  std::vector<std::unique_ptr<DevNode>> nodes_;
  io::Fd signals_;
  bool stopping_ = false;
};

}  // namespace

void register_dev(CLI::App& app, ExitStatus& status) {
  auto options = std::make_shared<DevOptions>();
  CLI::App* command =
      app.add_subcommand("dev", "a local cluster of real processes; Ctrl-C stops all of them");
  command->add_option("--nodes", options->nodes, "how many brokers")
      ->check(CLI::Range(1, 7))
      ->capture_default_str();
  command->add_option("--data", options->data, "directory; each node has one below it")
      ->capture_default_str();
  command
      ->add_option(
          "--port-base", options->port_base,
          "node N listens on P + 10(N-1): NATS, then RPC, then peers; 0: 4222, 9292, 9293 and on")
      ->check(CLI::Range(0, 65000));
  command->add_option("--log-level", options->log_level, "of every node")->capture_default_str();
  command->add_flag(
      "--tls", options->tls,
      "TLS for clients and between the brokers, by an authority made for the occasion "
      "in DATA-tls; prints what a client has to say");
  command->callback([options, &status] {
    if (options->tls)
      if (const Status made = make_certificates(*options); !made) {
        status = report(made.error());
        return;
      }
    status = Dev(*options).run();
  });
}

}  // namespace bascule::cli

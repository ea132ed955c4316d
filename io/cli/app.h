// The command line: one function per command, each registered on the CLI11 application with its options.
//
// A command's options live in a struct of its own that its callback captures. Exit statuses: 0 done, 1
// failed, 2 usage, 10 unhealthy, 124 timed out.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "src/base/error.h"
#include "src/base/result.h"
#include "src/base/time.h"

namespace bascule::cli {

inline constexpr int k_exit_done = 0;
inline constexpr int k_exit_failed = 1;
inline constexpr int k_exit_usage = 2;
inline constexpr int k_exit_unhealthy = 10;
inline constexpr int k_exit_timed_out = 124;

// What every command that talks to a broker takes.
struct ConnectOptions {
  std::string server = "127.0.0.1:9292";
  std::string token;  // "@FILE" or "env:NAME"; empty: none
  std::string timeout = "30s";
  // TLS, where any of these is set. The broker's certificate must be for the host of `server`.
  bool tls = false;      // with the system's authorities, unless tls_ca names others
  std::string tls_ca;    // PEM files
  std::string tls_cert;  // what this client shows, with its key
  std::string tls_key;
  bool json = false;

  bool secured() const { return tls || !tls_ca.empty() || !tls_cert.empty() || !tls_key.empty(); }
};

// A command that reads metadata.
struct ReadOptions {
  ConnectOptions connect;
  std::string max_age = "0";
};

// Adds what add_connect_options does, and --max-age.
void add_read_options(CLI::App& command, ReadOptions& options);
// "0": as of now; a duration; "any". `invalid`.
Result<Duration> parse_max_age(const std::string& text);

// Adds --server, --token, --timeout, --tls, --tls-ca, --tls-cert, --tls-key and --json.
void add_connect_options(CLI::App& command, ConnectOptions& options);

// A command leaves its exit status here; the parse of the command line runs it.
using ExitStatus = int;

void register_serve(CLI::App& app, ExitStatus& status);
void register_stream(CLI::App& app, ExitStatus& status);
void register_pub(CLI::App& app, ExitStatus& status);
void register_sub(CLI::App& app, ExitStatus& status);
void register_log(CLI::App& app, ExitStatus& status);
void register_bench(CLI::App& app, ExitStatus& status);
void register_cluster(CLI::App& app, ExitStatus& status);
void register_events(CLI::App& app, ExitStatus& status);
void register_rescue(CLI::App& app, ExitStatus& status);
void register_dev(CLI::App& app, ExitStatus& status);
void register_tls(CLI::App& app, ExitStatus& status);
void register_version(CLI::App& app, ExitStatus& status);

// Prints "bascule: …" on stderr, and gives the exit status that fits the error.
ExitStatus report(const Error& error);
// The same for what the caller typed: status 2.
ExitStatus report_usage(const Error& error);

// The whole program.
int run(int argc, char** argv);

}  // namespace bascule::cli

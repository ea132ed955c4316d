#include "io/cli/app.h"

#include <cstdio>

#include "src/model/units.h"

namespace bascule::cli {

void add_connect_options(CLI::App& command, ConnectOptions& options) {
  command
      .add_option("--server", options.server,
                  "HOST:PORT of a broker's RPC listener, or several with commas")
      ->envname("BASCULE_SERVER")
      ->capture_default_str();
  command.add_option("--token", options.token, "token for the broker: @FILE or env:NAME")
      ->envname("BASCULE_TOKEN");
  command.add_option("--timeout", options.timeout, "longest that one request may take")
      ->capture_default_str();
  command.add_flag("--tls", options.tls, "speak TLS, with the system's authorities")
      ->envname("BASCULE_TLS");
  command
      .add_option("--tls-ca", options.tls_ca, "speak TLS: PEM file of who may sign the broker's")
      ->envname("BASCULE_TLS_CA");
  command.add_option("--tls-cert", options.tls_cert, "PEM file of this client's certificate")
      ->envname("BASCULE_TLS_CLIENT_CERT");
  command.add_option("--tls-key", options.tls_key, "PEM file of its key")
      ->envname("BASCULE_TLS_CLIENT_KEY");
  command.add_flag("--json", options.json, "one JSON object per line");
}

void add_read_options(CLI::App& command, ReadOptions& options) {
  add_connect_options(command, options.connect);
  command
      .add_option("--max-age", options.max_age,
                  "how old the answer may be: 0 asks a majority of the controllers; 5s, or any")
      ->capture_default_str();
}

Result<Duration> parse_max_age(const std::string& text) {
  if (text == "any") return Duration::max();
  auto age = model::parse_duration(text);
  if (!age) return fail(Errc::invalid, "--max-age: a duration like 5s, 0 or any");
  return *age;
}

ExitStatus report(const Error& error) {
  std::fprintf(stderr, "bascule: %s\n", error.to_string().c_str());
  return error.code == Errc::deadline_exceeded ? k_exit_timed_out : k_exit_failed;
}

ExitStatus report_usage(const Error& error) {
  std::fprintf(stderr, "bascule: %s\n", error.context.c_str());
  return k_exit_usage;
}

void register_version(CLI::App& app, ExitStatus& status) {
  app.add_subcommand("version", "print the program's version")->callback([&status] {
    std::printf("bascule %s\n", BASCULE_VERSION);
    status = k_exit_done;
  });
}

int run(int argc, char** argv) {
  CLI::App app("A durable commit log for NATS.", "bascule");
  app.require_subcommand(1);
  app.set_version_flag("--version", "bascule " BASCULE_VERSION);
  ExitStatus status = k_exit_failed;
  register_serve(app, status);
  register_dev(app, status);
  register_stream(app, status);
  register_pub(app, status);
  register_sub(app, status);
  register_log(app, status);
  register_cluster(app, status);
  register_events(app, status);
  register_rescue(app, status);
  register_bench(app, status);
  register_tls(app, status);
  register_version(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? k_exit_done : k_exit_usage;
  }
  // A full disk or a closed pipe behind the output is a failure too.
  if (status == k_exit_done && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)) {
    std::fprintf(stderr, "bascule: the output could not be written\n");
    status = k_exit_failed;
  }
  return status;
}

}  // namespace bascule::cli

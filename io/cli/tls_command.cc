// bascule tls make: a throw-away authority and certificates, to try TLS in a minute.
#include <cstdio>
#include <filesystem>

#include "io/cli/app.h"
#include "io/tls_authority.h"

namespace bascule::cli {
namespace {

struct MakeOptions {
  std::string directory;
  std::vector<std::string> names;
  std::string client = "client";
  uint32_t nodes = 0;
  int days = 30;
  bool force = false;
};

ExitStatus make(const MakeOptions& options) {
  const io::TlsFiles files = io::tls_files_in(options.directory);
  std::vector<std::string> all{files.ca, files.certificate, files.key, files.client_certificate,
                               files.client_key};
  for (uint32_t n = 1; n <= options.nodes; ++n) {
    const io::TlsBrokerFiles member = io::tls_broker_files_in(options.directory, n);
    all.insert(all.end(), {member.certificate, member.key});
  }
  for (const std::string& file : all) {
    std::error_code ignored;
    if (!options.force && std::filesystem::exists(file, ignored))
      return report({Errc::already_exists, file + " is there; --force replaces it"});
  }
  const auto made =
      io::make_tls_files(options.directory, {.names = options.names,
                                             .nodes = options.nodes,
                                             .client = options.client,
                                             .valid_for = seconds(86'400) * options.days});
  if (!made)
    return made.error().code == Errc::invalid ? report_usage(made.error()) : report(made.error());
  std::printf("authority %s\nbroker    %s %s\n", made->ca.c_str(), made->certificate.c_str(),
              made->key.c_str());
  for (uint32_t n = 1; n <= options.nodes; ++n) {
    const io::TlsBrokerFiles member = io::tls_broker_files_in(options.directory, n);
    std::printf("node %-4u %s %s\n", n, member.certificate.c_str(), member.key.c_str());
  }
  std::printf("client    %s %s\nvalid for %d days; not for production\n",
              made->client_certificate.c_str(), made->client_key.c_str(), options.days);
  return k_exit_done;
}

}  // namespace

void register_tls(CLI::App& app, ExitStatus& status) {
  CLI::App* tls = app.add_subcommand("tls", "certificates for trying TLS");
  tls->require_subcommand(1);
  auto options = std::make_shared<MakeOptions>();
  CLI::App* command = tls->add_subcommand(
      "make", "make a throw-away authority, a broker's certificate and a client's");
  command->add_option("DIR", options->directory, "where the PEM files go")->required();
  command->add_option("--name", options->names,
                      "host name or address of the broker, beside localhost; may be repeated");
  command
      ->add_option(
          "--nodes", options->nodes,
          "also a certificate for each broker of a cluster, with the name node-1 and so on")
      ->check(CLI::Range(0, 99));
  command->add_option("--client", options->client, "the client's name")->capture_default_str();
  command->add_option("--days", options->days, "how long they are valid")
      ->check(CLI::Range(1, 825))
      ->capture_default_str();
  command->add_flag("--force", options->force, "replace files that are there");
  command->callback([options, &status] { status = make(*options); });
}

}  // namespace bascule::cli

// Configuration of `bascule serve`: one table of settings, each with one name that is its flag
// (`--drain-timeout`), its environment variable (`BASCULE_DRAIN_TIMEOUT`) and its key in the TOML file
// (`drain_timeout`). Flags beat the environment, which beats the file, which beats the defaults.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/base/time.h"
#include "src/base/trace.h"
#include "src/controller/cluster_options.h"
#include "src/env/network.h"
#include "src/env/tls.h"

namespace bascule::cli {

enum class DiskKind : uint8_t { automatic, io_uring, threads };

struct Config {
  std::string data = "data";
  uint32_t node = 1;
  std::optional<env::Address> nats = env::Address{"127.0.0.1", 4222};  // nullopt: off
  std::optional<env::Address> rpc = env::Address{"127.0.0.1", 9292};
  std::optional<env::Address> peers;  // for brokers of a cluster
  std::string peers_advertise;        // "HOST:PORT" to tell others; empty: what it listens on
  std::vector<controller::Founder> founders;
  std::vector<env::Address> seeds;
  std::string cluster_secret;  // empty: none
  std::string host;            // failure domain; empty: the broker is one by itself
  std::optional<env::Address> http;
  std::string rpc_token;   // empty: none
  std::string nats_token;  // empty: none
  std::string tls_cert;    // PEM files; empty: none
  std::string tls_key;
  std::string tls_client_ca;
  bool tls_client_required = true;       // where tls_client_ca is set
  std::optional<env::TlsMode> nats_tls;  // nullopt: `require` where tls_cert is set, else `off`
  std::optional<env::TlsMode> rpc_tls;
  std::optional<env::TlsMode> peers_tls;
  std::string tls_peer_ca;
  std::string tls_peer_name = "node-{node}";  // in another broker's certificate
  bool insecure_bind = false;
  TraceLevel log_level = TraceLevel::info;
  DiskKind disk = DiskKind::automatic;
  uint64_t segment_bytes = 64 << 20;
  uint64_t disk_bytes_max = 0;  // 0: what the disk has
  Duration drain_timeout = seconds(30);
};

// What nats_tls, rpc_tls or peers_tls comes to.
env::TlsMode tls_mode(const Config& config, const std::optional<env::TlsMode>& of_listener);

// One setting. `name` is written with '_'.
struct Setting {
  std::string_view name;
  std::string_view help;
  bool secret = false;  // given as @FILE or env:NAME only, never shown
  std::function<Status(Config&, const std::string&)> set;
  std::function<std::string(const Config&)> show;
};

const std::vector<Setting>& settings();
std::string flag_of(const Setting& setting);         // "--drain-timeout"
std::string environment_of(const Setting& setting);  // "BASCULE_DRAIN_TIMEOUT"

// The world that configuration is read from; the production one is in serve.cc.
struct ConfigSources {
  std::map<std::string, std::string> flags;  // by setting name
  std::function<std::optional<std::string>(const std::string&)> environment;
  std::string file_name;  // empty: none
  std::string file_text;
  std::function<Result<std::string>(const std::string& path)> read_secret_file;
};

struct LoadedConfig {
  Config config;
  std::map<std::string, std::string, std::less<>>
      origins;  // setting name → "flag", "file a.toml:3", …
};

// Errors: `invalid`, naming the source (file and line, flag or variable), the key and the nearest valid one.
Result<LoadedConfig> load_config(const ConfigSources& sources);

// The effective configuration as TOML, each line with where its value came from.
std::string print_config(const LoadedConfig& loaded);

// Refuses listeners on other than loopback addresses without authentication (a token, or TLS with a client
// certificate required; a secret or TLS between brokers), unless insecure_bind; and TLS settings that make no
// sense together.
Status check_config(const Config& config);

// "1@HOST:PORT,2@HOST:PORT,…"; empty: none.
Result<std::vector<controller::Founder>> parse_founders(const std::string& text);
// "HOST:PORT,HOST:PORT,…"; empty: none.
Result<std::vector<env::Address>> parse_addresses(const std::string& text);

// "HOST:PORT", "off" gives nullopt.
Result<std::optional<env::Address>> parse_listener(const std::string& text);

// A secret given as "@FILE" (first line) or "env:NAME".
Result<std::string> resolve_secret(const std::string& text, const ConfigSources& sources);

// Of `candidates` the one with the least edit distance to `word`; empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace bascule::cli

#include "io/cli/config.h"

// Debian's library is built with exceptions; its headers alone do without.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

#include "src/model/limits.h"
#include "src/model/units.h"

namespace bascule::cli {
namespace {

Status set_address(std::optional<env::Address>& out, const std::string& text) {
  BASCULE_TRY_ASSIGN(out, parse_listener(text));
  return {};
}

std::string show_address(const std::optional<env::Address>& address) {
  return address ? address->to_string() : "off";
}

template <class Number>
Status set_number(Number& out, const std::string& text, Number low) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low)
    return fail(Errc::invalid,
                "\"" + text + "\" is not a number of at least " + std::to_string(low));
  out = value;
  return {};
}

Status set_bool(bool& out, const std::string& text) {
  if (text != "true" && text != "false")
    return fail(Errc::invalid, "\"" + text + "\" is neither true nor false");
  out = text == "true";
  return {};
}

template <class Enum>
using Names = std::vector<std::pair<std::string_view, Enum>>;

template <class Enum>
Status set_name(Enum& out, const std::string& text, const Names<Enum>& names) {
  std::string all;
  for (const auto& [name, value] : names) {
    if (name == text) {
      out = value;
      return {};
    }
    all += (all.empty() ? "" : ", ") + std::string(name);
  }
  return fail(Errc::invalid, "\"" + text + "\" is none of " + all);
}

template <class Enum>
std::string show_name(Enum value, const Names<Enum>& names) {
  const auto it = std::ranges::find(names, value, &std::pair<std::string_view, Enum>::second);
  return it == names.end() ? "?" : std::string(it->first);
}

const Names<TraceLevel>& level_names() {
  static const Names<TraceLevel> names{{"debug", TraceLevel::debug},
                                       {"info", TraceLevel::info},
                                       {"warning", TraceLevel::warning},
                                       {"error", TraceLevel::error}};
  return names;
}

const Names<DiskKind>& disk_names() {
  static const Names<DiskKind> names{{"auto", DiskKind::automatic},
                                     {"io_uring", DiskKind::io_uring},
                                     {"threads", DiskKind::threads}};
  return names;
}

const Names<std::optional<env::TlsMode>>& tls_mode_names() {
  static const Names<std::optional<env::TlsMode>> names{{"auto", std::nullopt},
                                                        {"off", env::TlsMode::off},
                                                        {"allow", env::TlsMode::allow},
                                                        {"require", env::TlsMode::require}};
  return names;
}

Status set_size(uint64_t& out, const std::string& text) {
  BASCULE_TRY_ASSIGN(out, model::parse_size(text));
  return {};
}

Setting address_setting(std::string_view name, std::string_view help,
                        std::optional<env::Address> Config::* member) {
  return {name, help, false,
          [member](Config& c, const std::string& t) { return set_address(c.*member, t); },
          [member](const Config& c) { return show_address(c.*member); }};
}

Setting secret_setting(std::string_view name, std::string_view help, std::string Config::* member) {
  return {name, help, true,
          [member](Config& c, const std::string& t) -> Status {
            c.*member = t;
            return {};
          },
          [member](const Config& c) { return (c.*member).empty() ? "" : "(set)"; }};
}

void add_cluster_settings(std::vector<Setting>& out) {
  out.push_back(address_setting(
      "peers", "listen for the other brokers of a cluster on HOST:PORT, or off", &Config::peers));
  out.push_back({"peers_advertise", "HOST:PORT that other brokers call, where it is another one",
                 false,
                 [](Config& c, const std::string& t) -> Status {
                   if (!t.empty()) BASCULE_TRY(env::parse_address(t));
                   c.peers_advertise = t;
                   return {};
                 },
                 [](const Config& c) { return c.peers_advertise; }});
  out.push_back({"founders",
                 "all brokers that make a cluster together, the same list on each: "
                 "1@HOST:PORT,2@HOST:PORT,…",
                 false,
                 [](Config& c, const std::string& t) -> Status {
                   BASCULE_TRY_ASSIGN(c.founders, parse_founders(t));
                   return {};
                 },
                 [](const Config& c) {
                   std::string all;
                   for (const controller::Founder& f : c.founders)
                     all += (all.empty() ? "" : ",") + f.node.to_string() + "@" +
                            f.address.to_string();
                   return all;
                 }});
  out.push_back({"seeds", "brokers of the cluster to join: HOST:PORT,HOST:PORT,…", false,
                 [](Config& c, const std::string& t) -> Status {
                   BASCULE_TRY_ASSIGN(c.seeds, parse_addresses(t));
                   return {};
                 },
                 [](const Config& c) {
                   std::string all;
                   for (const env::Address& a : c.seeds)
                     all += (all.empty() ? "" : ",") + a.to_string();
                   return all;
                 }});
  out.push_back(secret_setting("cluster_secret",
                               "secret that brokers prove to each other: @FILE or env:NAME",
                               &Config::cluster_secret));
  out.push_back({"host", "failure domain: no two replicas of a partition are on one host", false,
                 [](Config& c, const std::string& t) -> Status {
                   c.host = t;
                   return {};
                 },
                 [](const Config& c) { return c.host; }});
}

Setting file_setting(std::string_view name, std::string_view help, std::string Config::* member) {
  return {name, help, false,
          [member](Config& c, const std::string& t) -> Status {
            c.*member = t;
            return {};
          },
          [member](const Config& c) { return c.*member; }};
}

Setting tls_mode_setting(std::string_view name, std::string_view help,
                         std::optional<env::TlsMode> Config::* member) {
  return {name, help, false,
          [member](Config& c, const std::string& t) {
            return set_name(c.*member, t, tls_mode_names());
          },
          [member](const Config& c) { return show_name(c.*member, tls_mode_names()); }};
}

void add_tls_settings(std::vector<Setting>& out) {
  out.push_back(file_setting("tls_cert", "PEM file with the certificate of all listeners",
                             &Config::tls_cert));
  out.push_back(file_setting("tls_key", "PEM file with its key", &Config::tls_key));
  out.push_back(file_setting("tls_client_ca",
                             "PEM file with the authorities of clients' certificates",
                             &Config::tls_client_ca));
  out.push_back({"tls_client_required", "whether every client must show a certificate", false,
                 [](Config& c, const std::string& t) { return set_bool(c.tls_client_required, t); },
                 [](const Config& c) { return c.tls_client_required ? "true" : "false"; }});
  out.push_back(tls_mode_setting("nats_tls",
                                 "off, allow, require, or auto: require where tls_cert is set",
                                 &Config::nats_tls));
  out.push_back(tls_mode_setting("rpc_tls", "off, require, or auto: require where tls_cert is set",
                                 &Config::rpc_tls));
  out.push_back(tls_mode_setting(
      "peers_tls", "off, require, or auto: require where tls_cert is set", &Config::peers_tls));
  out.push_back(file_setting("tls_peer_ca",
                             "PEM file with the authorities of other brokers' certificates",
                             &Config::tls_peer_ca));
  out.push_back({"tls_peer_name",
                 "name that a broker's certificate must have; {node} stands for its id", false,
                 [](Config& c, const std::string& t) -> Status {
                   if (t.empty()) return fail(Errc::invalid, "is empty");
                   c.tls_peer_name = t;
                   return {};
                 },
                 [](const Config& c) { return c.tls_peer_name; }});
}

std::vector<Setting> make_settings() {
  std::vector<Setting> out;
  out.push_back({"data", "data directory", false,
                 [](Config& c, const std::string& t) -> Status {
                   if (t.empty()) return fail(Errc::invalid, "is empty");
                   c.data = t;
                   return {};
                 },
                 [](const Config& c) { return c.data; }});
  out.push_back({"node", "this broker's id, from 1", false,
                 [](Config& c, const std::string& t) { return set_number(c.node, t, 1U); },
                 [](const Config& c) { return std::to_string(c.node); }});
  out.push_back(address_setting(
      "nats", "listen for NATS clients on HOST:PORT; port 0 picks one; off", &Config::nats));
  out.push_back(
      address_setting("rpc", "listen for RPC clients on HOST:PORT, or off", &Config::rpc));
  add_cluster_settings(out);
  out.push_back(
      address_setting("http", "for metrics and health; this version has it off", &Config::http));
  out.push_back(secret_setting("rpc_token", "token that RPC clients must show: @FILE or env:NAME",
                               &Config::rpc_token));
  out.push_back(secret_setting("nats_token", "token that NATS clients must show: @FILE or env:NAME",
                               &Config::nats_token));
  add_tls_settings(out);
  out.push_back({"insecure_bind", "accept a listener beyond loopback without authentication", false,
                 [](Config& c, const std::string& t) { return set_bool(c.insecure_bind, t); },
                 [](const Config& c) { return c.insecure_bind ? "true" : "false"; }});
  out.push_back(
      {"log_level", "debug, info, warning or error", false,
       [](Config& c, const std::string& t) { return set_name(c.log_level, t, level_names()); },
       [](const Config& c) { return show_name(c.log_level, level_names()); }});
  out.push_back({"disk", "auto, io_uring or threads", false,
                 [](Config& c, const std::string& t) { return set_name(c.disk, t, disk_names()); },
                 [](const Config& c) { return show_name(c.disk, disk_names()); }});
  out.push_back({"segment_bytes", "size at which a log's segment is rolled", false,
                 [](Config& c, const std::string& t) -> Status {
                   BASCULE_TRY(set_size(c.segment_bytes, t));
                   if (c.segment_bytes < limits::k_segment_bytes_min ||
                       c.segment_bytes > limits::k_segment_bytes_max)
                     return fail(Errc::invalid, "must be from 4KiB to 1GiB");
                   return {};
                 },
                 [](const Config& c) { return model::format_size(c.segment_bytes); }});
  out.push_back({"disk_bytes_max", "most that the logs may take of the disk; 0: no limit", false,
                 [](Config& c, const std::string& t) { return set_size(c.disk_bytes_max, t); },
                 [](const Config& c) { return model::format_size(c.disk_bytes_max); }});
  out.push_back({"drain_timeout", "longest that SIGTERM waits for work in flight", false,
                 [](Config& c, const std::string& t) -> Status {
                   BASCULE_TRY_ASSIGN(c.drain_timeout, model::parse_duration(t));
                   return {};
                 },
                 [](const Config& c) { return model::format_duration(c.drain_timeout); }});
  return out;
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  std::string item;
  while (std::getline(in, item, ',')) out.push_back(item);
  return out;
}

const Setting* find_setting(std::string_view name) {
  const auto it = std::ranges::find(settings(), name, &Setting::name);
  return it == settings().end() ? nullptr : &*it;
}

Status apply(LoadedConfig& loaded, const Setting& setting, std::string text,
             const ConfigSources& sources, std::string origin) {
  const auto wrong = [&](const std::string& why) {
    return fail(Errc::invalid, origin + ": " + std::string(setting.name) + ": " + why);
  };
  if (setting.secret) {
    auto secret = resolve_secret(text, sources);
    if (!secret) return wrong(secret.error().context);
    text = std::move(*secret);
  }
  if (const Status s = setting.set(loaded.config, text); !s) return wrong(s.error().context);
  loaded.origins.insert_or_assign(std::string(setting.name), std::move(origin));
  return {};
}

// A TOML value as the text that a flag would have; nullopt for what no setting takes.
std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* i = node.as_integer()) return std::to_string(i->get());
  if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
  return std::nullopt;
}

Status apply_file(LoadedConfig& loaded, const ConfigSources& sources) {
  const toml::parse_result parsed = toml::parse(sources.file_text, sources.file_name);
  const auto place = [&](const toml::source_region& at) {
    return sources.file_name + ":" + std::to_string(at.begin.line);
  };
  if (!parsed) {
    return fail(Errc::invalid,
                place(parsed.error().source()) + ": " + std::string(parsed.error().description()));
  }
  for (const auto& [key, node] : parsed.table()) {
    const std::string at = place(key.source());
    const Setting* setting = find_setting(key.str());
    if (setting == nullptr) {
      std::vector<std::string> names;
      for (const Setting& s : settings()) names.emplace_back(s.name);
      const std::string near = nearest(key.str(), names);
      return fail(Errc::invalid, at + ": unknown key \"" + std::string(key.str()) + "\"" +
                                     (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
    }
    auto text = text_of(node);
    if (!text)
      return fail(Errc::invalid, at + ": " + std::string(key.str()) + ": is of the wrong type");
    BASCULE_TRY(apply(loaded, *setting, std::move(*text), sources, "file " + at));
  }
  return {};
}

}  // namespace

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = make_settings();
  return all;
}

std::string flag_of(const Setting& setting) {
  std::string out = "--" + std::string(setting.name);
  std::ranges::replace(out, '_', '-');
  return out;
}

std::string environment_of(const Setting& setting) {
  std::string out = "BASCULE_" + std::string(setting.name);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

Result<std::optional<env::Address>> parse_listener(const std::string& text) {
  if (text == "off") return std::optional<env::Address>{};
  BASCULE_TRY_ASSIGN(env::Address address, env::parse_address(text));
  return std::optional<env::Address>{std::move(address)};
}

Result<std::vector<controller::Founder>> parse_founders(const std::string& text) {
  std::vector<controller::Founder> out;
  for (const std::string& item : split_list(text)) {
    const size_t at = item.find('@');
    uint32_t node = 0;
    if (at == std::string::npos || !set_number(node, item.substr(0, at), 1U))
      return fail(Errc::invalid, "\"" + item + "\" is not NODE@HOST:PORT");
    BASCULE_TRY_ASSIGN(env::Address address, env::parse_address(item.substr(at + 1)));
    out.push_back({NodeId(node), std::move(address)});
  }
  return out;
}

Result<std::vector<env::Address>> parse_addresses(const std::string& text) {
  std::vector<env::Address> out;
  for (const std::string& item : split_list(text)) {
    BASCULE_TRY_ASSIGN(env::Address address, env::parse_address(item));
    out.push_back(std::move(address));
  }
  return out;
}

Result<std::string> resolve_secret(const std::string& text, const ConfigSources& sources) {
  if (text.starts_with('@')) {
    BASCULE_TRY_ASSIGN(std::string secret, sources.read_secret_file(text.substr(1)));
    secret = secret.substr(0, secret.find_first_of("\r\n"));
    if (secret.empty()) return fail(Errc::invalid, "the file " + text.substr(1) + " is empty");
    return secret;
  }
  if (text.starts_with("env:")) {
    auto value = sources.environment(text.substr(4));
    if (!value || value->empty())
      return fail(Errc::invalid, "the variable " + text.substr(4) + " is not set");
    return std::move(*value);
  }
  return fail(Errc::invalid, "a secret is given as @FILE or env:NAME, never in the open");
}

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  LoadedConfig loaded;
  for (const Setting& s : settings()) loaded.origins.emplace(s.name, "default");
  if (!sources.file_name.empty()) BASCULE_TRY(apply_file(loaded, sources));
  for (const Setting& s : settings()) {
    const std::string variable = environment_of(s);
    if (auto value = sources.environment(variable))
      BASCULE_TRY(apply(loaded, s, std::move(*value), sources, "environment " + variable));
  }
  for (const Setting& s : settings()) {
    const auto it = sources.flags.find(std::string(s.name));
    if (it != sources.flags.end())
      BASCULE_TRY(apply(loaded, s, it->second, sources, "flag " + flag_of(s)));
  }
  return loaded;
}

std::string print_config(const LoadedConfig& loaded) {
  std::string out;
  for (const Setting& s : settings()) {
    const std::string value = s.show(loaded.config);
    const auto origin = loaded.origins.find(s.name);
    if (s.secret) {
      out += "# " + std::string(s.name) + (value.empty() ? " is not set" : " is set, not shown");
    } else {
      std::ostringstream quoted;
      quoted << toml::value<std::string>(value);
      const bool bare = value == "true" || value == "false" || s.name == "node";
      out += std::string(s.name) + " = " + (bare ? value : quoted.str());
    }
    out += "  # " + (origin == loaded.origins.end() ? "default" : origin->second) + "\n";
  }
  return out;
}

env::TlsMode tls_mode(const Config& config, const std::optional<env::TlsMode>& of_listener) {
  if (of_listener) return *of_listener;
  return config.tls_cert.empty() ? env::TlsMode::off : env::TlsMode::require;
}

namespace {

Status check_tls(const Config& config) {
  if (config.tls_cert.empty() != config.tls_key.empty())
    return fail(Errc::invalid, "tls_cert and tls_key go together: one of them is not set");
  if (!config.tls_client_ca.empty() && config.tls_cert.empty())
    return fail(Errc::invalid, "tls_client_ca is of no use without tls_cert and tls_key");
  const auto check = [&](const char* name, const std::optional<env::TlsMode>& mode) -> Status {
    if (tls_mode(config, mode) == env::TlsMode::off || !config.tls_cert.empty()) return {};
    return fail(Errc::invalid, std::string(name) + " asks for TLS: set tls_cert and tls_key");
  };
  BASCULE_TRY(check("nats_tls", config.nats_tls));
  BASCULE_TRY(check("rpc_tls", config.rpc_tls));
  BASCULE_TRY(check("peers_tls", config.peers_tls));
  if (config.rpc_tls == env::TlsMode::allow)
    return fail(Errc::invalid, "rpc_tls = allow: the RPC port has TLS for all clients or for none");
  if (config.peers_tls == env::TlsMode::allow)
    return fail(Errc::invalid, "peers_tls = allow: brokers speak TLS with all others or with none");
  const bool among_brokers =
      config.peers && tls_mode(config, config.peers_tls) != env::TlsMode::off;
  if (among_brokers && config.tls_peer_ca.empty())
    return fail(Errc::invalid,
                "TLS between brokers: set tls_peer_ca, the authority of their certificates, or "
                "peers_tls to off");
  return {};
}

}  // namespace

Status check_config(const Config& config) {
  BASCULE_TRY(check_tls(config));
  const auto check = [&](const char* name, const std::optional<env::Address>& address,
                         const std::string& token,
                         const std::optional<env::TlsMode>& mode) -> Status {
    if (!address || env::is_loopback(*address) || !token.empty() || config.insecure_bind) return {};
    if (tls_mode(config, mode) == env::TlsMode::require && !config.tls_client_ca.empty() &&
        config.tls_client_required)
      return {};
    return fail(Errc::invalid, std::string(name) + " = " + address->to_string() +
                                   ": beyond loopback without authentication; set " + name +
                                   "_token, or tls_client_ca for client certificates, or " +
                                   "insecure_bind if it is meant");
  };
  BASCULE_TRY(check("nats", config.nats, config.nats_token, config.nats_tls));
  BASCULE_TRY(check("rpc", config.rpc, config.rpc_token, config.rpc_tls));
  if (config.http)
    return fail(Errc::invalid, "http: this version has no such listener; leave it off");
  if (config.peers && !env::is_loopback(*config.peers) && config.cluster_secret.empty() &&
      tls_mode(config, config.peers_tls) == env::TlsMode::off && !config.insecure_bind)
    return fail(Errc::invalid, "peers = " + config.peers->to_string() +
                                   ": beyond loopback without authentication; set cluster_secret, "
                                   "or tls_cert and tls_peer_ca, or insecure_bind if it is meant");
  controller::ClusterOptions cluster;
  cluster.listen = config.peers;
  cluster.founders = config.founders;
  cluster.seeds = config.seeds;
  BASCULE_TRY(controller::check_cluster_options(cluster, NodeId(config.node)));
  // What is written in the metadata, and told to clients and brokers, must be known before it listens.
  const bool rpc_unknown = config.rpc && config.rpc->port == 0;
  const bool peers_unknown =
      config.peers && config.peers->port == 0 && config.peers_advertise.empty();
  if (!cluster.alone() && (rpc_unknown || peers_unknown))
    return fail(Errc::invalid, "rpc and peers: in a cluster others call them, so name their ports");
  return {};
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const auto distance = [](std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
      size_t diagonal = std::exchange(row[0], i);
      for (size_t j = 1; j <= b.size(); ++j) {
        const size_t above = row[j];
        row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
        diagonal = above;
      }
    }
    return row[b.size()];
  };
  std::string best;
  size_t best_distance = word.size() / 2 + 1;
  for (const std::string& candidate : candidates) {
    const size_t d = distance(word, candidate);
    if (d < best_distance) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace bascule::cli

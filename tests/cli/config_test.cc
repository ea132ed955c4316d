#include "io/cli/config.h"

#include <gtest/gtest.h>

namespace bascule::cli {
namespace {

ConfigSources sources() {
  ConfigSources out;
  out.environment = [](const std::string&) { return std::optional<std::string>(); };
  out.read_secret_file = [](const std::string& path) -> Result<std::string> {
    if (path != "token.txt") return fail(Errc::invalid, "cannot read " + path);
    return std::string("sesame\nsecond line");
  };
  return out;
}

TEST(config, flags_beat_environment_beats_file_beats_default) {
  ConfigSources s = sources();
  EXPECT_EQ(load_config(s)->config.data, "data");
  s.file_name = "bascule.toml";
  s.file_text = "data = 'from-file'\nnode = 3\n";
  EXPECT_EQ(load_config(s)->config.data, "from-file");
  EXPECT_EQ(load_config(s)->config.node, 3U);
  s.environment = [](const std::string& name) {
    return name == "BASCULE_DATA" ? std::optional<std::string>("from-env") : std::nullopt;
  };
  EXPECT_EQ(load_config(s)->config.data, "from-env");
  s.flags["data"] = "from-flag";
  const auto loaded = load_config(s);
  EXPECT_EQ(loaded->config.data, "from-flag");
  EXPECT_EQ(loaded->origins.at("data"), "flag --data");
  EXPECT_EQ(loaded->origins.at("node"), "file bascule.toml:2");
}

TEST(config, an_unknown_key_names_file_line_and_the_nearest_key) {
  ConfigSources s = sources();
  s.file_name = "b.toml";
  s.file_text = "node = 1\n\ndrain_timout = '3s'\n";
  const auto loaded = load_config(s);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().context,
            "b.toml:3: unknown key \"drain_timout\"; did you mean \"drain_timeout\"?");
}

TEST(config, a_bad_value_names_its_place) {
  ConfigSources s = sources();
  s.file_name = "b.toml";
  s.file_text = "nats = 'nowhere'";
  EXPECT_TRUE(load_config(s).error().context.starts_with("file b.toml:1: nats: "));
  s.file_text = "nats = [1]";
  EXPECT_FALSE(load_config(s).has_value());
  s.file_text = "nats = ";
  EXPECT_TRUE(load_config(s).error().context.starts_with("b.toml:1: "));
  s.file_text = "";
  s.flags["node"] = "0";
  EXPECT_TRUE(load_config(s).error().context.starts_with("flag --node: node: "));
}

TEST(config, secrets_come_from_files_or_variables_and_are_never_shown) {
  ConfigSources s = sources();
  s.flags["rpc_token"] = "sesame";
  EXPECT_FALSE(load_config(s).has_value());
  s.flags["rpc_token"] = "@token.txt";
  const auto loaded = load_config(s);
  EXPECT_EQ(loaded->config.rpc_token, "sesame");
  EXPECT_EQ(print_config(*loaded).find("sesame"), std::string::npos);
  s.flags["rpc_token"] = "@missing";
  EXPECT_FALSE(load_config(s).has_value());
}

TEST(config, a_listener_beyond_loopback_needs_authentication) {
  ConfigSources s = sources();
  EXPECT_TRUE(check_config(load_config(s)->config).has_value());
  s.flags["rpc"] = "0.0.0.0:9292";
  EXPECT_FALSE(check_config(load_config(s)->config).has_value());
  s.flags["rpc_token"] = "@token.txt";
  EXPECT_TRUE(check_config(load_config(s)->config).has_value());
  s.flags.erase("rpc_token");
  s.flags["insecure_bind"] = "true";
  EXPECT_TRUE(check_config(load_config(s)->config).has_value());
}

TEST(config, tls_is_required_on_all_listeners_once_there_is_a_certificate) {
  ConfigSources s = sources();
  const auto mode = [&](auto listener) {
    const Config config = load_config(s)->config;
    return tls_mode(config, config.*listener);
  };
  EXPECT_EQ(mode(&Config::nats_tls), env::TlsMode::off);
  s.flags["tls_cert"] = "cert.pem";
  EXPECT_FALSE(check_config(load_config(s)->config).has_value()) << "without its key";
  s.flags["tls_key"] = "key.pem";
  EXPECT_TRUE(check_config(load_config(s)->config).has_value());
  EXPECT_EQ(mode(&Config::nats_tls), env::TlsMode::require);
  EXPECT_EQ(mode(&Config::rpc_tls), env::TlsMode::require);
  s.flags["nats_tls"] = "allow";
  s.flags["rpc_tls"] = "off";
  EXPECT_TRUE(check_config(load_config(s)->config).has_value());
  EXPECT_EQ(mode(&Config::nats_tls), env::TlsMode::allow);
  EXPECT_EQ(mode(&Config::rpc_tls), env::TlsMode::off);
  s.flags["rpc_tls"] = "allow";
  EXPECT_FALSE(check_config(load_config(s)->config).has_value());
  s.flags["rpc_tls"] = "sometimes";
  EXPECT_FALSE(load_config(s).has_value());
}

TEST(config, tls_without_a_certificate_is_refused_by_name) {
  ConfigSources s = sources();
  s.flags["nats_tls"] = "require";
  EXPECT_EQ(check_config(load_config(s)->config).error().context,
            "nats_tls asks for TLS: set tls_cert and tls_key");
  s.flags = {{"tls_client_ca", "ca.pem"}};
  EXPECT_FALSE(check_config(load_config(s)->config).has_value());
}

// Encryption alone is no authentication; certificates that everybody must show are.
TEST(config, required_client_certificates_open_a_listener_beyond_loopback) {
  ConfigSources s = sources();
  const auto good = [&] { return check_config(load_config(s)->config).has_value(); };
  s.flags = {{"nats", "0.0.0.0:4222"}, {"tls_cert", "c"}, {"tls_key", "k"}};
  EXPECT_FALSE(good());
  s.flags["tls_client_ca"] = "ca";
  EXPECT_TRUE(good());
  s.flags["nats_tls"] = "allow";
  EXPECT_FALSE(good());
  s.flags["nats_tls"] = "require";
  s.flags["tls_client_required"] = "false";
  EXPECT_FALSE(good());
}

TEST(config, tls_between_brokers_needs_their_authority) {
  ConfigSources s = sources();
  const auto why_not = [&] {
    const Status checked = check_config(load_config(s)->config);
    return checked ? std::string() : checked.error().context;
  };
  s.flags = {{"peers", "127.0.0.1:9293"}, {"peers_tls", "require"}};
  EXPECT_EQ(why_not(), "peers_tls asks for TLS: set tls_cert and tls_key");
  s.flags.erase("peers_tls");
  s.flags["tls_cert"] = "c";
  s.flags["tls_key"] = "k";
  EXPECT_NE(why_not().find("set tls_peer_ca"), std::string::npos) << why_not();
  s.flags["peers_tls"] = "off";
  EXPECT_EQ(why_not(), "");
  s.flags["peers_tls"] = "allow";
  s.flags["tls_peer_ca"] = "ca";
  EXPECT_NE(why_not().find("with all others or with none"), std::string::npos) << why_not();
  s.flags["peers_tls"] = "auto";
  EXPECT_EQ(why_not(), "");
  EXPECT_EQ(tls_mode(load_config(s)->config, load_config(s)->config.peers_tls),
            env::TlsMode::require);
}

TEST(config, a_secret_or_tls_opens_the_peers_port_beyond_loopback) {
  ConfigSources s = sources();
  const auto good = [&] { return check_config(load_config(s)->config).has_value(); };
  s.flags = {{"peers", "0.0.0.0:9293"}};
  EXPECT_FALSE(good());
  s.flags["cluster_secret"] = "@token.txt";
  EXPECT_TRUE(good());
  s.flags.erase("cluster_secret");
  s.flags["tls_cert"] = "c";
  s.flags["tls_key"] = "k";
  s.flags["tls_peer_ca"] = "ca";
  EXPECT_TRUE(good());
  s.flags["peers_tls"] = "off";
  EXPECT_FALSE(good());
}

TEST(config, what_is_printed_can_be_read_back) {
  ConfigSources s = sources();
  s.flags = {{"data", "a \"quoted\" name"}, {"nats", "off"}, {"segment_bytes", "1MiB"}};
  const auto first = load_config(s);
  ConfigSources again = sources();
  again.file_name = "printed.toml";
  again.file_text = print_config(*first);
  const auto second = load_config(again);
  ASSERT_TRUE(second.has_value()) << second.error().context;
  for (const Setting& setting : settings())
    EXPECT_EQ(setting.show(first->config), setting.show(second->config)) << setting.name;
}

}  // namespace
}  // namespace bascule::cli

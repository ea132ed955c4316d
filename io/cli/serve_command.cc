// bascule serve: runs a broker until SIGTERM or SIGINT drains it.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "io/asio_loop.h"
#include "io/cli/app.h"
#include "io/cli/config.h"
#include "io/cli/system.h"
#include "io/log_tracer.h"
#include "io/make_disk.h"
#include "io/node.h"
#include "io/signals.h"

namespace bascule::cli {
namespace {

struct ServeOptions {
  std::string config_file;
  bool print_config = false;
  std::map<std::string, std::string> flags;
};

Result<LoadedConfig> load(const ServeOptions& options) {
  ConfigSources sources = process_sources();
  sources.flags = options.flags;
  if (!options.config_file.empty()) {
    BASCULE_TRY_ASSIGN(sources.file_text, read_text_file(options.config_file));
    sources.file_name = options.config_file;
  }
  return load_config(sources);
}

io::DiskChoice disk_choice(DiskKind kind) {
  switch (kind) {
    case DiskKind::automatic: return io::DiskChoice::automatic;
    case DiskKind::io_uring: return io::DiskChoice::uring;
    case DiskKind::threads: return io::DiskChoice::thread_pool;
  }
  return io::DiskChoice::automatic;
}

io::NodeTlsOptions tls_of(const Config& config) {
  io::NodeTlsOptions out;
  out.files.certificate = config.tls_cert;
  out.files.key = config.tls_key;
  out.files.client_ca = config.tls_client_ca;
  out.files.clients = config.tls_client_ca.empty() ? io::ClientCertificates::none
                      : config.tls_client_required ? io::ClientCertificates::required
                                                   : io::ClientCertificates::optional;
  if (config.nats) out.nats = tls_mode(config, config.nats_tls);
  if (config.rpc) out.rpc = tls_mode(config, config.rpc_tls);
  if (config.peers) out.peers = tls_mode(config, config.peers_tls);
  out.peer_ca = config.tls_peer_ca;
  out.peer_name = config.tls_peer_name;
  return out;
}

io::NodeOptions node_options(const Config& config) {
  io::NodeOptions out;
  out.data = config.data;
  out.disk = disk_choice(config.disk);
  out.nats = config.nats;
  out.rpc = config.rpc;
  out.nats_token = config.nats_token;
  out.rpc_token = config.rpc_token;
  out.tls = tls_of(config);
  out.drain_timeout = config.drain_timeout;
  out.broker.controller.node = NodeId(config.node);
  out.cluster_secret = config.cluster_secret;
  controller::ClusterOptions& cluster = out.broker.controller.cluster;
  cluster.listen = config.peers;
  if (!config.peers_advertise.empty())
    cluster.advertise =
        env::parse_address(config.peers_advertise).value();  // was checked when it was set
  cluster.founders = config.founders;
  cluster.seeds = config.seeds;
  out.broker.controller.host = config.host;
  out.broker.logs.segment_bytes = config.segment_bytes;
  out.broker.logs.disk_bytes_max = config.disk_bytes_max;
  out.broker.drain_timeout = config.drain_timeout;
  return out;
}

// One run of the broker, from its start to its end.
class Serving {
 public:
  explicit Serving(const Config& config) : config_(config), trace_(config.log_level) {}

  ExitStatus run() {
    io::Signals signals(loop_, [this](io::Signal signal) { on_signal(signal); });
    io::Node::start(loop_, trace_, node_options(config_),
                    [this](Result<std::unique_ptr<io::Node>> started) {
                      if (!started) return end(report(started.error()));
                      node_ = std::move(*started);
                      std::printf("%s\n", node_->ready_line().c_str());
                      std::fflush(stdout);
                      if (stop_asked_) drain();
                    });
    loop_.run();
    node_.reset();
    return status_;
  }

 private:
  void on_signal(io::Signal signal) {
    if (signal == io::Signal::hangup) {
      return reload();
    }
    if (stop_asked_) {
      // Asked twice: what is in flight ends as a crash would end it, which loses nothing acknowledged.
      std::_Exit(k_exit_failed);
    }
    stop_asked_ = true;
    if (node_) drain();
  }

  void reload() {
    if (!node_) return;
    if (const Status status = node_->reload(); !status) {
      trace_.message(TraceLevel::error, "tls",
                     "SIGHUP: " + status.error().context + "; what was loaded before stays in use");
      return;
    }
    trace_.message(TraceLevel::info, "io", "SIGHUP: certificates are read again");
  }

  void drain() {
    trace_.message(TraceLevel::info, "io", "draining");
    node_->stop([this](Status stopped) {
      const ExitStatus status = stopped ? k_exit_done : report(stopped.error());
      // The last answers are on their way out of this process.
      loop_.after(k_linger, [this, status] { end(status); });
    });
  }

  void end(ExitStatus status) {
    status_ = status;
    loop_.stop();
  }

  static constexpr Duration k_linger = milliseconds(100);

  const Config& config_;
  io::LogTracer trace_;
  io::AsioLoop loop_;
  std::unique_ptr<io::Node> node_;
  bool stop_asked_ = false;
  ExitStatus status_ = k_exit_failed;
};

ExitStatus serve(const ServeOptions& options) {
  auto loaded = load(options);
  if (!loaded) return report_usage(loaded.error());
  if (options.print_config) {
    std::fputs(print_config(*loaded).c_str(), stdout);
    return k_exit_done;
  }
  if (const Status good = check_config(loaded->config); !good) return report_usage(good.error());
  raise_file_limit();
  return Serving(loaded->config).run();
}

}  // namespace

void register_serve(CLI::App& app, ExitStatus& status) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "run a broker; SIGTERM drains it");
  command->add_option("--config", options->config_file, "TOML file")->envname("BASCULE_CONFIG");
  command->add_flag("--print-config", options->print_config,
                    "print the effective configuration with where each value came from, and end");
  for (const Setting& setting : settings()) {
    command->add_option_function<std::string>(
        flag_of(setting),
        [options, name = std::string(setting.name)](const std::string& text) {
          options->flags[name] = text;
        },
        std::string(setting.help));
  }
  command->callback([options, &status] { status = serve(*options); });
}

}  // namespace bascule::cli

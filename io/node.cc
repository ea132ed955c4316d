#include "io/node.h"

#include <utility>

#include "capnp/command_codec.h"
#include "capnp/controller_message_codec.h"
#include "capnp/peer_codec.h"
#include "capnp/replication_codec.h"
#include "capnp/rpc_server.h"
#include "io/asio_network.h"
#include "io/entropy.h"
#include "io/make_disk.h"
#include "io/peer_certificate.h"
#include "io/peer_secret.h"
#include "io/tls_network.h"
#include "src/env/world.h"
#include "src/nats/recorder.h"
#include "src/nats/server.h"

namespace bascule::io {

// Members go in the reverse of this order: the front ends before the broker, the broker before its world.
struct Node::Parts {
  Parts(AsioLoop& loop, Tracer& tracer, NodeOptions node_options,
        std::unique_ptr<env::Disk> made_disk, std::unique_ptr<NodeTls> made_tls)
      : options(std::move(node_options)),
        disk(std::move(made_disk)),
        network(loop),
        random(random_seed()),
        tls(std::move(made_tls)),
        between_brokers(secured_network()),
        world{loop, *disk, network, random, tracer},
        broker_world{loop, *disk, between_brokers ? *between_brokers : network, random, tracer} {}

  // Null: brokers speak with each other in the open.
  std::unique_ptr<env::Network> secured_network() {
    if (!tls || tls->peers_call() == nullptr) return nullptr;
    return std::make_unique<TlsNetwork>(network, *tls->peers_listen(), *tls->peers_call());
  }

  NodeOptions options;
  std::unique_ptr<env::Disk> disk;
  AsioNetwork network;
  Prng random;
  std::unique_ptr<NodeTls> tls;  // null: nobody speaks it
  std::unique_ptr<env::Network> between_brokers;
  env::World world;
  env::World broker_world;  // it reaches nobody but other brokers
  capnp_codec::MetadataCodec codec;
  capnp_codec::PeerCodec peer_codec;
  capnp_codec::ControllerMessageCodec message_codec;
  capnp_codec::ReplicationCodec replication_codec;
  std::unique_ptr<peers::Authenticator> authenticator;
  std::optional<controller::ClusterParts> cluster_parts;
  std::unique_ptr<broker::Broker> broker;
  std::unique_ptr<nats::Recorder> recorder;
  std::unique_ptr<nats::Server> nats;
  std::unique_ptr<rpc::RpcServer> rpc;
};

// Owns itself until it has completed.
class Node::Starting : public std::enable_shared_from_this<Node::Starting> {
 public:
  Starting(std::unique_ptr<Parts> parts, env::Done<std::unique_ptr<Node>> done)
      : parts_(std::move(parts)), done_(std::move(done)) {}

  void open() {
    Parts& p = *parts_;
    auto authenticator = make_authenticator(p.options);
    if (!authenticator) return fail_with(named("cluster_secret", std::move(authenticator.error())));
    p.authenticator = std::move(*authenticator);
    p.cluster_parts.emplace(p.peer_codec, p.message_codec, *p.authenticator);
    p.options.broker.replication = &p.replication_codec;
    if (p.options.rpc) p.options.broker.controller.endpoints.rpc = p.options.rpc->to_string();
    if (p.options.nats) p.options.broker.controller.endpoints.nats = p.options.nats->to_string();
    broker::open_broker(p.broker_world, p.options.broker, p.codec, &*p.cluster_parts,
                        [self = shared_from_this()](auto result) {
                          if (!result) return self->fail_with(std::move(result.error()));
                          self->parts_->broker = std::move(*result);
                          self->start_nats();
                        });
  }

 private:
  static Result<std::unique_ptr<peers::Authenticator>> make_authenticator(
      const NodeOptions& options) {
    std::unique_ptr<peers::Authenticator> out = std::make_unique<peers::NoAuthenticator>();
    if (!options.cluster_secret.empty()) {
      BASCULE_TRY_ASSIGN(out, make_secret_authenticator(options.cluster_secret));
    }
    if (options.tls.for_peers())
      out = make_certificate_authenticator(std::move(out), options.tls.peer_name);
    return out;
  }

  void start_nats() {
    Parts& p = *parts_;
    if (!p.options.nats) return start_rpc();
    p.recorder = std::make_unique<nats::Recorder>(p.world, *p.broker, nats::RecorderOptions{});
    nats::ServerOptions options;
    options.listen = *p.options.nats;
    options.auth_token = p.options.nats_token;
    options.tls_mode = p.options.tls.nats;
    if (options.tls_mode != env::TlsMode::off) options.tls = p.tls->clients();
    p.nats = std::make_unique<nats::Server>(p.world, options, *p.recorder);
    p.nats->start([self = shared_from_this()](Status started) {
      if (!started) return self->fail_with(named("nats", std::move(started.error())));
      // Who creates a stream that answers publishers hears of services that answer there today.
      self->parts_->broker->advise_creations(
          [nats = self->parts_->nats.get()](const model::StreamConfig& config) {
            return nats->creation_warnings(config);
          });
      self->start_rpc();
    });
  }

  void start_rpc() {
    Parts& p = *parts_;
    if (!p.options.rpc) return succeed();
    rpc::RpcServerOptions options;
    options.listen = *p.options.rpc;
    options.token = p.options.rpc_token;
    if (p.options.tls.rpc != env::TlsMode::off) options.tls = p.tls->clients();
    options.node = p.broker->identity().node;
    options.nodes = [&p] { return endpoints(p); };
    options.leader = [&p](PartitionId id) -> std::optional<client::LeaderHint> {
      const controller::PartitionEntry* entry = p.broker->metadata().table().partition(id);
      if (entry == nullptr || !entry->leader) return std::nullopt;
      client::LeaderHint hint{entry->leader, entry->epoch, std::nullopt};
      for (client::NodeEndpoint& known : endpoints(p))
        if (known.node == entry->leader) hint.address = std::move(known.address);
      return hint;
    };
    rpc::start_rpc_server(p.world.loop, p.network, *p.broker, p.world.trace, std::move(options),
                          [self = shared_from_this()](auto result) {
                            if (!result)
                              return self->fail_with(named("rpc", std::move(result.error())));
                            self->parts_->rpc = std::move(*result);
                            self->succeed();
                          });
  }

  // Where clients reach each broker. Of this one the listener knows best.
  static std::vector<client::NodeEndpoint> endpoints(const Parts& p) {
    const NodeId self = p.broker->identity().node;
    std::vector<client::NodeEndpoint> out{{self, p.rpc->address()}};
    for (const auto& [node, entry] : p.broker->metadata().table().state().brokers) {
      if (node == self) continue;
      if (auto address = env::parse_address(entry.endpoints.rpc))
        out.push_back({node, std::move(*address)});
    }
    return out;
  }

  void succeed() { done_(std::unique_ptr<Node>(new Node(std::move(parts_)))); }

  void fail_with(Error error) {
    // The parts go in a later turn: this one is a completion of theirs.
    parts_->world.loop.post([self = shared_from_this(), error = std::move(error)]() mutable {
      self->parts_.reset();
      self->done_(fail(std::move(error)));
    });
  }

  static Error named(const std::string& listener, Error error) {
    error.context = listener + ": " + error.context;
    return error;
  }

  std::unique_ptr<Parts> parts_;
  env::Done<std::unique_ptr<Node>> done_;
};

Node::Node(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Node::~Node() {
  if (parts_->broker) parts_->broker->advise_creations(nullptr);
}

void Node::start(AsioLoop& loop, Tracer& trace, NodeOptions options,
                 env::Done<std::unique_ptr<Node>> done) {
  std::unique_ptr<NodeTls> tls;
  if (options.tls.for_clients() || options.tls.for_peers()) {
    auto opened = NodeTls::open(loop, options.tls, options.broker.controller.node);
    if (!opened) {
      loop.post([done = std::move(done), error = std::move(opened.error())]() mutable {
        error.context = "tls: " + error.context;
        done(fail(std::move(error)));
      });
      return;
    }
    tls = std::move(*opened);
    tls->describe(trace);
  }
  auto made = make_disk(loop, options.data, options.disk);
  if (!made) {
    loop.post([done = std::move(done), error = std::move(made.error())]() mutable {
      done(fail(std::move(error)));
    });
    return;
  }
  trace.message(TraceLevel::info, "io", "disk: " + std::string(made->disk->kind()));
  if (!made->fallback_reason.empty())
    trace.message(TraceLevel::warning, "io", "no io_uring: " + made->fallback_reason);
  auto parts = std::make_unique<Parts>(loop, trace, std::move(options), std::move(made->disk),
                                       std::move(tls));
  std::make_shared<Starting>(std::move(parts), std::move(done))->open();
}

std::string Node::ready_line() const {
  const Parts& p = *parts_;
  const controller::ClusterPeers* peers = p.broker->metadata().cluster_peers();
  return "ready node=" + p.broker->identity().node.to_string() +
         " nats=" + (p.nats ? p.nats->address().to_string() : "off") +
         " rpc=" + (p.rpc ? p.rpc->address().to_string() : "off") +
         " peers=" + (peers ? peers->peers().address().to_string() : "off") +
         " http=off data=" + p.options.data;
}

Status Node::reload() {
  Parts& p = *parts_;
  if (!p.tls) return {};
  BASCULE_TRY(p.tls->reload());
  p.tls->describe(p.world.trace);
  return {};
}

void Node::stop(env::Done<void> done) {
  Parts& p = *parts_;
  if (p.rpc) p.rpc->stop_accepting();
  auto stop_broker = [&p, done = std::move(done)](Status) mutable {
    p.broker->stop(std::move(done));
  };
  if (!p.nats) return stop_broker({});
  p.nats->stop(p.options.drain_timeout, std::move(stop_broker));
}

}  // namespace bascule::io

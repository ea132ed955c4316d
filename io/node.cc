#include "io/node.h"

#include <utility>

#include "capnp/command_codec.h"
#include "capnp/rpc_server.h"
#include "io/asio_network.h"
#include "io/entropy.h"
#include "io/make_disk.h"
#include "src/env/world.h"
#include "src/nats/recorder.h"
#include "src/nats/server.h"

namespace bascule::io {
namespace {

void say_certificate(Tracer& trace, const TlsServerContext& tls) {
  trace.message(tls.expired() ? TraceLevel::warning : TraceLevel::info, "tls", tls.describe());
}

}  // namespace

// Members go in the reverse of this order: the front ends before the broker, the broker before its world.
struct Node::Parts {
  Parts(AsioLoop& loop, Tracer& tracer, NodeOptions node_options,
        std::unique_ptr<env::Disk> made_disk)
      : options(std::move(node_options)),
        disk(std::move(made_disk)),
        network(loop),
        random(random_seed()),
        world{loop, *disk, network, random, tracer} {}

  NodeOptions options;
  std::unique_ptr<env::Disk> disk;
  AsioNetwork network;
  Prng random;
  env::World world;
  capnp_codec::MetadataCodec codec;
  std::unique_ptr<TlsServerContext> tls;  // null: nobody speaks it
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
    broker::open_broker(parts_->world, parts_->options.broker, parts_->codec,
                        [self = shared_from_this()](auto result) {
                          if (!result) return self->fail_with(std::move(result.error()));
                          self->parts_->broker = std::move(*result);
                          self->start_nats();
                        });
  }

 private:
  void start_nats() {
    Parts& p = *parts_;
    if (!p.options.nats) return start_rpc();
    p.recorder = std::make_unique<nats::Recorder>(p.world, *p.broker, nats::RecorderOptions{});
    nats::ServerOptions options;
    options.listen = *p.options.nats;
    options.auth_token = p.options.nats_token;
    options.tls_mode = p.options.tls.nats;
    if (options.tls_mode != env::TlsMode::off) options.tls = p.tls.get();
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
    if (p.options.tls.rpc != env::TlsMode::off) options.tls = p.tls.get();
    options.node = p.broker->identity().node;
    options.nodes = [&p] {
      return std::vector<client::NodeEndpoint>{{p.broker->identity().node, p.rpc->address()}};
    };
    rpc::start_rpc_server(p.world.loop, p.network, *p.broker, p.world.trace, std::move(options),
                          [self = shared_from_this()](auto result) {
                            if (!result)
                              return self->fail_with(named("rpc", std::move(result.error())));
                            self->parts_->rpc = std::move(*result);
                            self->succeed();
                          });
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
  std::unique_ptr<TlsServerContext> tls;
  if (options.tls.used()) {
    auto opened = TlsServerContext::open(loop, options.tls.files);
    if (!opened) {
      loop.post([done = std::move(done), error = std::move(opened.error())]() mutable {
        error.context = "tls: " + error.context;
        done(fail(std::move(error)));
      });
      return;
    }
    tls = std::move(*opened);
    say_certificate(trace, *tls);
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
  auto parts = std::make_unique<Parts>(loop, trace, std::move(options), std::move(made->disk));
  parts->tls = std::move(tls);
  std::make_shared<Starting>(std::move(parts), std::move(done))->open();
}

std::string Node::ready_line() const {
  const Parts& p = *parts_;
  return "ready node=" + p.broker->identity().node.to_string() +
         " nats=" + (p.nats ? p.nats->address().to_string() : "off") +
         " rpc=" + (p.rpc ? p.rpc->address().to_string() : "off") +
         " peers=off http=off data=" + p.options.data;
}

Status Node::reload() {
  Parts& p = *parts_;
  if (!p.tls) return {};
  BASCULE_TRY(p.tls->reload());
  say_certificate(p.world.trace, *p.tls);
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

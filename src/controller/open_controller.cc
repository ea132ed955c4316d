// A start of the controller: who this directory is, then its metadata; or the formatting of an empty one.
//
// Formatting makes Raft's store first and `identity` last. So a directory without `identity` holds
// either nothing, or a store that was never opened, or it has lost its identity: then it is refused, since a
// new one would turn everything that it holds into another broker's. A directory whose `identity` names no
// cluster has a store that was never opened either: founding and joining make it anew, and then name the cluster.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "src/base/assert.h"
#include "src/controller/controller.h"
#include "src/controller/founding.h"

namespace bascule::controller {

namespace {

using log::call;
using log::Co;

constexpr uint64_t k_identity_bytes_max = 64 << 10;

Co<Slice> read_small(env::Disk& disk, std::string name) {
  auto bytes = co_await call<Slice>([&disk, &name](env::Done<Slice> done) {
    env::read_file(disk, name, k_identity_bytes_max, std::move(done));
  });
  if (!bytes && bytes.error().code != Errc::not_found)
    co_return fail(bytes.error().code, "the file '" + name + "' cannot be read");
  co_return bytes;
}

Co<void> write_small(env::Disk& disk, std::string name, Bytes contents) {
  const Slice bytes = Slice::copy_of(contents);
  co_return co_await call<void>([&disk, &name, &bytes](env::Done<void> done) {
    env::replace_file(disk, "", name, bytes, std::move(done));
  });
}

}  // namespace

struct ControllerOpening {
  ControllerOpening(env::World& w, ControllerOptions o, const CommandCodec& c,
                    const ClusterParts* p)
      : world(w), options(std::move(o)), codec(c), parts(p), scope(w.loop) {}

  Co<void> run() {
    auto fits = check_cluster_options(options.cluster, options.node);
    if (!fits) co_return fits;
    REQUIRE(!options.cluster.listen || parts != nullptr);
    // What a dead life renamed is visible, and perhaps not durable.
    auto synced = co_await call<void>(
        [this](env::Done<void> done) { world.disk.sync_dir("", std::move(done)); });
    if (!synced) co_return synced;
    auto file = co_await read_small(world.disk, "identity");
    if (!file && file.error().code == Errc::not_found) {
      auto formatted = co_await format();
      if (!formatted) co_return formatted;
      file = co_await read_small(world.disk, "identity");
    }
    if (!file) co_return fail(std::move(file.error()));
    auto identity = decode_identity(*file);
    if (!identity) co_return fail(std::move(identity.error()));
    if (identity->node != options.node)
      co_return fail(Errc::invalid, "the data directory is of node " + identity->node.to_string() +
                                        ", not " + options.node.to_string());
    co_return co_await begin(*identity);
  }

  // A broker alone is its own cluster from the start; another one's directory gets its cluster later.
  Co<void> format() {
    auto entries = co_await call<std::vector<env::DirEntry>>(
        [this](auto done) { world.disk.list("", std::move(done)); });
    if (!entries) co_return fail(std::move(entries.error()));
    for (const env::DirEntry& e : *entries) {
      if (e.is_directory && e.name != options.store.directory)
        co_return fail(Errc::corrupt, "the data directory holds '" + e.name +
                                          "' and has lost its file 'identity'");
    }
    Identity identity{options.node, world.random.uuid(), {}};
    raft::StoredState initial;
    if (options.cluster.alone()) {
      identity.cluster = world.random.uuid();
      initial = raft::Raft::bootstrap(
          founding_configuration({{{identity.node, identity.storage}, own_address().to_string()}}));
    }
    // An empty store in any case, so that a store that was in use is found out.
    auto status = co_await format_store(identity, initial);
    if (!status && status.error().code == Errc::corrupt)
      co_return fail(Errc::corrupt,
                     "the data directory has lost its file 'identity': " + status.error().context);
    if (status)
      status =
          co_await write_small(world.disk, "incarnation", encode_incarnation(identity.storage, {}));
    if (status) status = co_await write_small(world.disk, "identity", encode_identity(identity));
    if (status) world.trace.probe("controller.formatted");
    co_return status;
  }

  Co<void> format_store(const Identity& identity, const raft::StoredState& initial) {
    co_return co_await call<void>([this, &identity, &initial](env::Done<void> done) {
      raft::format_raft_store(world, options.store, identity.storage, initial, std::move(done));
    });
  }

  env::Address own_address() const {
    const ClusterOptions& c = options.cluster;
    if (!c.advertise.host.empty()) return c.advertise;
    return c.listen.value_or(env::Address{});
  }

  // The metadata may know a later life of this node than its disk does: of another disk, or from before this
  // one was rolled back. What is said in an earlier one's name counts for nobody, so this one is begun again
  // above it.
  Co<void> begin(const Identity& on_disk) {
    Identity identity = on_disk;
    Incarnation at_least;
    for (;;) {
      auto begun = co_await begin_life(identity, at_least);
      if (!begun) co_return begun;
      const Incarnation recorded = controller->table_.recorded_incarnation(options.node);
      if (controller->persisted_.incarnation > recorded) co_return Status();
      world.trace.probe("controller.life_begun_again");
      identity = controller->identity_;
      at_least = recorded.next();
      (void)co_await call<void>(
          [this](env::Done<void> done) { controller->stop(std::move(done)); });
      // In a turn of its own: this one is a completion of what is destroyed.
      (void)co_await call<void>([this](env::Done<void> done) {
        world.loop.post([done = std::move(done)]() mutable { done({}); });
      });
      controller.reset();
    }
  }

  Co<void> begin_life(const Identity& identity, Incarnation at_least) {
    auto file = co_await read_small(world.disk, "incarnation");
    if (!file) co_return fail(Errc::corrupt, file.error().context + ": 'incarnation' is lost");
    auto persisted = decode_incarnation(identity.storage, *file);
    if (!persisted) co_return fail(std::move(persisted.error()));
    controller.reset(new Controller(world, options, codec, identity, *persisted));
    PersistedIncarnation life = *persisted;
    life.incarnation = std::max(life.incarnation.next(), at_least);
    if (!identity.cluster) {
      auto numbered = co_await controller->persist_incarnation(life);
      if (!numbered) co_return numbered;
      auto found = co_await find_cluster();
      if (!found) co_return found;
    }
    auto opened = co_await call<raft::OpenedStore>([this](auto done) {
      raft::open_raft_store(world, options.store, controller->identity_.storage, std::move(done));
    });
    if (!opened && opened.error().code == Errc::not_found)
      co_return fail(Errc::corrupt, "the metadata is lost: " + opened.error().context);
    if (!opened) co_return fail(std::move(opened.error()));
    raft::Store& store = *opened->store;
    if (controller->persisted_ != life) {
      controller->lend_ = [&store](env::Done<void> done) { store.lend_reserve(std::move(done)); };
      auto numbered = co_await controller->persist_incarnation(life);
      if (!numbered) co_return numbered;
    }
    opened->state.incarnation = life.incarnation;
    auto reachable = co_await start_peers();
    if (!reachable) co_return reachable;
    co_return co_await join_raft(std::move(*opened));
  }

  Co<void> find_cluster() {
    if (options.cluster.alone())
      co_return fail(Errc::invalid,
                     "the data directory belongs to no cluster yet: name founders or seeds");
    auto reachable = co_await start_peers();
    if (!reachable) co_return reachable;
    peers::Peers& calls = controller->peers_->peers();
    for (const Founder& f : options.cluster.founders)
      if (f.node != options.node) (void)calls.set_address(f.node, f.address);
    Founding founding(world, *controller->peers_, controller->identity_,
                      calls.self().identity.address, options.cluster.founders);
    auto found = options.cluster.founders.empty() ? founding.join() : founding.found();
    auto cluster = co_await found;
    if (!cluster) co_return fail(std::move(cluster.error()));
    Identity identity = controller->identity_;
    identity.cluster = cluster->cluster;
    // The store first: without the identity's cluster it is still one that was never in use.
    auto status = co_await format_store(identity, cluster->initial);
    if (status) status = co_await write_small(world.disk, "identity", encode_identity(identity));
    if (!status) co_return status;
    controller->identity_ = identity;
    controller->table_ = MetadataTable(identity.cluster);
    calls.set_cluster(identity.cluster);
    world.trace.message(TraceLevel::info, "controller",
                        "belongs to cluster " + identity.cluster.to_string());
    co_return Status();
  }

  Co<void> start_peers() {
    if (!options.cluster.listen || controller->peers_ != nullptr) co_return Status();
    const Identity& identity = controller->identity_;
    peers::PeersOptions with_listener = options.cluster.peers;
    with_listener.listen = *options.cluster.listen;
    peers::Self self;
    self.identity.node = identity.node;
    self.identity.storage = identity.storage;
    self.identity.incarnation = controller->persisted_.incarnation;
    self.identity.life = world.random.uuid();
    self.identity.feature_min = 1;
    self.identity.feature_max = k_feature_level;
    self.identity.address = own_address();
    self.cluster = identity.cluster;
    controller->peers_ =
        std::make_unique<ClusterPeers>(world, with_listener, std::move(self), *parts);
    controller->answer_peers();
    controller->peers_->peers().set_seeds(options.cluster.seeds);
    auto started = co_await call<void>(
        [this](env::Done<void> done) { controller->peers_->peers().start(std::move(done)); });
    if (!started) co_return fail(started.error().code, "peers: " + started.error().context);
    co_return Status();
  }

  // Not by value: see coroutine.h.
  Co<void> join_raft(raft::OpenedStore&& opened) {
    Controller& c = *controller;
    CommittedEntries& committed = c;
    const raft::MemberId self{c.identity_.node, c.identity_.storage};
    if (options.watcher != nullptr) options.watcher->store_opened(self, opened);
    c.log_ = std::make_unique<RaftMetadataLog>(world, options.log, self, std::move(opened.state),
                                               std::move(opened.store), c.peers_.get(), committed);
    if (options.watcher != nullptr) options.watcher->joined(c);
    c.lend_ = [&c](env::Done<void> done) { c.log_->lend_reserve(std::move(done)); };
    c.active_ = std::make_unique<ActiveController>(world, c);
    c.log_->on_turn([&c] {
      c.call_members();
      c.active_->look();
    });
    auto started = c.log_->start();
    if (!started) co_return started;
    c.call_members();
    for (;;) {
      auto current =
          co_await call<Index>([&c](env::Done<Index> done) { c.log_->read(std::move(done)); });
      if (current) co_return Status();
      if (current.error().code != Errc::not_leader) co_return fail(std::move(current.error()));
      world.trace.message(TraceLevel::warning, "controller",
                          "waiting for a majority of the controllers: " + missing_voters());
    }
  }

  std::string missing_voters() const {
    const raft::Configuration& members = controller->log_->driver().machine().configuration();
    std::string out;
    for (const raft::Member& m : members.voters) {
      if (m.id.node == options.node) continue;
      if (controller->peers_ != nullptr &&
          controller->peers_->peers().connected(m.id.node, peers::Channel::control))
        continue;
      out += (out.empty() ? "node " : ", node ") + m.id.node.to_string() + " at " + m.address +
             " is not connected";
    }
    return out.empty() ? "all voters that it knows are connected" : out;
  }

  env::World& world;
  const ControllerOptions options;
  const CommandCodec& codec;
  const ClusterParts* parts;
  std::unique_ptr<Controller> controller;
  log::CoScope scope;
};

void open_controller(env::World& world, ControllerOptions options, const CommandCodec& codec,
                     const ClusterParts* parts, env::Done<std::unique_ptr<Controller>> done) {
  // The scope outlives the opening: it belongs to the completion.
  auto opening = std::make_shared<ControllerOpening>(world, std::move(options), codec, parts);
  opening->scope.spawn<void>(
      opening->run(), [opening, done = std::move(done)](Status status) mutable {
        Result<std::unique_ptr<Controller>> result = fail(Errc::internal);
        if (status) {
          result = std::move(opening->controller);
        } else {
          result = fail(std::move(status.error()));
        }
        opening->world.loop.post([done = std::move(done), result = std::move(result)]() mutable {
          done(std::move(result));
        });
      });
}

}  // namespace bascule::controller

#include "src/peers/peers.h"

#include <algorithm>

namespace bascule::peers {

namespace {

// A connection that lives shorter than this counts as another failed attempt.
constexpr Duration k_lasting = milliseconds(200);

}  // namespace

Peers::Peers(env::World world, PeersOptions options, Self self, const PeerCodec& codec,
             Authenticator& authenticator, PeersObserver& observer)
    : world_(world),
      options_(std::move(options)),
      self_(std::move(self)),
      codec_(codec),
      authenticator_(authenticator),
      observer_(observer) {
  REQUIRE(self_.identity.node && self_.identity.storage && self_.identity.incarnation);
  if (!self_.identity.life) self_.identity.life = world_.random.uuid();
}

Peers::~Peers() {
  world_.loop.cancel(tick_timer_);
  for (auto& [node, peer] : peers_) {
    for (Slot& slot : peer.slots) world_.loop.cancel(slot.dial.timer);
  }
  for (Seed& seed : seeds_) world_.loop.cancel(seed.dial.timer);
  for (auto& [id, request] : requests_) world_.loop.cancel(request.timer);
}

void Peers::start(env::Done<void> done) {
  REQUIRE(!started_ && !stopping_);
  world_.network.listen(
      options_.listen,
      scope_.wrap([this](std::unique_ptr<env::Stream> stream) { accept(std::move(stream)); }),
      scope_.wrap(
          [this, done = std::move(done)](Result<std::unique_ptr<env::Listener>> result) mutable {
            if (!result) return done(fail(std::move(result.error())));
            if (stopping_) return done(fail(Errc::stopping, "peers"));
            listener_ = *std::move(result);
            if (self_.identity.address.port == 0)
              self_.identity.address.port = listener_->address().port;
            started_ = true;
            tick();
            for (auto& [node, peer] : peers_) dial_all(peer);
            for (uint32_t i = 0; i < seeds_.size(); ++i) dial_after({{}, i, Channel::control}, {});
            done({});
          }));
}

const env::Address& Peers::address() const {
  REQUIRE(listener_ != nullptr);
  return listener_->address();
}

void Peers::stop(env::Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  listener_.reset();
  world_.loop.cancel(tick_timer_);
  for (auto& [node, peer] : peers_) {
    for (Slot& slot : peer.slots) stop_dialing(slot.dial);
  }
  for (Seed& seed : seeds_) stop_dialing(seed.dial);
  for (auto& [id, request] : std::exchange(requests_, {})) {
    world_.loop.cancel(request.timer);
    world_.loop.post(
        [done = std::move(request.done)]() mutable { done(fail(Errc::stopping, "peers")); });
  }
  while (!connections_.empty()) {
    Connection& connection = *connections_.begin()->second;
    connection.close();
    retire(connection);
  }
  // After what was posted before it: the connections are destroyed by then.
  world_.loop.post([done = std::move(done)]() mutable { done({}); });
}

void Peers::set_seeds(std::vector<env::Address> seeds) {
  for (Seed& seed : seeds_) stop_dialing(seed.dial);
  std::erase_if(dialed_, [](const auto& entry) { return !entry.second.node; });
  seeds_.clear();
  if (seeds.size() > k_seeds_max) seeds.resize(k_seeds_max);
  for (env::Address& address : seeds) seeds_.push_back({std::move(address), {}, false, {}});
  for (uint32_t i = 0; i < seeds_.size(); ++i) dial_after({{}, i, Channel::control}, {});
}

Status Peers::set_address(NodeId node, env::Address address) {
  REQUIRE(node);
  if (node == self_.identity.node) return {};
  Peer* peer = find(node);
  if (peer == nullptr) {
    if (peers_.size() >= k_peers_max) return fail(Errc::too_large, "peers: too many are known");
    peer = &peers_[node];
    peer->node = node;
  }
  if (peer->address == address) return {};
  peer->address = std::move(address);
  for (Slot& slot : peer->slots) {
    // Not to wait for an attempt at the old one.
    slot.dial.backoff = {};
    if (slot.dial.timer) stop_dialing(slot.dial);
  }
  dial_all(*peer);
  return {};
}

void Peers::forget(NodeId node) {
  Peer* peer = find(node);
  if (peer == nullptr) return;
  for (Slot& slot : peer->slots) stop_dialing(slot.dial);
  // Those that still shake hands, too.
  std::vector<Connection*> theirs;
  for (auto& [id, connection] : connections_) {
    const auto dialed = dialed_.find(id);
    if (connection->found().other.node == node ||
        (dialed != dialed_.end() && dialed->second.node == node))
      theirs.push_back(connection.get());
  }
  for (Connection* connection : theirs) {
    if (connection->closed()) continue;  // by what the observer did
    connection->close();
    lose(*connection, CloseCause::ours, {Errc::connection_lost, "the broker was forgotten"});
  }
  if (peer = find(node); peer == nullptr) return;
  for (Slot& slot : peer->slots) stop_dialing(slot.dial);
  peers_.erase(node);
}

void Peers::note_incarnation(NodeId node, Uuid storage, Incarnation incarnation) {
  Peer* peer = find(node);
  if (peer == nullptr) return;
  Identity known;
  known.storage = storage;
  known.incarnation = incarnation;
  remember_life(*peer, known);
}

void Peers::set_cluster(Uuid cluster) {
  self_.cluster = cluster;
  end_other_clusters();
}

void Peers::learn_cluster(const Uuid& cluster) {
  self_.cluster = cluster;
  world_.trace.message(TraceLevel::info, "peers", "joins cluster " + cluster.to_string());
  end_other_clusters();
  observer_.cluster_learned(cluster);
}

// Whoever has not said that it belongs to our cluster shakes hands anew, and learns it.
void Peers::end_other_clusters() {
  std::vector<Connection*> others;
  for (auto& [id, connection] : connections_) {
    if (connection->open() && connection->found().other_cluster != self_.cluster)
      others.push_back(connection.get());
  }
  for (Connection* connection : others) {
    if (connection->closed()) continue;  // by what the observer did
    connection->close();
    lose(*connection, CloseCause::ours, {Errc::connection_lost, "the cluster has become known"});
  }
}

Peer* Peers::find(NodeId node) {
  const auto it = peers_.find(node);
  return it == peers_.end() ? nullptr : &it->second;
}
const Peer* Peers::find(NodeId node) const {
  const auto it = peers_.find(node);
  return it == peers_.end() ? nullptr : &it->second;
}

Connection& Peers::add_connection(std::unique_ptr<env::Stream> stream, Connection::Plan plan) {
  const uint64_t id = next_connection_++;
  auto& connection = connections_[id];
  connection =
      std::make_unique<Connection>(static_cast<ConnectionHost&>(*this), world_, options_, codec_,
                                   authenticator_, id, std::move(stream), self_, plan);
  return *connection;
}

void Peers::accept(std::unique_ptr<env::Stream> stream) {
  size_t strangers = 0;
  for (const auto& [id, connection] : connections_) {
    if (!connection->open() && connection->side() == Side::acceptor) ++strangers;
  }
  if (stopping_ || strangers >= options_.unauthenticated_max) {
    ++stats_.connections_dropped;
    return;
  }
  ++stats_.connections_accepted;
  add_connection(std::move(stream), {Side::acceptor, Channel::control, {}}).start();
}

void Peers::tick() {
  std::vector<uint64_t> ids;
  for (const auto& [id, connection] : connections_) ids.push_back(id);
  for (const uint64_t id : ids) {
    if (const auto it = connections_.find(id); it != connections_.end()) it->second->tick();
  }
  if (stopping_) return;
  tick_timer_ = world_.loop.after(options_.ping_interval / 2, scope_.wrap([this] { tick(); }));
}

void Peers::retire(Connection& connection) {
  const auto it = connections_.find(connection.id());
  ASSERT(it != connections_.end() && connection.closed(), connection.id());
  dialed_.erase(connection.id());
  std::erase_if(promised_,
                [&](const auto& entry) { return entry.second.connection == connection.id(); });
  if (Peer* peer = find(connection.found().other.node)) {
    Slot& slot = peer->slots[slot_of(connection.found().channel)];
    if (slot.open == &connection) slot.open = nullptr;
  }
  retired_.push_back(std::move(it->second));
  connections_.erase(it);
  // We may be inside a call of its, or of its stream's.
  world_.loop.post(scope_.wrap([this] { retired_.clear(); }));
}

void Peers::closed(Connection& connection, CloseCause cause, const Error& why) {
  if (cause == CloseCause::corrupt) {
    ++stats_.corrupt;
    world_.trace.message(TraceLevel::warning, "peers",
                         connection.address().to_string() + ": " + why.to_string());
  }
  if (cause == CloseCause::not_secured) {
    ++stats_.not_secured;
    if (is_news(connection, why.context))
      world_.trace.message(TraceLevel::warning, "peers",
                           "no connection " +
                               std::string(connection.side() == Side::dialer ? "to " : "from ") +
                               name_of(connection) + ": " + why.context);
  }
  lose(connection, cause, why);
}

// The connection is over: who waits for it is told, and where it was wanted it is made again.
void Peers::lose(Connection& connection, CloseCause cause, const Error& why) {
  const uint64_t id = connection.id();
  const NodeId node = connection.found().other.node;
  const Channel channel = connection.found().channel;
  Peer* peer = find(node);
  const bool was_open = peer != nullptr && peer->slots[slot_of(channel)].open == &connection;
  const auto dialed = dialed_.find(id);
  const std::optional<Target> target =
      dialed == dialed_.end() ? std::nullopt : std::optional(dialed->second);
  retire(connection);
  fail_requests(id, why);
  if (target) {
    if (Dial* dial = dial_of(*target); dial != nullptr && dial->connection == id) {
      dial->connection = 0;
      if (Peer* called = find(target->node)) called->last_error = why.context;
      dial_again(*target);
    }
  }
  if (!was_open) return;
  const Identity identity = *peer->identity;
  peer->last_error = why.context;
  world_.trace.message(TraceLevel::info, "peers",
                       "lost " + identity.to_string() + ", " + std::string(channel_name(channel)) +
                           ": " + why.context);
  // One that has lasted is made again without a pause.
  if (Dial& dial = peer->slots[slot_of(channel)].dial;
      world_.loop.now() - connection.since() > std::max(dial.backoff, k_lasting))
    dial.backoff = {};
  if (!peer->connected()) {
    peer->ended = cause == CloseCause::ended;
    peer->refused_at.reset();
    // Whether its process is there matters at once.
    if (Dial& dial = peer->slots[slot_of(Channel::control)].dial; peer->ended && dial.timer) {
      stop_dialing(dial);
      dial.backoff = {};
    }
  }
  dial_all(*peer);
  for (uint32_t i = 0; i < seeds_.size(); ++i) {
    if (seeds_[i].node == node) dial_again({{}, i, Channel::control});
  }
  observer_.lost(identity, channel, why);
}

void Peers::writable(Connection& connection) {
  observer_.writable(connection.found().other.node, connection.found().channel);
}

bool Peers::connected(NodeId node, Channel channel) const {
  const Peer* peer = find(node);
  return peer != nullptr && peer->slots[slot_of(channel)].open != nullptr;
}

std::vector<PeerStatus> Peers::status() const {
  std::vector<PeerStatus> all;
  for (const auto& [node, peer] : peers_) {
    PeerStatus status{.node = node,
                      .identity = peer.identity,
                      .address = peer.address,
                      .connected = peer.slots[slot_of(Channel::control)].open != nullptr,
                      .last_error = peer.last_error,
                      .channels = {}};
    for (const Channel channel : all_channels()) {
      ChannelStatus& out = status.channels[slot_of(channel)];
      out.channel = channel;
      const Connection* connection = peer.slots[slot_of(channel)].open;
      if (connection == nullptr) continue;
      out.open = true;
      out.since = world_.loop.now() - connection->since();
      out.at = connection->address();
      out.queued_bytes = connection->queued_bytes();
      out.stats = connection->stats();
    }
    all.push_back(std::move(status));
  }
  return all;
}

void Peers::check_invariants() const {
  for (const auto& [node, peer] : peers_) {
    ASSERT(peer.node == node && node != self_.identity.node, node.value);
    for (const Channel channel : all_channels()) {
      const Slot& slot = peer.slots[slot_of(channel)];
      if (slot.open == nullptr) continue;
      const Established& found = slot.open->found();
      ASSERT(connections_.contains(slot.open->id()) && slot.open->open(), node.value);
      ASSERT(found.other.node == node && found.channel == channel, node.value);
      ASSERT(peer.identity && peer.identity->same_life(found.other), node.value);
      ASSERT(found.link != 0 && found.link <= slot.last_link, found.link, slot.last_link);
      ASSERT(!peer.ended, node.value);
    }
  }
  for (const auto& [id, connection] : connections_) {
    ASSERT(!connection->closed(), id);
    if (!connection->open()) continue;
    const Established& found = connection->found();
    const Peer* peer = find(found.other.node);
    ASSERT(peer != nullptr && peer->slots[slot_of(found.channel)].open == connection.get(), id);
  }
  for (const auto& [id, request] : requests_) ASSERT(connections_.contains(request.connection), id);
}

}  // namespace bascule::peers

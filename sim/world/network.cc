#include "sim/world/network.h"

#include <algorithm>

#include "sim/world/connection.h"

namespace bascule::sim {
namespace {

constexpr uint16_t k_first_ephemeral_port = 40000;

}  // namespace

SimNetwork::SimNetwork(Simulation& sim) : sim_(sim), source_{0x2'0000'0000, 0} {}
SimNetwork::~SimNetwork() = default;

Link& SimNetwork::link(NodeId from, NodeId to) {
  Link& link = links_[{from, to}];
  if (link.entity == 0) link.entity = (static_cast<uint64_t>(from.value) << 32) | to.value;
  return link;
}

Duration SimNetwork::latency(NodeId from, NodeId to, Link& link, size_t bytes) {
  const Duration base = from == to ? options_.local_latency : options_.latency;
  const uint64_t roll = draw(sim_.seed(), {Domain::net_latency, link.entity, link.packets++});
  Duration out{base.ns / 2 + static_cast<int64_t>((roll >> 8) % 1024) * base.ns * 3 / 2 / 1024};
  if (roll % 64 == 0) out = out * 10;
  out = out + Duration{static_cast<int64_t>(bytes) * 1000 / options_.bytes_per_us};
  return out * link.slowness;
}

void SimNetwork::send(NodeId from, NodeId to, size_t bytes, env::Task packet) {
  Link& l = link(from, to);
  sim_.at(sim_.now() + latency(from, to, l, bytes), source_,
          [this, from, to, packet = std::move(packet)]() mutable {
            arrive(from, to, std::move(packet));
          });
}

void SimNetwork::arrive(NodeId from, NodeId to, env::Task packet) {
  Link& l = link(from, to);
  sim_.trace().add(0x6e65, l.entity);
  if (l.blocked) {
    l.held.push_back(std::move(packet));
    return;
  }
  packet();
}

void SimNetwork::release(NodeId from, NodeId to) {
  Link& l = link(from, to);
  l.blocked = false;
  std::vector<env::Task> held = std::move(l.held);
  l.held.clear();
  for (env::Task& packet : held) send(from, to, 0, std::move(packet));
}

void SimNetwork::release_all() {
  for (auto& [ends, l] : links_) {
    if (l.blocked) release(ends.first, ends.second);
  }
}

void SimNetwork::reset(NodeId a, NodeId b) {
  const auto connections = connections_;
  for (const auto& [id, connection] : connections) {
    if (!connection->between(a, b)) continue;
    connection->send_reset(Connection::client);
    connection->send_reset(Connection::server);
  }
}

void SimNetwork::process_died(Life& life, bool machine) {
  std::vector<SimListener*> listeners;
  for (const auto& [key, listener] : listeners_) {
    if (&listener->life() == &life) listeners.push_back(listener);
  }
  for (SimListener* listener : listeners) {
    life.bury([accept = listener->accept_] { (void)accept; });
    listener->stop();
  }
  std::vector<uint64_t> attempts;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.life == &life) attempts.push_back(id);
  }
  for (const uint64_t id : attempts) {
    Attempt& attempt = attempts_.at(id);
    sim_.cancel(attempt.timeout);
    life.bury([done = std::move(attempt.done)] { (void)done; });
    attempts_.erase(id);
  }
  const auto connections = connections_;
  for (const auto& [id, connection] : connections) {
    for (const auto side : {Connection::client, Connection::server}) {
      if (connection->end(side).life == &life)
        connection->close(side, machine ? Connection::State::vanished : Connection::State::closed);
    }
  }
}

Node* SimNetwork::resolve(const std::string& host, Node& from) {
  if (host == "localhost" || host == "::1" || host == "0.0.0.0" || host == "::" ||
      host.starts_with("127."))
    return &from;
  for (size_t i = 0; i < sim_.node_count(); ++i) {
    if (sim_.node(i).host() == host) return &sim_.node(i);
  }
  return nullptr;
}

void SimNetworkHandle::listen(env::Address address, Accept accept,
                              env::Done<std::unique_ptr<env::Listener>> done) {
  if (life_.dead())
    return life_.bury([accept = std::move(accept), done = std::move(done)] {
      (void)accept;
      (void)done;
    });
  Node& node = life_.node();
  Result<std::unique_ptr<env::Listener>> result;
  if (network_.resolve(address.host, node) != &node) {
    result = fail(Errc::invalid, "listen: " + address.host + " is not this host");
  } else {
    if (address.port == 0) {
      uint16_t& next = network_.next_port_[node.id()];
      do {
        next = next == 0 || next == UINT16_MAX ? k_first_ephemeral_port
                                               : static_cast<uint16_t>(next + 1);
      } while (network_.listeners_.contains({node.id(), next}));
      address.port = next;
    }
    const SimNetwork::Key key{node.id(), address.port};
    if (network_.listeners_.contains(key)) {
      result = fail(Errc::already_exists, "listen: " + address.to_string() + " is in use");
    } else {
      result = std::make_unique<SimListener>(network_, life_, key, std::move(address),
                                             std::move(accept));
    }
  }
  life_.world().loop.post(
      [done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

void SimNetworkHandle::connect(env::Address address, Duration timeout,
                               env::Done<std::unique_ptr<env::Stream>> done) {
  if (life_.dead()) return life_.bury([done = std::move(done)] { (void)done; });
  const uint64_t id = network_.next_id_++;
  SimNetwork& network = network_;
  const EventId expiry =
      network.sim_.at(network.sim_.now() + timeout, life_.node().source(), [&network, id] {
        network.finish_attempt(id, fail(Errc::connection_lost, "connect: timed out"));
      });
  network.attempts_.emplace(id, SimNetwork::Attempt{&life_, std::move(done), expiry});
  Node& from = life_.node();
  Node* to = network.resolve(address.host, from);
  if (to == nullptr) {
    network.sim_.after(network.options_.latency, [&network, id] {
      network.finish_attempt(id, fail(Errc::connection_lost, "connect: unknown host"));
    });
    return;
  }
  network.send(from.id(), to->id(), 0,
               [&network, id, &from, to, address = std::move(address)]() mutable {
                 network.handshake(id, from, *to, std::move(address));
               });
}

// The first packet of a connection has come to `to`.
void SimNetwork::handshake(uint64_t attempt, Node& from, Node& to, env::Address address) {
  if (!to.powered()) return;
  Link& l = link(from.id(), to.id());
  const auto it = listeners_.find({to.id(), address.port});
  const bool refused = l.refuse_next > 0;
  if (refused) {
    --l.refuse_next;
    sim_.count("fault.refused_connection");
  }
  if (refused || it == listeners_.end()) {
    send(to.id(), from.id(), 0, [this, attempt, address] {
      finish_attempt(attempt, fail(Errc::connection_refused, address.to_string()));
    });
    return;
  }
  SimListener& listener = *it->second;
  const uint64_t id = next_id_++;
  auto connection = std::make_shared<Connection>(*this, id);
  connections_.emplace(id, connection);
  // The client's end belongs to nobody until the answer is there.
  Connection::End& client = connection->end(Connection::client);
  client.node = &from;
  client.state = Connection::State::connecting;
  Connection::End& server = connection->end(Connection::server);
  server.node = &to;
  server.life = &listener.life();
  const auto port = static_cast<uint16_t>(20000 + id % 20000);
  listener.accept(connection, env::Address{from.host(), port});
  send(to.id(), from.id(), 0, [this, attempt, connection, address = std::move(address)] {
    const auto found = attempts_.find(attempt);
    if (found == attempts_.end()) {
      connection->send_reset(Connection::client);
      connection->end(Connection::client).state = Connection::State::closed;
      return;
    }
    connection->establish(*found->second.life);
    finish_attempt(attempt, std::make_unique<SimStream>(connection, Connection::client, address));
  });
}

void SimNetwork::finish_attempt(uint64_t id, Result<std::unique_ptr<env::Stream>> result) {
  const auto it = attempts_.find(id);
  if (it == attempts_.end()) return;
  Attempt attempt = std::move(it->second);
  attempts_.erase(it);
  sim_.cancel(attempt.timeout);
  attempt.life->arrive([done = std::move(attempt.done), result = std::move(result)]() mutable {
    done(std::move(result));
  });
}

}  // namespace bascule::sim

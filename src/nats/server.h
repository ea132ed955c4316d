// The embedded NATS server of one broker: NATS clients connect to the broker itself.
//
//   env::Network → Connection ⇄ Router → Connection → env::Network
//                      └→ Recorder → broker::Api
//
// It owns the listener, the connections and the router; it hands every message to the recorder and sends
// the recorder's answers as a publisher of its own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/env/world.h"
#include "src/nats/connection.h"
#include "src/nats/options.h"
#include "src/nats/recorder.h"
#include "src/nats/router.h"

namespace bascule::nats {

class Server final : private Hub, private Recorder::Host {
 public:
  // `recorder` outlives the server, and is attached to it. Seeds and ids are drawn from `world.random`.
  Server(env::World world, ServerOptions options, Recorder& recorder);
  ~Server() override;

  // Listens. Errors: as env::Network::listen; `invalid` for options that exclude each other.
  void start(env::Done<void> done);
  // Where it listens, with the port picked. Once started.
  const env::Address& address() const;

  // Ends in good order: no new clients, no new messages, clients are told; completes when what was
  // recorded has its outcome, its answers and everything pending were sent or `timeout` is over, and the
  // connections are closed.
  void stop(Duration timeout, env::Done<void> done);

  // Subscriptions that could get some message on a subject of `filter`: where a stream that answers
  // publishers is created, they may be services that answer there too.
  size_t interest_on(std::string_view filter) const { return router_.interest_on(filter); }

  // What to tell the creator of a stream: that clients are subscribed now where it will answer publishers.
  std::vector<std::string> creation_warnings(const model::StreamConfig& config) const;

  const ServerStats& statistics() const { return stats_; }
  std::string_view id() const { return id_; }

 private:
  // Hub
  const ServerOptions& options() const override { return options_; }
  Router& router() override { return router_; }
  ServerStats& stats() override { return stats_; }
  std::string info_json(const Connection& connection) const override;
  bool may_connect(const ConnectOptions& connect) const override;
  bool may_subscribe() const override;
  Published publish(Connection& from, const Message& message) override;
  void wants_flush(Connection& connection) override;
  size_t& pending_bytes_total() override { return pending_bytes_total_; }
  void closed(Connection& connection) override;

  // Recorder::Host
  void answer(std::string_view subject, std::string_view payload) override;
  void resume(ConnectionId publisher) override;

  void accept(std::unique_ptr<env::Stream> stream);
  void flush_all();
  void wake_at_turn_end();
  void destroy_closed();
  void close_all();
  void stopped();

  env::World world_;
  ServerOptions options_;
  Recorder& recorder_;
  std::string id_;
  ServerStats stats_;
  size_t pending_bytes_total_ = 0;
  Router router_;
  std::unique_ptr<env::Listener> listener_;
  ConnectionId last_id_;
  std::map<ConnectionId, std::unique_ptr<Connection>> connections_;  // go before the router
  std::vector<ConnectionId> to_flush_;
  std::vector<ConnectionId> to_destroy_;
  bool wake_pending_ = false;
  bool stopping_ = false;
  env::TimerId stop_timer_;
  env::Done<void> stop_done_;
  env::Scope scope_;
};

}  // namespace bascule::nats

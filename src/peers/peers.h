// The connections of one broker to all others: three streams to each (types.h), kept up by themselves.
//
//   owner ── send, request, notify ──▶ Peers ──▶ Connection ⇄ env::Network ⇄ Connection ──▶ Peers ──▶ handlers
//
// Either side of a pair dials where it knows an address; the side with the lower node id decides which of
// two crossing connections stays (links.cc). The control channel comes first, the other two once it is up.
//
// What it promises: frames of one channel arrive in the order of sending, each at most once, and only from
// a broker that has proven itself; what was sent and not received when a connection ends is lost. It
// retries nothing but connecting.
//
// Split: peers.cc (life, settings, status), links.cc (which connection stays, who may be), dial.cc (calling
// others, and the verdict that a process is gone), calls.cc (frames, Raft messages, requests).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/env/world.h"
#include "src/peers/connection.h"
#include "src/peers/options.h"
#include "src/peers/peer_codec.h"
#include "src/peers/record.h"

namespace bascule::peers {

// What the owner is told, in turns of the loop. It may call Peers from inside, except for destroying it.
class PeersObserver {
 public:
  virtual ~PeersObserver() = default;

  // A channel can be sent on. A channel that is `opened` again without `lost` was replaced: what was in
  // flight on it may be lost.
  virtual void opened(const Identity& peer, Channel channel) = 0;
  virtual void lost(const Identity& peer, Channel channel, const Error& why) = 0;
  // The process is no more: its connections have ended and its host refuses connections. Said once of an
  // incarnation. An unreachable or silent host is never this.
  virtual void process_gone(NodeId node, Incarnation incarnation) = 0;
  // After `overloaded`: the queue is half empty.
  virtual void writable(NodeId node, Channel channel) = 0;
  virtual void raft_message(raft::Message message) = 0;
  // Another broker refuses this one, at each attempt. RefusalReason::clone: another process has this
  // broker's identity and is alive: end the process. dead_life: likewise, later than this one.
  // earlier_life_connected: clone, if it does not end within a session timeout.
  virtual void refused(const Refusal& refusal) = 0;
  // This broker refuses another.
  virtual void refusing(const Identity& other, const Refusal& refusal) = 0;
  // This broker did not know its cluster, and has heard it from one that proved itself.
  virtual void cluster_learned(const Uuid& cluster) = 0;
};

struct ChannelStatus {
  Channel channel = Channel::control;
  bool open = false;
  Duration since;   // how long it is open
  env::Address at;  // the stream's other end
  size_t queued_bytes = 0;
  ConnectionStats stats;
};

struct PeerStatus {
  NodeId node;
  std::optional<Identity> identity;
  std::optional<env::Address> address;
  bool connected = false;  // control
  std::string last_error;  // of the last connection that ended or could not be; empty: none
  std::array<ChannelStatus, k_channels> channels;
};

struct PeersStats {
  uint64_t connections_accepted = 0;
  uint64_t connections_dropped = 0;  // too many were not authenticated
  uint64_t refusals_sent = 0;
  uint64_t refusals_received = 0;
  uint64_t corrupt = 0;           // connections ended by what came
  uint64_t not_secured = 0;       // connections without an agreement on TLS
  uint64_t foreign_messages = 0;  // Raft messages of somebody else than the connection's broker
  uint64_t notices_dropped = 0;   // of a kind that nobody handles
  uint64_t answers_late = 0;      // to requests that had timed out
};

class Peers final : private ConnectionHost {
 public:
  using RequestHandler =
      std::move_only_function<void(const Identity& from, Request request, env::Done<Reply> answer)>;
  using NoticeHandler = std::move_only_function<void(const Identity& from, Notice notice)>;

  // All references outlive it. `self.identity.address` with port 0 becomes the port that is listened on.
  Peers(env::World world, PeersOptions options, Self self, const PeerCodec& codec,
        Authenticator& authenticator, PeersObserver& observer);
  ~Peers() override;

  // Listens, then calls whom it knows. Errors: as env::Network::listen.
  void start(env::Done<void> done);
  // Once started.
  const env::Address& address() const;
  // Ends all connections; requests without an answer get `stopping`. Nothing is called after `done`.
  void stop(env::Done<void> done);

  // --- Whom to call -------------------------------------------------------------------------------
  // Addresses without a node id: the first k_seeds_max.
  void set_seeds(std::vector<env::Address> seeds);
  // Where `node` is; a handshake with it may tell a newer address. `too_large`: too many are known.
  Status set_address(NodeId node, env::Address address);
  // Ends its connections and calls it no more. It may call again: who must not is refused by others' word.
  void forget(NodeId node);
  // Earlier incarnations of this storage are refused from now on (from the metadata table).
  void note_incarnation(NodeId node, Uuid storage, Incarnation incarnation);
  // Ends connections to who does not belong to it.
  void set_cluster(Uuid cluster);
  void set_feature_level(uint32_t level) { self_.feature_level = level; }
  const Self& self() const { return self_; }

  // --- Sending ------------------------------------------------------------------------------------
  // Success: it is in the queue, no more. Errors, all definite: `connection_refused` (not connected; try
  // again once `opened`), `overloaded` (`writable` follows), `too_large`.
  Status send(NodeId node, Channel channel, const Frame& frame);
  // On control; chunks of snapshots on bulk. Whoever sends may drop it on any error.
  Status send(const raft::Message& message);
  Status notify(NodeId node, Channel channel, Notice notice);
  // Errors beside those of `send`, and what the handler answers: `connection_lost`, `deadline_exceeded`:
  // it may have been acted on; `unsupported`: nobody there handles the kind.
  void request(NodeId node, Channel channel, Request request, Duration timeout,
               env::Done<Reply> done);

  // --- Receiving ----------------------------------------------------------------------------------
  // One per kind, set before `start`. `answer` is called once, at any time; after the connection's end it
  // does nothing.
  void handle_requests(uint16_t kind, RequestHandler handler);
  void handle_notices(uint16_t kind, NoticeHandler handler);

  // --- Looking ------------------------------------------------------------------------------------
  bool connected(NodeId node, Channel channel) const;
  std::vector<PeerStatus> status() const;  // by node id
  const PeersStats& stats() const { return stats_; }
  void check_invariants() const;

 private:
  struct PendingRequest {
    NodeId node;
    uint64_t connection = 0;
    env::Done<Reply> done;
    env::TimerId timer;
  };
  struct Held {
    uint64_t connection = 0;
    uint64_t link = 0;
  };

  // --- ConnectionHost
  std::expected<Claim, Refusal> claim(Connection& connection, const Established& found, Side side,
                                      const Proof& proof) override;
  void opened(Connection& connection) override;
  void received(Connection& connection, Frame frame) override;
  void refused(Connection& connection, const Refusal& refusal, bool by_us) override;
  void closed(Connection& connection, CloseCause cause, const Error& why) override;
  void writable(Connection& connection) override;

  // --- peers.cc
  Peer* find(NodeId node);
  const Peer* find(NodeId node) const;
  Connection& add_connection(std::unique_ptr<env::Stream> stream, Connection::Plan plan);
  void accept(std::unique_ptr<env::Stream> stream);
  void tick();
  // Takes the connection out of all records, and destroys it in a later turn.
  void retire(Connection& connection);
  void lose(Connection& connection, CloseCause cause, const Error& why);
  void learn_cluster(const Uuid& cluster);
  void end_other_clusters();

  // --- links.cc
  Refusal refusal(RefusalReason reason, std::string text) const;
  std::optional<Refusal> judge_life(const Identity& other);
  bool holds(const Peer* peer, NodeId node, Channel channel, uint64_t& link) const;
  void remember_life(Peer& peer, const Identity& other);
  void mark_itself(const Connection& connection);
  bool is_news(const Connection& connection, std::string_view trouble);
  std::string name_of(const Connection& connection) const;

  // --- dial.cc
  Dial* dial_of(const Target& target);
  bool wanted(const Target& target) const;
  const env::Address* address_of(const Target& target) const;
  void dial_after(const Target& target, Duration delay);
  void dial_all(Peer& peer);
  void dial_again(const Target& target);
  void attempt(const Target& target);
  void attempted(const Target& target, uint64_t number,
                 Result<std::unique_ptr<env::Stream>> result);
  void stop_dialing(Dial& dial);
  void note_refused_connect(Peer& peer);
  Duration next_delay(Dial& dial);

  // --- calls.cc
  Connection* open_connection(NodeId node, Channel channel, Status& why_not);
  Status send_on(Connection& connection, const Frame& frame, Connection::Bound bound);
  void on_call(Connection& connection, Frame frame);
  void on_request(Connection& connection, const RequestHead& head, Frame frame);
  void on_response(Connection& connection, ResponseHead head, Frame frame);
  void answer(uint64_t connection, uint64_t id, Result<Reply> reply);
  void finish_request(uint64_t id, Result<Reply> result);
  void fail_requests(uint64_t connection, const Error& why);
  void end_corrupt(Connection& connection, const Error& why);

  env::World world_;
  PeersOptions options_;
  Self self_;
  const PeerCodec& codec_;
  Authenticator& authenticator_;
  PeersObserver& observer_;
  PeersStats stats_;
  bool started_ = false;
  bool stopping_ = false;

  std::unique_ptr<env::Listener> listener_;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;  // all that are not retired
  std::map<uint64_t, Target> dialed_;  // connections that we called, until they are open or over
  std::vector<std::unique_ptr<Connection>> retired_;
  std::map<NodeId, Peer> peers_;
  std::vector<Seed> seeds_;
  // Our word given as dialer with the lower node id, until the welcome.
  std::map<std::pair<NodeId, Channel>, Held> promised_;
  // Trouble of who called us, and when it was told last: (caller, what).
  std::map<std::pair<std::string, std::string>, MonotonicTime> told_;
  uint64_t next_connection_ = 1;
  uint64_t next_attempt_ = 1;
  uint64_t next_link_ = 1;  // of this process life, for all peers

  std::map<uint16_t, RequestHandler> request_handlers_;
  std::map<uint16_t, NoticeHandler> notice_handlers_;
  std::map<uint64_t, PendingRequest> requests_;
  uint64_t next_request_ = 1;

  env::TimerId tick_timer_;
  env::Scope scope_;
};

}  // namespace bascule::peers

// One connection of the simulated network: two ends, each with what it sends and what has come.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "sim/world/life.h"
#include "sim/world/network.h"

namespace bascule::sim {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(SimNetwork& network, uint64_t id) : network_(network), id_(id) {}

  enum Side : uint8_t { client = 0, server = 1 };
  static Side other(Side side) { return side == client ? server : client; }

  // How an end stands with its process.
  enum class State : uint8_t {
    connecting,  // the client's, until the answer is there: bytes that overtake it wait
    open,
    closed,  // destroyed by its process, or the process died: bytes that come are answered by a reset
    vanished  // its machine lost power: as closed once the machine is up again, silent before
  };

  struct Out {
    std::vector<Slice> pieces;
    size_t piece = 0;
    size_t offset = 0;
    env::Done<void> done;
  };
  struct Packet {
    Slice bytes;
    bool fin = false;
  };
  struct End {
    Node* node = nullptr;
    Life* life = nullptr;  // null unless open
    State state = State::open;
    bool broken = false;
    // Sending.
    std::deque<Out> out;
    size_t queued_bytes = 0;
    bool shutdown = false;
    bool fin_sent = false;
    bool pump_scheduled = false;
    uint64_t next_sent = 0;  // number of the next packet
    SimTime last_departure;  // packets leave one after the other
    // Receiving.
    std::map<uint64_t, Packet> out_of_order;
    uint64_t next_delivered = 0;
    std::deque<Slice> received;
    size_t received_bytes = 0;
    bool fin_received = false;
    size_t on_the_way = 0;  // bytes sent to this end and not yet delivered
    MutableBytes into;
    env::Done<size_t> read_done;
  };

  End& end(Side side) { return ends_[side]; }
  void write(Side side, std::vector<Slice> pieces, env::Done<void> done);
  void read(Side side, MutableBytes into, env::Done<size_t> done);
  void shutdown(Side side);
  void abort(Side side);
  // The process lets go of its end: bytes handed over still go, then the end of the stream.
  void close(Side side, State state);
  // The end learns that the connection is no more: pending completions get `connection_lost`.
  void break_end(Side side);
  void send_reset(Side from);
  // The client's end has learnt of the connection.
  void establish(Life& life);
  bool between(NodeId a, NodeId b) const;

 private:
  void schedule_pump(Side side);
  void pump(Side side);
  Slice take(End& from, size_t bytes_max);
  void send_packet(Side side, Packet packet);
  void deliver(Side to, uint64_t number, Packet packet);
  void accept_in_order(End& end);
  void satisfy_read(Side side);
  template <class T>
  void complete(End& end, env::Done<T> done, Result<T> result);

  SimNetwork& network_;
  uint64_t id_;
  End ends_[2];
  uint64_t reads_ = 0;
};

class SimStream final : public env::Stream {
 public:
  SimStream(std::shared_ptr<Connection> connection, Connection::Side side, env::Address peer)
      : connection_(std::move(connection)), side_(side), peer_(std::move(peer)) {}
  ~SimStream() override { connection_->close(side_, Connection::State::closed); }

  void read(MutableBytes into, env::Done<size_t> done) override {
    connection_->read(side_, into, std::move(done));
  }
  void write(std::vector<Slice> pieces, env::Done<void> done) override {
    connection_->write(side_, std::move(pieces), std::move(done));
  }
  size_t queued_bytes() const override { return connection_->end(side_).queued_bytes; }
  void shutdown() override { connection_->shutdown(side_); }
  void abort() override { connection_->abort(side_); }
  const env::Address& peer() const override { return peer_; }

 private:
  std::shared_ptr<Connection> connection_;
  Connection::Side side_;
  env::Address peer_;
};

class SimListener final : public env::Listener {
 public:
  SimListener(SimNetwork& network, Life& life, SimNetwork::Key key, env::Address address,
              env::Network::Accept accept)
      : network_(network),
        life_(life),
        key_(key),
        address_(std::move(address)),
        accept_(std::make_shared<env::Network::Accept>(std::move(accept))) {
    network_.listeners_[key_] = this;
  }
  ~SimListener() override { stop(); }
  const env::Address& address() const override { return address_; }

  void stop();
  Life& life() { return life_; }
  void accept(std::shared_ptr<Connection> connection, env::Address peer);

 private:
  friend class SimNetwork;
  SimNetwork& network_;
  Life& life_;
  SimNetwork::Key key_;
  env::Address address_;
  std::shared_ptr<env::Network::Accept> accept_;  // null once stopped
};

}  // namespace bascule::sim

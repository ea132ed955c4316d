#include "sim/world/connection.h"

#include <algorithm>

namespace bascule::sim {

template <class T>
void Connection::complete(End& end, env::Done<T> done, Result<T> result) {
  // Dropped if the stream goes before its turn comes.
  auto self = shared_from_this();
  End* at = &end;
  end.life->arrive([self, at, done = std::move(done), result = std::move(result)]() mutable {
    if (at->state == State::open) done(std::move(result));
  });
}

void Connection::write(Side side, std::vector<Slice> pieces, env::Done<void> done) {
  End& e = ends_[side];
  if (e.state != State::open) return;
  if (e.broken || e.shutdown)
    return complete<void>(e, std::move(done), fail(Errc::connection_lost, "write"));
  for (const Slice& piece : pieces) e.queued_bytes += piece.size();
  e.out.push_back({std::move(pieces), 0, 0, std::move(done)});
  schedule_pump(side);
}

void Connection::read(Side side, MutableBytes into, env::Done<size_t> done) {
  End& e = ends_[side];
  if (e.state != State::open) return;
  REQUIRE(!e.read_done && !into.empty());
  if (e.broken) return complete<size_t>(e, std::move(done), fail(Errc::connection_lost, "read"));
  e.into = into;
  e.read_done = std::move(done);
  satisfy_read(side);
}

void Connection::shutdown(Side side) {
  ends_[side].shutdown = true;
  schedule_pump(side);
}

void Connection::abort(Side side) {
  if (ends_[side].broken) return;
  send_reset(side);
  break_end(side);
}

void Connection::close(Side side, State state) {
  End& e = ends_[side];
  if (e.state != State::open) return;
  Life* life = e.life;
  e.state = state;
  e.life = nullptr;
  if (life->dead()) {
    // We may be inside a turn of that life.
    if (e.read_done) life->bury([done = std::move(e.read_done)] { (void)done; });
    for (Out& out : e.out) life->bury([out = std::move(out)] { (void)out; });
  }
  const bool unread = e.received_bytes > 0;
  e.read_done = nullptr;
  e.out.clear();
  e.queued_bytes = 0;
  e.received.clear();
  e.received_bytes = 0;
  if (!e.broken && state == State::closed) {
    // As kernels do: a reset where bytes were left unread, else the end of the stream.
    if (unread) {
      send_reset(side);
    } else if (!e.fin_sent) {
      e.fin_sent = true;
      send_packet(side, {{}, true});
    }
  }
  if (ends_[other(side)].state != State::open) network_.forget(id_);
}

void Connection::break_end(Side side) {
  End& e = ends_[side];
  if (e.broken) return;
  e.broken = true;
  e.received.clear();
  e.received_bytes = 0;
  e.queued_bytes = 0;
  if (e.state != State::open) return;
  std::deque<Out> out = std::move(e.out);
  e.out.clear();
  if (e.read_done) {
    auto done = std::move(e.read_done);
    e.read_done = nullptr;
    complete<size_t>(e, std::move(done), fail(Errc::connection_lost, "reset"));
  }
  for (Out& write : out) {
    if (e.state != State::open) return;
    complete<void>(e, std::move(write.done), fail(Errc::connection_lost, "reset"));
  }
}

void Connection::send_reset(Side from) {
  auto self = shared_from_this();
  const Side to = other(from);
  network_.send(ends_[from].node->id(), ends_[to].node->id(), 0,
                [self, to] { self->break_end(to); });
}

bool Connection::between(NodeId a, NodeId b) const {
  const NodeId x = ends_[0].node->id();
  const NodeId y = ends_[1].node->id();
  return (x == a && y == b) || (x == b && y == a);
}

void Connection::schedule_pump(Side side) {
  End& e = ends_[side];
  if (e.pump_scheduled) return;
  e.pump_scheduled = true;
  auto self = shared_from_this();
  // Not at once: what is written in one turn leaves together.
  network_.sim_.at(network_.sim_.now(), e.node->source(), [self, side] {
    self->ends_[side].pump_scheduled = false;
    self->pump(side);
  });
}

Slice Connection::take(End& from, size_t bytes_max) {
  const size_t size = std::min(bytes_max, from.queued_bytes);
  BufferRef packet = BufferRef::allocate(size);
  uint8_t* to = packet.mutable_bytes().data();
  size_t left = size;
  while (left > 0) {
    Out& out = from.out.front();
    while (out.piece < out.pieces.size() && left > 0) {
      const Slice& piece = out.pieces[out.piece];
      const size_t step = std::min(left, piece.size() - out.offset);
      if (step > 0) std::memcpy(to, piece.data() + out.offset, step);
      to += step;
      left -= step;
      out.offset += step;
      if (out.offset == piece.size()) {
        ++out.piece;
        out.offset = 0;
      }
    }
    if (out.piece < out.pieces.size()) break;
    env::Done<void> done = std::move(out.done);
    from.out.pop_front();
    complete<void>(from, std::move(done), {});
    if (from.state != State::open) break;
  }
  from.queued_bytes -= std::min(from.queued_bytes, size);
  return packet;
}

void Connection::pump(Side side) {
  End& e = ends_[side];
  End& peer = ends_[other(side)];
  const NetworkOptions& options = network_.options_;
  while (e.state == State::open && !e.broken && !e.out.empty()) {
    const size_t unread = peer.on_the_way + peer.received_bytes;
    if (e.queued_bytes == 0) {
      // Nothing but empty writes.
      env::Done<void> done = std::move(e.out.front().done);
      e.out.pop_front();
      complete<void>(e, std::move(done), {});
      continue;
    }
    if (unread >= options.window_bytes) return;
    const size_t room = std::min(options.window_bytes - unread, options.packet_bytes_max);
    send_packet(side, {take(e, room), false});
  }
  if (e.state == State::open && e.out.empty() && e.shutdown && !e.fin_sent && !e.broken) {
    e.fin_sent = true;
    send_packet(side, {{}, true});
  }
}

void Connection::send_packet(Side side, Packet packet) {
  End& from = ends_[side];
  const Side to = other(side);
  const uint64_t number = from.next_sent++;
  ends_[to].on_the_way += packet.bytes.size();
  auto self = shared_from_this();
  const size_t size = packet.bytes.size();
  network_.send(from.node->id(), ends_[to].node->id(), size,
                [self, to, number, packet = std::move(packet)]() mutable {
                  self->deliver(to, number, std::move(packet));
                });
}

void Connection::deliver(Side to, uint64_t number, Packet packet) {
  End& e = ends_[to];
  if (e.state == State::closed || e.state == State::vanished) {
    // A closed end answers bytes with a reset, a machine without power with nothing.
    if (!packet.bytes.empty() && (e.state == State::closed || e.node->powered())) send_reset(to);
    return;
  }
  if (e.broken) return;
  Link& link = network_.link(ends_[other(to)].node->id(), e.node->id());
  network_.sim_.trace().add_bytes(packet.bytes);
  if (link.corrupt_next > 0 && !packet.bytes.empty()) {
    --link.corrupt_next;
    network_.sim_.count("fault.corrupted_bytes");
    BufferRef copy = BufferRef::copy_of(packet.bytes);
    const uint64_t pick =
        draw(network_.sim_.seed(), {Domain::net_fault, link.entity, link.packets});
    copy.mutable_bytes()[pick % copy.size()] ^= static_cast<uint8_t>(1u << (pick >> 60) % 8);
    packet.bytes = copy;
  }
  e.out_of_order.emplace(number, std::move(packet));
  if (e.state == State::connecting) return;
  accept_in_order(e);
  satisfy_read(to);
}

void Connection::accept_in_order(End& e) {
  while (!e.out_of_order.empty() && e.out_of_order.begin()->first == e.next_delivered) {
    Packet next = std::move(e.out_of_order.begin()->second);
    e.out_of_order.erase(e.out_of_order.begin());
    ++e.next_delivered;
    e.on_the_way -= next.bytes.size();
    if (next.fin) e.fin_received = true;
    if (!next.bytes.empty()) {
      e.received_bytes += next.bytes.size();
      e.received.push_back(std::move(next.bytes));
    }
  }
}

void Connection::establish(Life& life) {
  End& e = ends_[client];
  e.state = State::open;
  e.life = &life;
  accept_in_order(e);
}

void Connection::satisfy_read(Side side) {
  End& e = ends_[side];
  if (!e.read_done || (e.received_bytes == 0 && !e.fin_received)) return;
  size_t size = std::min(e.into.size(), e.received_bytes);
  const NetworkOptions& options = network_.options_;
  const Address at{Domain::net_split, id_ * 2 + side, reads_++};
  const uint64_t roll = draw(network_.sim_.seed(), at);
  if (size > 1 && roll % 1000 < options.split_permille) size = 1 + (roll >> 20) % size;
  size_t copied = 0;
  while (copied < size) {
    Slice& front = e.received.front();
    const size_t step = std::min(size - copied, front.size());
    std::memcpy(e.into.data() + copied, front.data(), step);
    copied += step;
    if (step == front.size()) {
      e.received.pop_front();
    } else {
      front = front.sub(step, front.size() - step);
    }
  }
  e.received_bytes -= size;
  auto done = std::move(e.read_done);
  e.read_done = nullptr;
  complete<size_t>(e, std::move(done), size);
  // The window has opened.
  if (!ends_[other(side)].out.empty()) schedule_pump(other(side));
}

void SimListener::stop() {
  if (!accept_) return;
  accept_ = nullptr;
  const auto it = network_.listeners_.find(key_);
  if (it != network_.listeners_.end() && it->second == this) network_.listeners_.erase(it);
}

void SimListener::accept(std::shared_ptr<Connection> connection, env::Address peer) {
  // The kernel has accepted; the process learns it in its next turn, if it listens still then.
  life_.arrive(
      [weak = std::weak_ptr(accept_), connection = std::move(connection), peer = std::move(peer)] {
        auto stream = std::make_unique<SimStream>(connection, Connection::server, peer);
        if (const auto accept = weak.lock()) (*accept)(std::move(stream));
      });
}

}  // namespace bascule::sim

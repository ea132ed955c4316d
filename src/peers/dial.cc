// Calling others: the control channel of each known node and of each seed, then the other two channels;
// with a jittered, doubling pause between attempts. And the verdict that a process is gone.
#include <algorithm>

#include "src/peers/peers.h"

namespace bascule::peers {

Dial* Peers::dial_of(const Target& target) {
  if (!target.node) return target.seed < seeds_.size() ? &seeds_[target.seed].dial : nullptr;
  Peer* peer = find(target.node);
  return peer == nullptr ? nullptr : &peer->slots[slot_of(target.channel)].dial;
}

const env::Address* Peers::address_of(const Target& target) const {
  if (!target.node) return target.seed < seeds_.size() ? &seeds_[target.seed].address : nullptr;
  const Peer* peer = find(target.node);
  return peer == nullptr || !peer->address ? nullptr : &*peer->address;
}

bool Peers::wanted(const Target& target) const {
  if (!started_ || stopping_ || address_of(target) == nullptr) return false;
  if (target.node) {
    const Peer& peer = *find(target.node);
    if (peer.slots[slot_of(target.channel)].open != nullptr) return false;
    return target.channel == Channel::control ||
           peer.slots[slot_of(Channel::control)].open != nullptr;
  }
  const Seed& seed = seeds_[target.seed];
  if (seed.itself) return false;
  const Peer* peer = find(seed.node);
  // Whoever is known is called by its own address, unless the seed says another one.
  if (peer == nullptr) return true;
  return peer->slots[slot_of(Channel::control)].open == nullptr && peer->address != seed.address;
}

Duration Peers::next_delay(Dial& dial) {
  const Duration whole = std::clamp(dial.backoff * 2, options_.backoff_min, options_.backoff_max);
  dial.backoff = whole;
  return world_.random.between(whole / 2, whole);
}

void Peers::dial_after(const Target& target, Duration delay) {
  Dial* dial = dial_of(target);
  if (dial == nullptr || !dial->idle() || !wanted(target)) return;
  dial->timer = world_.loop.after(delay, scope_.wrap([this, target] {
    if (Dial* due = dial_of(target)) {
      due->timer = {};
      attempt(target);
    }
  }));
}

// Calls for the channels that are missing. The side with the higher node id lets the other one go first,
// except where it matters whether a process is there.
void Peers::dial_all(Peer& peer) {
  for (const Channel channel : all_channels()) {
    const Target target{peer.node, 0, channel};
    Dial& dial = peer.slots[slot_of(channel)].dial;
    if (!dial.idle() || !wanted(target)) continue;
    const bool at_once =
        dial.backoff == Duration{} && (self_.identity.node < peer.node || peer.ended);
    // The next pause grows until a connection has lasted; `attempted` and `lose` come by here.
    const Duration delay = next_delay(dial);
    dial_after(target, at_once ? Duration{} : delay);
  }
}

void Peers::dial_again(const Target& target) {
  Dial* dial = dial_of(target);
  if (dial == nullptr || !dial->idle() || !wanted(target)) return;
  dial_after(target, next_delay(*dial));
}

void Peers::stop_dialing(Dial& dial) {
  world_.loop.cancel(dial.timer);
  dial.timer = {};
  // The attempt's completion finds another number, and lets its stream go.
  dial.attempt = 0;
}

void Peers::attempt(const Target& target) {
  Dial* dial = dial_of(target);
  if (dial == nullptr || !dial->idle() || !wanted(target)) return;
  const uint64_t number = next_attempt_++;
  dial->attempt = number;
  world_.network.connect(*address_of(target), options_.connect_timeout,
                         scope_.wrap([this, target, number](auto result) {
                           attempted(target, number, std::move(result));
                         }));
}

void Peers::attempted(const Target& target, uint64_t number,
                      Result<std::unique_ptr<env::Stream>> result) {
  Dial* dial = dial_of(target);
  if (dial == nullptr || dial->attempt != number) return;
  dial->attempt = 0;
  Peer* peer = target.node ? find(target.node) : nullptr;
  if (!result) {
    if (peer != nullptr) peer->last_error = result.error().to_string();
    const bool refused = result.error().code == Errc::connection_refused;
    if (peer != nullptr && target.channel == Channel::control && peer->ended && refused)
      return note_refused_connect(*peer);
    if (peer != nullptr && !refused) peer->refused_at.reset();
    return dial_again(target);
  }
  // Somebody is there.
  if (peer != nullptr) peer->refused_at.reset();
  if (!wanted(target)) return;
  Connection& connection =
      add_connection(*std::move(result), {Side::dialer, target.channel, target.node});
  dial->connection = connection.id();
  dialed_[connection.id()] = target;
  connection.start();
}

// The host of a broker whose connections have ended refuses another one: twice, some time apart, with
// nothing heard since, and its process is gone.
void Peers::note_refused_connect(Peer& peer) {
  const Target target{peer.node, 0, Channel::control};
  const MonotonicTime now = world_.loop.now();
  if (!peer.refused_at) {
    peer.refused_at = now;
    return dial_after(target, options_.refused_interval);
  }
  if (const Duration passed = now - *peer.refused_at; passed < options_.refused_interval)
    return dial_after(target, options_.refused_interval - passed);
  peer.ended = false;
  peer.refused_at.reset();
  const Identity gone = *peer.identity;
  world_.trace.message(TraceLevel::warning, "peers",
                       "the process of " + gone.to_string() +
                           " is gone: its connections have ended and "
                           "its host refuses others");
  dial_again(target);
  observer_.process_gone(gone.node, gone.incarnation);
}

}  // namespace bascule::peers

// Which connection stays, and who may be connected at all.
//
// *Links.* Each connection of a pair and channel has a number, its link, that the side with the lower node
// id gives; numbers rise. That side is the only one that decides: it gives its word for one connection at a
// time, and refuses another one of the same channel (`crossing`) as long as it holds one, or has promised
// one, that the other side may still believe in. The other side tells with its proof the last link that it
// has seen open. If that is the one held here, it has lost it and the new one takes its place; if it is an
// earlier one, its call has crossed ours. The side with the higher id takes what comes with a greater link,
// in whatever order that reaches it, and drops the smaller. So two calls that cross end in one connection,
// and a half-dead connection is replaced by whichever side notices first.
//
// *Lives.* A later incarnation of a storage ends all earlier ones for ever. While an earlier life still has
// its connections the later one waits (after a crash of the process they end at once, after one of the
// machine at the first ping; those of the original of a copied directory never do). Another storage, or the
// same incarnation in another process, is a clone.
#include <algorithm>
#include <utility>

#include "src/peers/peers.h"

namespace bascule::peers {

namespace {

constexpr size_t k_lives_max = 16;  // storages that are remembered of one node
// The same trouble of the same caller is told this often, and of so many callers at most.
constexpr Duration k_tell_again = seconds(10);
constexpr size_t k_told_max = 256;

}  // namespace

Refusal Peers::refusal(RefusalReason reason, std::string text) const {
  return {reason, std::move(text), self_.identity.node, self_.cluster};
}

std::expected<Claim, Refusal> Peers::claim(Connection& connection, const Established& found,
                                           Side side, const Proof& proof) {
  const Identity& other = found.other;
  if (stopping_)
    return std::unexpected(refusal(RefusalReason::stopping, "this broker is stopping"));
  if (other.same_life(self_.identity)) {
    mark_itself(connection);
    return std::unexpected(refusal(RefusalReason::itself, "a broker has called itself"));
  }
  if (auto bad = judge_life(other)) return std::unexpected(*std::move(bad));
  Peer* peer = find(other.node);
  if (peer == nullptr && peers_.size() >= k_peers_max)
    return std::unexpected(refusal(RefusalReason::full, "this broker knows too many others"));

  const Slot* slot = peer == nullptr ? nullptr : &peer->slots[slot_of(found.channel)];
  const bool this_life = peer != nullptr && peer->identity && peer->identity->same_life(other);
  const uint64_t last_link = this_life ? slot->last_link : 0;
  const bool lower = self_.identity.node < other.node;
  uint64_t held = 0;
  const bool holding = holds(peer, other.node, found.channel, held);
  const auto crossing = [&] {
    return std::unexpected(
        refusal(RefusalReason::crossing, "another connection of this channel stays"));
  };
  if (side == Side::dialer) {
    if (holding) return crossing();
    if (!lower) return Claim{0, last_link};
    const uint64_t link = next_link_++;
    promised_[{other.node, found.channel}] = {connection.id(), link};
    return Claim{link, last_link};
  }
  if (lower) {
    if (holding && proof.last_link < held) return crossing();
    return Claim{next_link_++, last_link};
  }
  if (proof.link == 0)
    return std::unexpected(refusal(RefusalReason::malformed, "a proof without a link"));
  if (proof.link <= last_link) return crossing();
  return Claim{proof.link, last_link};
}

bool Peers::holds(const Peer* peer, NodeId node, Channel channel, uint64_t& link) const {
  if (const auto it = promised_.find({node, channel}); it != promised_.end()) {
    link = it->second.link;
    return true;
  }
  if (peer == nullptr) return false;
  const Connection* open = peer->slots[slot_of(channel)].open;
  if (open == nullptr) return false;
  link = open->found().link;
  return true;
}

std::optional<Refusal> Peers::judge_life(const Identity& other) {
  const Identity& self = self_.identity;
  if (other.node == self.node) {
    // The later life is the newcomer, and of two that are equal the one that asks.
    const bool ours_is_later =
        other.storage == self.storage && other.incarnation < self.incarnation;
    return refusal(ours_is_later ? RefusalReason::earlier_life_connected : RefusalReason::clone,
                   "this is node " + self.node.to_string() +
                       ", and it is alive: two processes have one identity");
  }
  Peer* peer = find(other.node);
  if (peer == nullptr) return std::nullopt;
  for (const auto& [storage, incarnation] : peer->lives) {
    if (storage == other.storage && other.incarnation < incarnation) {
      return refusal(RefusalReason::dead_life,
                     "a later life of this broker is known: incarnation " +
                         incarnation.to_string() + ", not " + other.incarnation.to_string());
    }
  }
  if (!peer->connected() || peer->identity->same_life(other)) return std::nullopt;
  if (peer->identity->storage != other.storage ||
      peer->identity->incarnation == other.incarnation) {
    return refusal(RefusalReason::clone, "another process is connected as " +
                                             peer->identity->to_string() +
                                             ": a copied data directory, or one node id twice");
  }
  // Whether it is still there shows soon: a host that has forgotten a connection resets it.
  for (Slot& slot : peer->slots) {
    if (slot.open != nullptr) slot.open->ping();
  }
  return refusal(RefusalReason::earlier_life_connected,
                 "incarnation " + peer->identity->incarnation.to_string() +
                     " of this broker is still connected");
}

void Peers::opened(Connection& connection) {
  const Established& found = connection.found();
  const Identity other = found.other;
  const Channel channel = found.channel;
  promised_.erase({other.node, channel});
  const auto dialed = dialed_.find(connection.id());
  const std::optional<Target> target =
      dialed == dialed_.end() ? std::nullopt : std::optional(dialed->second);

  // What may have changed while the dialer waited for its welcome.
  std::optional<Refusal> bad = judge_life(other);
  if (!bad && self_.cluster && found.other_cluster && self_.cluster != found.other_cluster) {
    bad = refusal(RefusalReason::another_cluster,
                  "this broker belongs to cluster " + self_.cluster.to_string());
  }
  Peer* peer = find(other.node);
  if (!bad && peer == nullptr && peers_.size() >= k_peers_max)
    bad = refusal(RefusalReason::full, "this broker knows too many others");
  if (bad) return connection.refuse(*std::move(bad));
  if (peer == nullptr) {
    peer = &peers_[other.node];
    peer->node = other.node;
  }
  if (!peer->identity || !peer->identity->same_life(other)) {
    for (Slot& slot : peer->slots) slot.last_link = 0;
    peer->identity = other;
    remember_life(*peer, other);
    world_.trace.message(TraceLevel::info, "peers", "connected to " + other.to_string());
  }
  Slot& slot = peer->slots[slot_of(channel)];
  if (found.link <= slot.last_link) {
    return connection.refuse(
        refusal(RefusalReason::crossing, "a later connection of this channel is open"));
  }
  Connection* const before = std::exchange(slot.open, &connection);
  slot.last_link = found.link;
  peer->ended = false;
  peer->refused_at.reset();
  if (!other.address.host.empty()) peer->address = other.address;
  if (target) {
    if (Dial* dial = dial_of(*target)) {
      dial->connection = 0;
      dial->told.clear();
    }
    if (!target->node && target->seed < seeds_.size()) {
      seeds_[target->seed].node = other.node;
      if (!peer->address) peer->address = seeds_[target->seed].address;
    }
    dialed_.erase(connection.id());
  }
  if (before != nullptr) {
    // Not lost: replaced. What waited for it on the old one is told.
    before->close();
    const uint64_t id = before->id();
    retire(*before);
    fail_requests(id, {Errc::connection_lost, "another connection took its place"});
  }
  dial_all(*peer);
  const uint64_t id = connection.id();
  if (!self_.cluster && found.other_cluster) learn_cluster(found.other_cluster);
  // The observer may have ended it.
  if (connections_.contains(id)) observer_.opened(other, channel);
}

void Peers::remember_life(Peer& peer, const Identity& other) {
  const auto it =
      std::ranges::find(peer.lives, other.storage, &std::pair<Uuid, Incarnation>::first);
  Incarnation latest = other.incarnation;
  if (it != peer.lives.end()) {
    latest = std::max(latest, it->second);
    peer.lives.erase(it);
  }
  peer.lives.emplace_back(other.storage, latest);
  if (peer.lives.size() > k_lives_max) peer.lives.erase(peer.lives.begin());
}

void Peers::mark_itself(const Connection& connection) {
  const auto it = dialed_.find(connection.id());
  if (it == dialed_.end() || it->second.node || it->second.seed >= seeds_.size()) return;
  seeds_[it->second.seed].itself = true;
}

std::string Peers::name_of(const Connection& connection) const {
  const Identity& other = connection.found().other;
  return (other.node ? other.to_string() + " at " : "") + connection.address().to_string();
}

// Whoever is in trouble calls again each second: the same is told once for a call of ours, and now and then
// of a host that calls us.
bool Peers::is_news(const Connection& connection, std::string_view trouble) {
  if (const auto dialed = dialed_.find(connection.id()); dialed != dialed_.end()) {
    Dial* dial = dial_of(dialed->second);
    return dial == nullptr || std::exchange(dial->told, std::string(trouble)) != trouble;
  }
  const MonotonicTime now = world_.loop.now();
  std::erase_if(told_, [&](const auto& entry) { return now - entry.second >= k_tell_again; });
  if (told_.size() >= k_told_max) return false;
  const std::string who = name_of(connection);
  return told_.try_emplace({who.substr(0, who.rfind(':')), std::string(trouble)}, now).second;
}

void Peers::refused(Connection& connection, const Refusal& refusal, bool by_us) {
  ++(by_us ? stats_.refusals_sent : stats_.refusals_received);
  // Two of a pair that call each other meet: nothing to tell anybody.
  bool tell = refusal.reason != RefusalReason::crossing && refusal.reason != RefusalReason::itself;
  const bool to_owner = tell;
  // A seed that turns out to be somebody who is connected already needs no further call.
  if (const auto dialed = dialed_.find(connection.id()); dialed != dialed_.end()) {
    const Target& target = dialed->second;
    if (refusal.reason == RefusalReason::crossing && !target.node && target.seed < seeds_.size())
      seeds_[target.seed].node = connection.found().other.node;
  }
  tell = tell && is_news(connection, refusal_name(refusal.reason));
  const std::string who = name_of(connection);
  if (tell) {
    world_.trace.message(TraceLevel::warning, "peers",
                         (by_us ? "refuses " + who : who + " refuses this broker") + ": " +
                             std::string(refusal_name(refusal.reason)) + ": " + refusal.text);
  }
  if (!to_owner) return;
  if (by_us)
    observer_.refusing(connection.found().other, refusal);
  else
    observer_.refused(refusal);
}

}  // namespace bascule::peers

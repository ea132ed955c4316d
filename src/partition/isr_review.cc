#include "src/partition/isr_review.h"

#include <algorithm>

namespace bascule::partition {
namespace {

bool holds_all(const ReplicaView& replica, const IsrFacts& facts,
               const FollowerSessions& sessions) {
  const FollowerSessions::Follower* f = sessions.find(replica.node);
  return f != nullptr && f->matched && f->incarnation == replica.incarnation &&
         counted_leo(f->progress, facts.durability) >= std::max(facts.hw, facts.epoch_start);
}

bool lags(const ReplicaView& replica, const IsrFacts& facts, const FollowerSessions& sessions) {
  const FollowerSessions::Follower* f = sessions.find(replica.node);
  return f == nullptr || facts.now - f->caught_up > facts.lag_max;
}

}  // namespace

std::vector<NodeId> IsrProposal::nodes() const {
  std::vector<NodeId> out;
  for (const ReplicaLife& life : set) out.push_back(life.node);
  return out;
}

std::optional<std::vector<ReplicaLife>> next_isr(const IsrFacts& facts,
                                                 const FollowerSessions& sessions) {
  const bool suspects_first = !cleared_suspects(facts, sessions).empty();
  std::vector<ReplicaLife> next;
  std::vector<NodeId> nodes;
  for (const ReplicaView& r : facts.replicas) {
    const bool member = std::ranges::binary_search(facts.isr, r.node);
    const bool stays = r.node == facts.self || suspects_first || !lags(r, facts, sessions);
    const bool joins =
        r.up && !r.barred && holds_all(r, facts, sessions) && !lags(r, facts, sessions);
    if (member ? stays : joins) next.push_back(r.life());
  }
  std::ranges::sort(next);
  for (const ReplicaLife& life : next) nodes.push_back(life.node);
  if (nodes == facts.isr) return std::nullopt;
  return next;
}

std::vector<ReplicaLife> cleared_suspects(const IsrFacts& facts, const FollowerSessions& sessions) {
  std::vector<ReplicaLife> out;
  for (const ReplicaView& r : facts.replicas) {
    if (r.suspect && r.up && r.node != facts.self && holds_all(r, facts, sessions))
      out.push_back(r.life());
  }
  return out;
}

}  // namespace bascule::partition

#include "src/broker/cluster_admin.h"

#include <algorithm>
#include <string>
#include <utility>

namespace bascule::broker {
namespace {

using Verb = controller::MembershipRequest::Verb;

constexpr Duration k_unregister_again = milliseconds(100);
constexpr Duration k_unregister_patience = seconds(10);

Verb verb_of(ClusterChange::Verb verb) {
  switch (verb) {
    case ClusterChange::Verb::add: return Verb::promote;
    case ClusterChange::Verb::remove: return Verb::remove;
    case ClusterChange::Verb::transfer: return Verb::transfer;
  }
  return Verb::promote;
}

}  // namespace

ClusterAdmin::ClusterAdmin(env::World& world, controller::Controller& controller)
    : world_(world), controller_(controller) {}

void ClusterAdmin::status(Done<ClusterStatus> done) {
  controller_.members(scope_.wrap(
      [this, done = std::move(done)](Result<controller::MembersAnswer> members) mutable {
        done(describe(members ? &*members : nullptr));
      }));
}

// Members of the metadata's group and registered brokers, joined by node. The table is this broker's copy:
// without a controller it may be old, and the status says that there is none.
ClusterStatus ClusterAdmin::describe(const controller::MembersAnswer* members) const {
  const controller::MetadataState& state = controller_.table().state();
  ClusterStatus out;
  out.cluster = controller_.identity().cluster;
  out.answered_by = controller_.identity().node;
  out.feature_level = state.feature_level;
  std::map<NodeId, MemberStatus> by_node;
  const auto add = [&](const raft::Member& m, bool voter) -> MemberStatus& {
    MemberStatus& s = by_node[m.id.node];
    s.node = m.id.node;
    s.storage = m.id.storage;
    s.peers = m.address;
    s.role = voter ? MemberRole::voter : MemberRole::learner;
    return s;
  };
  if (members != nullptr) {
    out.controller = members->leader;
    out.term = members->term;
    for (const controller::MemberProgress& p : members->members) {
      // A voter whose disk was replaced stands beside the learner that came in its place.
      if (const auto at = by_node.find(p.member.id.node); at != by_node.end() && !p.voter) continue;
      MemberStatus& s = add(p.member, p.voter);
      s.reachable = p.active;
      s.behind = members->commit > p.match ? members->commit.value - p.match.value : 0;
    }
  } else {
    const raft::Configuration& known = controller_.log().driver().machine().configuration();
    for (const raft::Member& m : known.all()) add(m, known.is_voter(m.id));
  }
  for (const auto& [node, broker] : state.brokers) {
    MemberStatus& s = by_node[node];
    s.node = node;
    s.storage = broker.storage;
    s.incarnation = broker.incarnation;
    s.host = broker.host;
    s.rpc = broker.endpoints.rpc;
    s.state = broker.fenced ? BrokerState::fenced : BrokerState::up;
  }
  for (auto& [node, s] : by_node) out.members.push_back(std::move(s));
  for (const auto& [id, stream] : state.streams) {
    for (const controller::PartitionEntry& p : stream.partitions) {
      ++out.partitions;
      if (!p.leader) ++out.partitions_offline;
    }
  }
  add_problems(out, members);
  return out;
}

void ClusterAdmin::add_problems(ClusterStatus& out,
                                const controller::MembersAnswer* members) const {
  if (members == nullptr) {
    out.problems.push_back(
        "no controller: a majority of the voters cannot talk to each other. Start those that are "
        "down; what cannot come back is what `bascule rescue` is for");
  } else if (members->joint) {
    out.problems.emplace_back("a change of the voters is under way");
  }
  for (const MemberStatus& s : out.members) {
    const std::string name = "node " + s.node.to_string();
    if (members != nullptr && s.role != MemberRole::none && !s.reachable)
      out.problems.push_back(name + (s.role == MemberRole::voter ? " (voter)" : "") +
                             " does not answer");
    if (s.state == BrokerState::fenced) out.problems.push_back(name + " is not serving");
    if (s.role == MemberRole::none)
      out.problems.push_back(name + " is registered and no member of the metadata's group");
  }
  if (out.partitions_offline > 0)
    out.problems.push_back(std::to_string(out.partitions_offline) + " partitions have no leader");
}

void ClusterAdmin::change(const ClusterChange& request, Done<void> done) {
  if (request.verb == ClusterChange::Verb::remove) {
    const uint64_t held = controller_.table().replicas_on(request.node);
    if (held > 0) {
      return world_.loop.post(scope_.wrap([request, held, done = std::move(done)]() mutable {
        done(fail(Errc::busy, "node " + request.node.to_string() + " holds " +
                                  std::to_string(held) + " replicas: delete or move them first"));
      }));
    }
  }
  controller_.change_members(
      {verb_of(request.verb), request.node, request.replaces},
      scope_.wrap([this, request, done = std::move(done)](Status changed) mutable {
        const bool gone = request.verb == ClusterChange::Verb::remove;
        // A member that is gone may be registered still: a removal that was cut short is finished.
        if (gone && (changed || changed.error().code == Errc::not_found))
          return unregister(request.node, world_.loop.now() + k_unregister_patience,
                            std::move(done));
        done(std::move(changed));
      }));
}

// One that is up until a moment ago is up for its session's time.
void ClusterAdmin::unregister(NodeId node, MonotonicTime until, Done<void> done) {
  const controller::BrokerEntry* broker = controller_.table().broker(node);
  if (broker == nullptr) {
    return world_.loop.post([done = std::move(done)]() mutable { done({}); });
  }
  controller_.propose(
      controller::UnregisterBroker{node, broker->incarnation},
      scope_.wrap(
          [this, node, until, done = std::move(done)](Result<controller::Outcome> outcome) mutable {
            if (outcome) return done({});
            if (outcome.error().code != Errc::busy || world_.loop.now() >= until)
              return done(fail(std::move(outcome.error())));
            world_.loop.after(k_unregister_again,
                              scope_.wrap([this, node, until, done = std::move(done)]() mutable {
                                unregister(node, until, std::move(done));
                              }));
          }));
}

}  // namespace bascule::broker

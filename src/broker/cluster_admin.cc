#include "src/broker/cluster_admin.h"

#include <algorithm>
#include <string>
#include <utility>

#include "src/model/units.h"

namespace bascule::broker {
namespace {

using Verb = controller::MembershipRequest::Verb;

// For a copy of the metadata as new as was asked; then the status tells how old it may be.
constexpr Duration k_status_patience = seconds(2);
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

ClusterAdmin::ClusterAdmin(env::World& world, controller::Controller& controller,
                           MetadataReads& reads)
    : world_(world), controller_(controller), reads_(reads) {}

void ClusterAdmin::status(MetadataRead read, Done<ClusterStatus> done) {
  controller_.members(scope_.wrap(
      [this, read, done = std::move(done)](Result<controller::MembersAnswer> members) mutable {
        if (!members) return done(describe(nullptr));
        read.deadline = std::min(read.deadline, world_.loop.now() + k_status_patience);
        reads_.when_fresh(read, scope_.wrap([this, members = std::move(*members),
                                             done = std::move(done)](const Status& fresh) mutable {
          // One that leads, and that no majority answers any more, is no controller.
          done(describe(fresh ? &members : nullptr));
        }));
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
      s.oldest_unsynced = p.oldest_unsynced;
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
    s.feature_least = broker.features.least;
    s.feature_most = broker.features.most;
    s.state = broker.fenced ? BrokerState::fenced : BrokerState::up;
  }
  for (auto& [node, s] : by_node) out.members.push_back(std::move(s));
  for (const auto& [id, stream] : state.streams) {
    for (const controller::PartitionEntry& p : stream.partitions) {
      ++out.partitions;
      if (!p.leader) ++out.partitions_offline;
    }
  }
  for (controller::SettingValue& setting : controller::all_settings(state.settings))
    out.settings.push_back({std::move(setting.name), std::move(setting.value), setting.by_default});
  out.as_of = reads_.as_of();
  add_problems(out, members);
  return out;
}

void ClusterAdmin::add_problems(ClusterStatus& out,
                                const controller::MembersAnswer* members) const {
  if (members == nullptr) {
    out.problems.push_back(no_majority());
  } else if (members->joint) {
    out.problems.emplace_back("a change of the voters is under way");
  }
  for (const MemberStatus& s : out.members) {
    const std::string name = "node " + s.node.to_string();
    if (members != nullptr && s.role != MemberRole::none && !s.reachable)
      out.problems.push_back(name + (s.role == MemberRole::voter ? " (voter)" : "") +
                             " does not answer");
    if (s.oldest_unsynced >= controller_.table().settings().unsynced_write_max)
      out.problems.push_back(name + ": a write to its disk has taken " +
                             model::format_duration(s.oldest_unsynced) + " and has not ended");
    if (s.state == BrokerState::fenced) out.problems.push_back(name + " is not serving");
    if (s.role == MemberRole::none)
      out.problems.push_back(name + " is registered and no member of the metadata's group");
  }
  if (out.partitions_offline > 0)
    out.problems.push_back(std::to_string(out.partitions_offline) + " partitions have no leader");
}

// What an operator needs who finds the cluster without a majority: who is missing, and what to do.
std::string ClusterAdmin::no_majority() const {
  const raft::Configuration& known = controller_.log().driver().machine().configuration();
  const controller::ClusterPeers* peers = controller_.cluster_peers();
  size_t reached = 0;
  std::string missing;
  for (const raft::Member& m : known.voters) {
    const bool self = m.id.node == controller_.identity().node;
    if (self ||
        (peers != nullptr && peers->peers().connected(m.id.node, peers::Channel::control))) {
      ++reached;
    } else {
      missing +=
          (missing.empty() ? "node " : ", node ") + m.id.node.to_string() + " at " + m.address;
    }
  }
  const size_t needed = known.voters.size() / 2 + 1;
  std::string out = "no controller: " + std::to_string(reached) + " of " +
                    std::to_string(known.voters.size()) + " voters can be reached from here, " +
                    std::to_string(needed) + " are needed";
  if (reached >= needed) return out + ": they are electing, or cannot reach each other";
  return out +
         ". Nothing of the metadata can be changed until then. Start those that are missing (" +
         missing + "). If too many of them are lost for good: docs/rescue.md, `bascule rescue`";
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

Result<controller::Command> ClusterAdmin::command_of(const ClusterDecision& decision) const {
  const controller::MetadataState& state = controller_.table().state();
  if (const auto* asked = std::get_if<FinalizeFeatureLevel>(&decision)) {
    uint32_t level = asked->level;
    if (level == 0) {
      level = controller::k_feature_level;
      for (const auto& [node, broker] : state.brokers)
        level = std::min(level, broker.features.most);
    }
    return controller::FinalizeFeatureLevel{level};
  }
  if (const auto* setting = std::get_if<SetSetting>(&decision))
    return controller::SetSetting{setting->name, setting->value};
  const Uuid storage = std::get<DeclareStorageLost>(decision).storage;
  for (const auto& [node, broker] : state.brokers) {
    if (broker.storage == storage && !broker.fenced)
      return fail(Errc::busy, "the storage is in use: node " + node.to_string() + " is up");
  }
  return controller::DeclareStorageLost{storage};
}

void ClusterAdmin::decide(const ClusterDecision& decision, Done<void> done) {
  auto command = command_of(decision);
  if (!command) {
    return world_.loop.post(
        scope_.wrap([error = std::move(command.error()), done = std::move(done)]() mutable {
          done(fail(std::move(error)));
        }));
  }
  controller_.propose(
      std::move(*command),
      scope_.wrap([done = std::move(done)](Result<controller::Outcome> outcome) mutable {
        if (!outcome) return done(fail(std::move(outcome.error())));
        done({});
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

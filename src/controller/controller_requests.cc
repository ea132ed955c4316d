// What other brokers ask of this one's controller.
#include <algorithm>
#include <string>
#include <utility>

#include "src/controller/controller.h"
#include "src/controller/founding.h"

namespace bascule::controller {
namespace {

constexpr Duration k_join_timeout = seconds(3);
constexpr Duration k_members_timeout = seconds(2);
constexpr Duration k_heartbeat_timeout = seconds(1);

std::unexpected<Error> no_controller() { return fail(Errc::not_leader, "no controller is known"); }

}  // namespace

void Controller::answer_peers() {
  peers_->listen_to(this);
  peers_->answer<FoundingQuery>(
      RequestKind::founding,
      [this](const peers::Identity&, const FoundingQuery& query, env::Done<PeerMessage> done) {
        auto answer = on_founding(query);
        if (!answer) return done(fail(std::move(answer.error())));
        done(PeerMessage(std::move(*answer)));
      });
  peers_->answer<JoinRequest>(
      RequestKind::join,
      [this](const peers::Identity& from, JoinRequest request, env::Done<PeerMessage> done) {
        // A broker asks for itself, or passes on what another has asked it.
        if (request.member.id.node == identity_.node)
          return done(fail(Errc::invalid, "node " + from.node.to_string() +
                                              " asks to join under this broker's number"));
        on_join(std::move(request), std::move(done));
      });
  peers_->answer<SessionHeartbeat>(
      RequestKind::heartbeat, [this](const peers::Identity& from, const SessionHeartbeat& question,
                                     env::Done<PeerMessage> done) {
        if (active_ == nullptr) return done(no_controller());
        const auto fenced = active_->heartbeat({.node = from.node,
                                                .incarnation = question.incarnation,
                                                .ready = question.ready,
                                                .oldest_unsynced = question.oldest_unsynced});
        if (!fenced) return done(fail(fenced.error()));
        done(PeerMessage(HeartbeatAnswer{*fenced}));
      });
  peers_->answer<MembersQuery>(
      RequestKind::members,
      [this](const peers::Identity&, const MembersQuery&, env::Done<PeerMessage> done) {
        if (log_ == nullptr || !log_->driver().leads()) return done(no_controller());
        done(PeerMessage(members_here()));
      });
  peers_->answer<MembershipRequest>(
      RequestKind::membership, [this](const peers::Identity&, const MembershipRequest& request,
                                      env::Done<PeerMessage> done) {
        if (log_ == nullptr || !log_->driver().leads()) return done(no_controller());
        change_members_here(request, [done = std::move(done)](Status changed) mutable {
          if (!changed) return done(fail(std::move(changed.error())));
          done(PeerMessage(MembershipAnswer{}));
        });
      });
  peers_->answer_appends([this](Slice entry, env::Done<void> done) {
    if (log_ == nullptr) return done(fail(Errc::not_leader, "the broker is starting"));
    log_->append_forwarded(std::move(entry), std::move(done));
  });
}

Result<FoundingAnswer> Controller::on_founding(const FoundingQuery& query) const {
  FoundingAnswer answer;
  answer.storage = identity_.storage;
  answer.cluster = identity_.cluster;
  if (log_ != nullptr) answer.configuration = log_->driver().machine().configuration();
  if (!answer.cluster && query.founders != nodes_of(options_.cluster.founders))
    return fail(Errc::invalid, "this broker was told of other founders");
  return answer;
}

void Controller::on_join(JoinRequest request, env::Done<PeerMessage> answer) {
  if (log_ == nullptr) return answer(fail(Errc::not_yet, "the broker is starting"));
  if (log_->driver().leads()) return let_in(std::move(request.member), std::move(answer));
  const NodeId leader = log_->driver().leader().node;
  if (!leader) return answer(fail(Errc::not_yet, "no controller is known"));
  peers_->ask<JoinAnswer>(leader, RequestKind::join, request, k_join_timeout,
                          alive_.wrap([answer = std::move(answer)](Result<JoinAnswer> r) mutable {
                            if (!r) return answer(fail(std::move(r.error())));
                            answer(PeerMessage(*r));
                          }));
}

// As a learner. A storage that is another than the one recorded under its node takes an earlier learner's
// place; an earlier voter's only an operator gives away.
void Controller::let_in(raft::Member member, env::Done<PeerMessage> answer) {
  const raft::Configuration& present = log_->driver().machine().configuration();
  if (present.find(member.id) != nullptr) {
    // It is a member whose store may never have had anything; the leader will bring it up.
    return answer(PeerMessage(JoinAnswer{identity_.cluster}));
  }
  std::vector<raft::Member> learners = present.learners;
  std::erase_if(learners, [&](const raft::Member& m) { return m.id.node == member.id.node; });
  learners.push_back(std::move(member));
  std::ranges::sort(learners, {}, &raft::Member::id);
  log_->driver().change_membership(
      present.voters, std::move(learners),
      alive_.wrap([this, answer = std::move(answer)](Result<Index> index) mutable {
        if (!index) return answer(fail(std::move(index.error())));
        answer(PeerMessage(JoinAnswer{identity_.cluster}));
      }));
}

void Controller::send_heartbeat(const SessionHeartbeat& heartbeat, env::Done<bool> done) {
  const NodeId leader = log_->driver().leader().node;
  if (log_->driver().leads() || peers_ == nullptr) {
    auto fenced = active_->heartbeat({.node = identity_.node,
                                      .incarnation = heartbeat.incarnation,
                                      .ready = heartbeat.ready,
                                      .oldest_unsynced = heartbeat.oldest_unsynced});
    return world_.loop.post(
        alive_.wrap([fenced = std::move(fenced), done = std::move(done)]() mutable {
          done(std::move(fenced));
        }));
  }
  if (!leader) {
    return world_.loop.post(
        alive_.wrap([done = std::move(done)]() mutable { done(no_controller()); }));
  }
  peers_->ask<HeartbeatAnswer>(
      leader, RequestKind::heartbeat, heartbeat, k_heartbeat_timeout,
      alive_.wrap([done = std::move(done)](Result<HeartbeatAnswer> answer) mutable {
        if (!answer) return done(fail(std::move(answer.error())));
        done(answer->fenced);
      }));
}

// A process that is proven to be gone: the group need not wait for its timeout, nor its partitions.
void Controller::process_gone(NodeId node, Incarnation incarnation) {
  if (log_ == nullptr) return;
  const raft::MemberId leader = log_->driver().leader();
  if (leader.node == node) log_->driver().leader_is_gone(leader);
  active_->process_gone(node, incarnation);
}

// --- Members --------------------------------------------------------------------------------------

void Controller::members(env::Done<MembersAnswer> done) {
  const NodeId leader = log_->driver().leader().node;
  if (log_->driver().leads() || !leader || peers_ == nullptr) {
    const bool leads = log_->driver().leads();
    return world_.loop.post(alive_.wrap([this, leads, done = std::move(done)]() mutable {
      if (!leads) return done(no_controller());
      done(members_here());
    }));
  }
  peers_->ask<MembersAnswer>(leader, RequestKind::members, MembersQuery{}, k_members_timeout,
                             alive_.wrap(std::move(done)));
}

MembersAnswer Controller::members_here() const {
  const raft::Raft& machine = log_->driver().machine();
  MembersAnswer out;
  out.leader = machine.leader().node;
  out.term = machine.term();
  out.commit = machine.commit();
  out.joint = machine.configuration().joint();
  const std::vector<raft::ProgressView> progress = machine.progress();
  for (const raft::Member& m : machine.configuration().all()) {
    MemberProgress p{
        m, machine.configuration().is_voter(m.id), {}, false, active_->oldest_unsynced(m.id.node)};
    const auto at = std::ranges::find(progress, m.id, &raft::ProgressView::member);
    if (m.id == machine.self()) {
      p.match = machine.durable_index();
      p.active = true;
    } else if (at != progress.end()) {
      p.match = at->match;
      p.active = at->active;
    }
    out.members.push_back(std::move(p));
  }
  return out;
}

void Controller::change_members(const MembershipRequest& request, env::Done<void> done) {
  if (log_->driver().leads()) return change_members_here(request, alive_.wrap(std::move(done)));
  const NodeId leader = log_->driver().leader().node;
  if (!leader || peers_ == nullptr) {
    return world_.loop.post(
        alive_.wrap([done = std::move(done)]() mutable { done(no_controller()); }));
  }
  peers_->ask<MembershipAnswer>(
      leader, RequestKind::membership, request, k_members_timeout,
      alive_.wrap([done = std::move(done)](Result<MembershipAnswer> answer) mutable {
        if (!answer) return done(fail(std::move(answer.error())));
        done({});
      }));
}

void Controller::change_members_here(const MembershipRequest& request, env::Done<void> done) {
  const raft::Configuration& present = log_->driver().machine().configuration();
  const auto of = [](NodeId node) {
    return [node](const raft::Member& m) { return m.id.node == node; };
  };
  const auto refuse_now = [this, &done](Errc code, std::string why) {
    world_.loop.post(alive_.wrap([done = std::move(done), code, why = std::move(why)]() mutable {
      done(fail(code, std::move(why)));
    }));
  };
  std::vector<raft::Member> voters = present.voters;
  std::vector<raft::Member> learners = present.learners;
  const std::string name = "node " + request.node.to_string();
  switch (request.verb) {
    case MembershipRequest::Verb::transfer: {
      const auto at = std::ranges::find_if(voters, of(request.node));
      if (at == voters.end()) return refuse_now(Errc::not_found, name + " is no voter");
      const Status begun = log_->driver().transfer(at->id);
      return world_.loop.post(
          alive_.wrap([done = std::move(done), begun]() mutable { done(std::move(begun)); }));
    }
    case MembershipRequest::Verb::promote: {
      const auto at = std::ranges::find_if(learners, of(request.node));
      if (at == learners.end()) {
        if (std::ranges::any_of(voters, of(request.node)))
          return refuse_now(Errc::already_exists, name + " is a voter");
        return refuse_now(Errc::not_found, name + " has not joined: start it with seeds");
      }
      const raft::Member promoted = *at;
      learners.erase(at);
      // The same node with an earlier storage goes in the same change.
      std::erase_if(voters, of(request.node));
      if (request.replaces) {
        std::erase_if(voters, of(request.replaces));
        std::erase_if(learners, of(request.replaces));
      }
      voters.push_back(promoted);
      std::ranges::sort(voters, {}, &raft::Member::id);
      break;
    }
    case MembershipRequest::Verb::remove:
      if (std::erase_if(voters, of(request.node)) + std::erase_if(learners, of(request.node)) == 0)
        return refuse_now(Errc::not_found, name + " is no member");
      if (voters.empty()) return refuse_now(Errc::invalid, name + " is the last voter");
      break;
  }
  log_->driver().change_membership(
      std::move(voters), std::move(learners),
      alive_.wrap([done = std::move(done)](Result<Index> index) mutable {
        if (!index) return done(fail(std::move(index.error())));
        done({});
      }));
}

// Where members are, as the metadata's configuration says.
void Controller::call_members() {
  if (peers_ == nullptr || log_ == nullptr) return;
  for (const raft::Member& m : log_->driver().machine().configuration().all()) {
    if (m.id.node == identity_.node) continue;
    if (auto address = env::parse_address(m.address))
      (void)peers_->peers().set_address(m.id.node, std::move(*address));
  }
}

}  // namespace bascule::controller

#include "sim/worlds/cluster/cluster_operator.h"

#include <algorithm>
#include <string>
#include <utility>

#include "sim/world/life.h"

namespace bascule::sim {
namespace {

using Verb = broker::ClusterChange::Verb;

// A new disk takes so long to join, at the most: others may have to find out first that who was there is gone.
constexpr Duration k_patience_with_strays = seconds(8);

void drop_node(std::vector<raft::Member>& members, NodeId node) {
  std::erase_if(members, [&](const raft::Member& m) { return m.id.node == node; });
}

// After these the change may still come to the controller, or be in its log.
bool leaves_doubt(Errc code) {
  return code == Errc::outcome_unknown || code == Errc::deadline_exceeded ||
         code == Errc::connection_lost;
}

}  // namespace

const raft::Configuration* ClusterOperator::in_force() const {
  Seat* leader = story_.leader();
  return leader == nullptr ? nullptr : &leader->driver()->machine().configuration();
}

bool ClusterOperator::sound(const raft::Configuration& next) const {
  // A damaged disk may not open the next time; once nothing fails any more, it has opened, or was wiped.
  const auto intact = [&](const raft::MemberId& id) {
    return story_.intact(id) && (healed_ || !story_.seat(id.node).damaged);
  };
  return !next.voters.empty() && next.voters.size() <= raft::k_voters_max &&
         is_quorum(next, intact);
}

Seat* ClusterOperator::any_broker(const Seat* but) {
  const size_t n = story_.seats.size();
  for (size_t i = 0; i < n; ++i) {
    Seat& s = *story_.seats[(turn_ + i) % n];
    if (&s == but || s.broker() == nullptr || s.removed) continue;
    ++turn_;
    return &s;
  }
  return nullptr;
}

bool ClusterOperator::change(const broker::ClusterChange& request) {
  if (in_doubt() && !healed_) return false;
  Seat* through = any_broker();
  if (through == nullptr) return false;
  ClusterProgram* program = through->program();
  ++asked_;
  through->node.life().arrive(program->heard([this, program, request] {
    if (!program->serves()) return void(++answered_);
    program->broker()->change_cluster({}, request, program->heard([this](const Status& changed) {
      story_.sim.count(changed
                           ? "op.change_begun"
                           : "op.change_refused." + std::string(errc_name(changed.error().code)));
      story_.sim.tell("operator", changed ? "the change is under way"
                                          : "refused: " + changed.error().to_string());
      if (changed || !leaves_doubt(changed.error().code)) ++answered_;
    }));
  }));
  return true;
}

bool ClusterOperator::add(NodeId node, NodeId replaces) {
  const raft::Configuration* now = in_force();
  const Seat& seat = story_.seat(node);
  if (now == nullptr || now->joint() || seat.lost || !now->is_learner(seat.member)) return false;
  raft::Configuration next;
  next.voters = now->voters;
  drop_node(next.voters, node);
  if (replaces) drop_node(next.voters, replaces);
  next.voters.push_back({seat.member, seat.address()});
  if (!sound(next)) return false;
  story_.sim.tell("operator", "n" + node.to_string() + " is to vote");
  return change({Verb::add, node, replaces});
}

// It goes for good: a broker that is up is stopped first, and its directory is of no use afterwards.
bool ClusterOperator::remove(NodeId node) {
  const raft::Configuration* now = in_force();
  const controller::MetadataTable* table = story_.newest();
  Seat& seat = story_.seat(node);
  if (now == nullptr || now->joint() || table == nullptr || table->replicas_on(node) != 0)
    return false;
  raft::Configuration next;
  next.voters = now->voters;
  drop_node(next.voters, node);
  if (!sound(next) || any_broker(&seat) == nullptr) return false;
  story_.sim.tell("operator", "n" + node.to_string() + " is to go");
  seat.removed = true;
  if (seat.program() != nullptr && seat.program()->serves()) {
    ClusterProgram* program = seat.program();
    seat.node.life().arrive(program->heard([program] { program->stop([](const Status&) {}); }));
  } else {
    seat.node.crash_process();
  }
  return change({Verb::remove, node, {}});
}

bool ClusterOperator::transfer(NodeId node) {
  return story_.leader() != nullptr && change({Verb::transfer, node, {}});
}

bool ClusterOperator::set_session_timeout(Duration timeout) {
  Seat* through = any_broker();
  if (through == nullptr) return false;
  ClusterProgram* program = through->program();
  controller::Controller* controller = through->controller;
  through->node.life().arrive(program->heard([controller, timeout, program] {
    if (!program->serves()) return;
    controller->propose(
        controller::SetSetting{"session_timeout", std::to_string(timeout.ns / 1'000'000) + "ms"},
        [](const Result<controller::Outcome>&) {});
  }));
  return true;
}

// --- Disks -----------------------------------------------------------------------------------------

void ClusterOperator::wipe(Seat& seat) {
  story_.sim.count("op.wiped");
  story_.sim.tell("operator", "a new disk for " + seat.node.host());
  seat.node.crash_machine();
  seat.node.device().replace();
  seat.lost = true;
  seat.damaged = false;
  seat.logs_lost = false;
  seat.reads_failed = false;
  seat.rolled_back = false;
  seat.refusals = 0;
  seat.removed = false;
  seat.joins = true;
  seat.stray_since = {};
  story_.look_at_damage();
  seat.logs_lost = false;
}

void ClusterOperator::wipe_what_is_lost() {
  for (const auto& seat : story_.seats) {
    if (!seat->lost || seat->removed || !story_.may_lose(*seat)) continue;
    // One that has a new disk already is on its way.
    if (seat->joins && seat->refusals == 0 && !seat->rolled_back) continue;
    wipe(*seat);
  }
}

bool ClusterOperator::repair() {
  const raft::Configuration* now = in_force();
  if (now == nullptr || now->joint()) return false;
  const auto gone = [&](const raft::Member& m) { return !story_.intact(m.id); };
  if (const auto old = std::ranges::find_if(now->voters, gone); old != now->voters.end()) {
    (void)add(old->id.node, {});
    return false;
  }
  bool whole = true;
  for (const auto& seat : story_.seats) {
    if (seat->member && now->find(seat->member) != nullptr) {
      seat->stray_since = {};
      continue;
    }
    whole = false;
    const SimTime sim_now = story_.sim.now();
    if (seat->stray_since.ns == 0) seat->stray_since = sim_now;
    if (sim_now - seat->stray_since < k_patience_with_strays || !story_.may_lose(*seat)) continue;
    // Taken out while it was away, or before it could learn of it: only an empty disk joins.
    wipe(*seat);
  }
  return whole;
}

}  // namespace bascule::sim

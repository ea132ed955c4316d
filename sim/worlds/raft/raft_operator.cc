#include "sim/worlds/raft/raft_operator.h"

#include <algorithm>

#include "sim/world/life.h"

namespace bascule::sim {
namespace {

void drop_node(std::vector<raft::Member>& members, NodeId node) {
  std::erase_if(members, [&](const raft::Member& m) { return m.id.node == node; });
}

// A configuration to change: `now` without what belongs to a change.
raft::Configuration settled(const raft::Configuration& now) {
  raft::Configuration out;
  out.voters = now.voters;
  out.learners = now.learners;
  return out;
}

void add(std::vector<raft::Member>& members, raft::Member member) {
  members.push_back(std::move(member));
  std::ranges::sort(members, {}, &raft::Member::id);
}

}  // namespace

const raft::Configuration* RaftOperator::in_force() const {
  Seat* leader = story_.leader();
  return leader == nullptr ? nullptr : &leader->driver()->machine().configuration();
}

bool RaftOperator::sound(const raft::Configuration& next) const {
  // A damaged disk may not open the next time; once nothing fails any more, it has opened, or was wiped.
  const auto intact = [&](const raft::MemberId& id) {
    return story_.intact(id) && (healed_ || !story_.seat(id.node).damaged);
  };
  return !next.voters.empty() && next.voters.size() <= raft::k_voters_max &&
         is_quorum(next, intact);
}

bool RaftOperator::propose(raft::Configuration next) {
  Seat* leader = story_.leader();
  if (leader == nullptr || !sound(next)) return false;
  RaftProgram* program = leader->program();
  leader->node->life().arrive(program->heard([this, program, asked = withdrawn_,
                                              next = std::move(next)]() mutable {
    // A paused process comes to it late: disks may have gone meanwhile.
    if (program->driver() == nullptr || program->stopping() || asked != withdrawn_ || !sound(next))
      return;
    const bool sure = program->driver()->machine().leads_for_sure();
    program->driver()->change_membership(
        std::move(next.voters), std::move(next.learners),
        program->heard([this, program, sure](Result<Index> begun) {
          if (begun && !sure)
            story_.verdict.fire("O5",
                                program->self().to_string() +
                                    " changes the membership and has committed nothing of its "
                                    "term: it may not know of a change before");
          story_.sim.count(begun
                               ? "op.change_begun"
                               : "op.change_refused." + std::string(errc_name(begun.error().code)));
        }));
  }));
  return true;
}

bool RaftOperator::learn(NodeId node) {
  const raft::Configuration* now = in_force();
  const Seat& seat = story_.seat(node);
  if (now == nullptr || now->joint() || !seat.member || seat.lost || now->find(seat.member))
    return false;
  raft::Configuration next = settled(*now);
  drop_node(next.learners, node);
  add(next.learners, seat.as_member());
  return propose(std::move(next));
}

bool RaftOperator::promote(NodeId node) {
  const raft::Configuration* now = in_force();
  const Seat& seat = story_.seat(node);
  if (now == nullptr || now->joint() || seat.lost || !now->is_learner(seat.member)) return false;
  raft::Configuration next = settled(*now);
  drop_node(next.learners, node);
  drop_node(next.voters, node);
  add(next.voters, seat.as_member());
  return propose(std::move(next));
}

bool RaftOperator::remove(NodeId node) {
  const raft::Configuration* now = in_force();
  if (now == nullptr || now->joint()) return false;
  raft::Configuration next = settled(*now);
  drop_node(next.learners, node);
  drop_node(next.voters, node);
  if (next == *now) return false;
  return propose(std::move(next));
}

bool RaftOperator::swap(NodeId out, NodeId in) {
  const raft::Configuration* now = in_force();
  const Seat& seat = story_.seat(in);
  if (now == nullptr || now->joint() || seat.lost || out == in || !now->is_learner(seat.member))
    return false;
  raft::Configuration next = settled(*now);
  drop_node(next.voters, out);
  drop_node(next.voters, in);
  drop_node(next.learners, in);
  add(next.voters, seat.as_member());
  return propose(std::move(next));
}

bool RaftOperator::repair() {
  const raft::Configuration* now = in_force();
  if (now == nullptr || now->joint()) return false;
  const auto gone = [&](const raft::Member& m) { return !story_.intact(m.id); };
  if (const auto old = std::ranges::find_if(now->voters, gone); old != now->voters.end()) {
    const NodeId node = old->id.node;
    if (now->is_learner(story_.seat(node).member)) {
      (void)promote(node);
    } else {
      (void)learn(node);
    }
    return false;
  }
  if (const auto old = std::ranges::find_if(now->learners, gone); old != now->learners.end()) {
    (void)remove(old->id.node);
    return false;
  }
  return true;
}

}  // namespace bascule::sim

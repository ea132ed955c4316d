// What one run of world `raft` remembers over the lives of its members, and the oracles that watch them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/oracles/applied_chain.h"
#include "sim/oracles/durable_promises.h"
#include "sim/oracles/leader_completeness.h"
#include "sim/oracles/metadata_linearizability.h"
#include "sim/oracles/one_leader.h"
#include "sim/worlds/raft/raft_program.h"

namespace bascule::sim {

// One node's place in the cluster.
struct Seat {
  Node* node = nullptr;
  raft::MemberId member;  // who it was when its store was opened last; none: never
  SimTime member_since;
  Incarnation incarnation;
  bool founded = false;  // its directory will not be formatted as a founder's again
  // Its storage is wiped, rolled back, or refused to open: it counts for nobody until its disk is new and a
  // membership change has taken the new member in.
  bool lost = false;
  bool rolled_back = false;  // it opens, and is lost
  bool damaged = false;      // the plan has hit its disk
  bool unrepaired = false;   // since it was opened last
  int refusals = 0;          // starts in a row that found no store, since the last heal or wipe
  raft::Configuration configuration;                // in force there, when last seen
  std::vector<raft::Configuration> configurations;  // all that ever were
  Term term;                                        // the highest that was seen there

  RaftProgram* program() const { return static_cast<RaftProgram*>(node->program()); }
  raft::RaftDriver* driver() const {
    RaftProgram* p = node->alive() ? program() : nullptr;
    return p == nullptr || p->stopping() ? nullptr : p->driver();
  }
  raft::Member as_member() const;
};

// An append that left.
struct SentAppend {
  Index last;    // its last entry
  Index commit;  // what it says about commits
  Slice frame;
};

class RaftStory final : public RaftWatcher {
 public:
  RaftStory(Simulation& sim, const Plan& plan, Verdict& verdict);

  // --- What happens (RaftWatcher).
  std::optional<Founding> founding(NodeId node) override;
  void opened(RaftProgram& program, const raft::StoredState& stored) override;
  void failed_to_open(RaftProgram& program, const Error& why) override;
  void given(RaftProgram& program, uint64_t number, const raft::Persist& persist) override;
  void confirmed(RaftProgram& program, uint64_t number) override;
  void refused(RaftProgram& program, uint64_t number) override;
  void sending(RaftProgram& program, const raft::Message& message, const Slice& frame) override;
  void applied(RaftProgram& program, Index before, Index index, Term term, raft::EntryKind kind,
               ByteView data) override;
  void restored(RaftProgram& program, Index index) override;
  void turn_ended(RaftProgram& program) override;

  // --- What is known.
  Seat& seat(NodeId node) { return seats[node.value - 1]; }
  // The leader of the highest term that any node believes in; null: none does.
  Seat* leader();
  // The configurations that any member may act by, each once.
  std::vector<raft::Configuration> configurations() const;
  // Is this member's disk what it was when it last acted?
  bool intact(const raft::MemberId& member) const;
  // Would every known configuration keep a quorum of intact voters without this node's storage?
  bool may_lose(const Seat& seat) const;
  // All that this node has promised is on enough other disks.
  bool may_roll_back(const Seat& seat) const;
  Term highest_term() const;
  // Looks at a crash image of the node: it holds what was promised.
  void check_image(Seat& seat, const Storage& image, const char* what);
  // A frame that `from` sent to `to` some time ago; empty: none.
  Slice old_frame(NodeId from, NodeId to, uint64_t pick) const;
  // The last appends with entries that `from` sent to `to`, oldest first, whether they came or not.
  const std::deque<SentAppend>& last_appends(NodeId from, NodeId to) {
    return tape_[{from, to}].appends;
  }

  Simulation& sim;
  const Plan& plan;
  Verdict& verdict;
  RaftSetup setup;
  raft::Configuration founders;
  std::vector<Seat> seats;
  RaftHistory history;
  OneLeader one_leader;
  LeaderCompleteness completeness;
  AppliedChain chains;
  DurablePromises promises;
  MetadataLinearizability linearizability;
  uint64_t messages = 0;
  std::function<void(NodeId from, NodeId to, Index snapshot)> on_snapshot_sent;  // its last chunk

 private:
  struct Tape {
    std::deque<Slice> frames;
    std::deque<SentAppend> appends;
  };

  void keep(const raft::Message& message, const Slice& frame);
  void look_at_leader(RaftProgram& program, Seat& seat);

  std::map<std::pair<NodeId, NodeId>, Tape> tape_;
  uint64_t looks_ = 0;
  uint64_t images_ = 0;  // that were looked at
};

}  // namespace bascule::sim

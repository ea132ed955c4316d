// O8, the durable half: what a member says depends on its disk alone. At the moment a vote or an
// acknowledgement leaves, its store has confirmed it; and what a store has confirmed is in every legal crash
// image and in every state that it opens with.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "sim/worlds/world.h"
#include "src/raft/message.h"
#include "src/raft/raft.h"

namespace bascule::sim {

class DurablePromises {
 public:
  explicit DurablePromises(Verdict& verdict) : verdict_(verdict) {}

  // A store was given something, as its n-th; it has confirmed it; it has refused it, for good.
  // What is confirmed and agrees with a snapshot is not thrown away by it (paper fig. 13, step 6).
  void given(const raft::MemberId& who, uint64_t number, const raft::Persist& persist);
  void confirmed(const raft::MemberId& who, uint64_t number);
  void refused(const raft::MemberId& who, uint64_t number);
  // A store was opened. Checks what it holds, which counts as confirmed from then on.
  void opened(const raft::MemberId& who, const raft::StoredState& stored);
  // What of the promises is not in `stored`; empty: all is. For crash images.
  std::string missing(const raft::MemberId& who, const raft::StoredState& stored) const;
  void sending(const raft::Message& message);
  // The storage is gone, or another: nothing is promised of it.
  void forget(const raft::MemberId& who) { members_.erase(who); }

  // The term that its disk has; 0: nothing is known.
  Term term_of(const raft::MemberId& who) const {
    const auto it = members_.find(who);
    return it == members_.end() ? Term() : it->second.hard.term;
  }
  // Is the entry on that member's disk, by itself or under a snapshot?
  bool holds(const raft::MemberId& who, Index index, Term term) const;
  bool on_a_quorum(const raft::Configuration& configuration, Index index, Term term) const;
  // A quorum without `who` holds all that `who` has confirmed, and its votes can elect nobody else: nothing
  // is lost with its disk.
  bool dispensable(const raft::MemberId& who, const raft::Configuration& configuration) const;

 private:
  // A Persist without its bytes.
  struct Given {
    uint64_t number = 0;
    std::optional<raft::HardState> hard;
    Index snapshot;
    Term snapshot_term;
    Index first;
    std::vector<Term> terms;
  };
  struct Disk {
    raft::HardState hard;
    Index base;  // covered by a snapshot
    Term base_term;
    std::deque<Term> terms;  // of base + 1, …
    std::vector<Given> given;

    Index last() const { return Index(base.value + terms.size()); }
    void apply(const Given& change);
    bool holds(Index index, Term term) const;
  };

  Verdict& verdict_;
  std::map<raft::MemberId, Disk> members_;
};

// Do the voters that `says` names make a quorum: a majority of each set?
template <class F>
bool is_quorum(const raft::Configuration& configuration, F says) {
  for (const auto* set : {&configuration.voters, &configuration.outgoing}) {
    size_t yes = 0;
    for (const raft::Member& member : *set) yes += says(member.id) ? 1 : 0;
    if (!set->empty() && yes <= set->size() / 2) return false;
  }
  return true;
}

}  // namespace bascule::sim

// What the oracles of world `raft` remember of all members: the entries that were committed, and what clients
// were told. Entries come from members that applied them; whether they were right to is the oracles' matter.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "src/raft/types.h"

namespace bascule::sim {

struct CommittedEntry {
  Term term;
  Term committed_in;     // or before: the term of the member that applied it first
  uint64_t chain = 0;    // hash over this entry and all before it
  uint64_t command = 0;  // what a client proposed; 0: nobody did
};

// The chain over an entry and, by `before`, all before it.
uint64_t chain_of(uint64_t before, Index index, Term term, raft::EntryKind kind, ByteView data);

class RaftHistory {
 public:
  // The last index that anybody has applied.
  Index last() const { return Index(entries_.size()); }
  // Requires 1 <= index <= last().
  const CommittedEntry& at(Index index) const { return entries_[index.value - 1]; }
  // The last entry that was committed in a term before `term`: what a leader of `term` holds.
  Index last_before(Term term) const {
    Index index = last();
    while (index && at(index).committed_in >= term) index = Index(index.value - 1);
    return index;
  }
  uint64_t chain_at(Index index) const { return index ? at(index).chain : 0; }
  void committed(CommittedEntry entry) {
    if (entry.command != 0) placed_.emplace(entry.command, last().next());
    entries_.push_back(entry);
  }
  // Where a command was committed first.
  std::optional<Index> place_of(uint64_t command) const {
    const auto it = placed_.find(command);
    return it == placed_.end() ? std::nullopt : std::optional(it->second);
  }

 private:
  std::vector<CommittedEntry> entries_;
  std::map<uint64_t, Index> placed_;
};

}  // namespace bascule::sim

// What world `raft` replicates: a chain of hashes over all that was applied, so that two members agree on it
// only if they have applied the same from the first entry on. Its snapshots are as large as the plan wants.
#pragma once

#include <cstdint>

#include "src/base/ids.h"
#include "src/raft/types.h"

namespace bascule::sim {

// A client's command: its number, then bytes that follow from it.
Slice make_command(uint64_t number, size_t bytes);
// 0: it is none.
uint64_t command_number(ByteView data);

class CommandChain {
 public:
  explicit CommandChain(size_t snapshot_padding) : padding_(snapshot_padding) {}

  Index index() const { return index_; }
  uint64_t chain() const { return chain_; }
  void apply(Index index, Term term, raft::EntryKind kind, ByteView data);
  Slice snapshot() const;
  // `corrupt`: it is not what snapshot() made.
  Status restore(Index index, ByteView snapshot);

 private:
  const size_t padding_;
  Index index_;
  uint64_t chain_ = 0;
};

}  // namespace bascule::sim

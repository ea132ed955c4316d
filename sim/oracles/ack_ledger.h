// O1: what was acknowledged stays, at its offset and with its bytes, after every restart and at the end.
//
// Checked against whole reads of a partition. What one disk may lose is allowed exactly where the plan
// damaged it: give_up() says for which partition.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "sim/oracles/history.h"
#include "sim/worlds/world.h"
#include "src/base/ids.h"

namespace bascule::sim {

// All that one reader got from a partition, from its start to its HW.
struct WholeRead {
  Offset log_start;
  Offset end;
  std::map<Offset, RecordId> records;
};

class AckLedger {
 public:
  AckLedger(const History& history, Verdict& verdict) : history_(history), verdict_(verdict) {}

  // The answer of batch `index` has come: acked, with its offset.
  void acked(size_t index);
  // Nothing acknowledged so far must be there any more: a `memory` stream whose machine went down.
  void forgive(PartitionId partition) { forgiven_[partition] = acked_[partition].size(); }
  // Nothing must be there any more, whenever it was acknowledged: its disk was damaged.
  void give_up(PartitionId partition) { forgiven_[partition] = SIZE_MAX; }
  // Acknowledged batches of the partition so far: a read that begins now must give these.
  size_t count(PartitionId partition) { return acked_[partition].size(); }
  // Each of the first `count` acknowledged batches is there, but for what lies below the log's start.
  void check(PartitionId partition, const WholeRead& read, size_t count);

 private:
  const History& history_;
  Verdict& verdict_;
  std::map<PartitionId, std::vector<size_t>> acked_;  // batches, in order of their answers
  std::map<PartitionId, size_t> forgiven_;            // so many of acked_ need not be there
};

}  // namespace bascule::sim

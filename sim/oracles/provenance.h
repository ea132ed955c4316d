// O11: what is read was sent, to this partition and with these bytes, and what was definitely refused
// never appears.
#pragma once

#include "sim/oracles/history.h"
#include "sim/oracles/served_bytes.h"
#include "sim/worlds/world.h"

namespace bascule::sim {

class Provenance {
 public:
  Provenance(const History& history, Verdict& verdict) : history_(history), verdict_(verdict) {}

  // The record's name, where all is well.
  std::optional<RecordId> check(PartitionId partition, const ReadRecord& read);

 private:
  const History& history_;
  Verdict& verdict_;
};

}  // namespace bascule::sim

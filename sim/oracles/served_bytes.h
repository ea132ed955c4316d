// O14, the reading side: nothing that a broker serves has a bad checksum. Verifies deliveries as a client
// library does, and takes them apart for the other oracles.
#pragma once

#include <vector>

#include "sim/worlds/world.h"
#include "src/base/ids.h"
#include "src/broker/api.h"
#include "src/model/record.h"

namespace bascule::sim {

struct ReadRecord {
  Offset offset;
  Epoch epoch;
  WallTime append_time;
  model::Record record;
};

// The records of a delivery. Fires O14 for a header or body that does not verify under the log's id,
// for records that do not decode, and for batches outside of what the delivery says it covers.
std::vector<ReadRecord> read_delivery(const broker::Delivery& delivery, uint32_t header_seed,
                                      Verdict& verdict);

}  // namespace bascule::sim

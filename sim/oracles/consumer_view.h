// O10: what consumers see. Each delivery follows the one before it; offsets rise; an offset has one value
// for all readers and for ever; nothing at or above the HW that comes with it; epochs never fall.
//
// Where the plan has damaged a disk, or a machine with a `memory` stream went down, what was seen may be
// gone and its offsets given anew: forget() says so, for that partition alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sim/oracles/history.h"
#include "sim/worlds/world.h"
#include "src/broker/api.h"

namespace bascule::sim {

// One subscription, as the oracle follows it.
struct ReaderView {
  PartitionId partition;
  Offset next;             // no record below is delivered any more
  Epoch epoch;             // of the last delivery
  bool retention = false;  // log starts may move: gaps in front are allowed
};

class ConsumerView {
 public:
  explicit ConsumerView(Verdict& verdict) : verdict_(verdict) {}

  // In this order: the delivery, then each of its records.
  void delivered(ReaderView& reader, const broker::Delivery& delivery);
  void record(const ReaderView& reader, Offset offset, Epoch epoch, RecordId id);
  void forget(PartitionId partition) { values_.erase(partition); }
  // The greatest offset that was seen, plus one.
  Offset seen_end(PartitionId partition) const;

 private:
  struct Value {
    RecordId id;
    Epoch epoch;
    bool operator==(const Value&) const = default;
  };

  void fire(const ReaderView& reader, const std::string& what);

  Verdict& verdict_;
  std::map<PartitionId, std::map<Offset, Value>> values_;
};

}  // namespace bascule::sim

#include "sim/oracles/consumer_view.h"

namespace bascule::sim {

void ConsumerView::fire(const ReaderView& reader, const std::string& what) {
  verdict_.fire("O10", "reader of " + reader.partition.to_string() + ": " + what);
}

void ConsumerView::delivered(ReaderView& reader, const broker::Delivery& delivery) {
  const bool gap_allowed = reader.retention && delivery.base_offset > reader.next;
  if (delivery.base_offset != reader.next && !gap_allowed)
    fire(reader, "expected " + reader.next.to_string() + ", got a delivery from " +
                     delivery.base_offset.to_string());
  if (delivery.next_offset <= delivery.base_offset) fire(reader, "a delivery of nothing");
  if (delivery.next_offset > delivery.hw)
    fire(reader,
         "got up to " + delivery.next_offset.to_string() + ", HW was " + delivery.hw.to_string());
  if (delivery.epoch < reader.epoch) fire(reader, "epoch fell to " + delivery.epoch.to_string());
  reader.next = delivery.next_offset;
  reader.epoch = delivery.epoch;
}

void ConsumerView::record(const ReaderView& reader, Offset offset, Epoch epoch, RecordId id) {
  if (offset >= reader.next) fire(reader, "a record beyond its delivery");
  const Value value{id, epoch};
  const auto [it, fresh] = values_[reader.partition].emplace(offset, value);
  if (!fresh && it->second != value)
    fire(reader, "offset " + offset.to_string() + " is " + id.to_string() + " of epoch " +
                     epoch.to_string() + ", was " + it->second.id.to_string() + " of epoch " +
                     it->second.epoch.to_string());
}

Offset ConsumerView::seen_end(PartitionId partition) const {
  const auto it = values_.find(partition);
  if (it == values_.end() || it->second.empty()) return {};
  return it->second.rbegin()->first + 1;
}

}  // namespace bascule::sim

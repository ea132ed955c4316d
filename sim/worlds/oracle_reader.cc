#include "sim/worlds/oracle_reader.h"

#include <utility>
#include <variant>

#include "src/model/subject.h"

namespace bascule::sim {

void OracleReader::begin(broker::Broker& broker, broker::Subscribe request) {
  filter_ = request.filter;
  const KnownStream* known = story_.stream(request.stream);
  view_.retention = known != nullptr && known->config.retain_messages != 0;
  if (std::holds_alternative<broker::FromOffset>(request.from))
    seen_at_begin_ = story_.consumers.seen_end(view_.partition);
  broker.subscribe({}, std::move(request), *this,
                   scope_.wrap([this](Result<broker::SubscribeStarted> started) {
                     if (!started) {
                       ended_ = true;
                       if (on_end_) on_end_(fail(std::move(started.error())));
                       return;
                     }
                     view_.next = started->first;
                     header_seed_ = model::batch_crc_seed(started->log_id);
                     if (kept_ != nullptr) kept_->log_start = kept_->end = started->first;
                     subscription_ = std::move(started->subscription);
                   }));
}

void OracleReader::deliver(broker::Delivery delivery) {
  if (ended_) story_.verdict.fire("O10", "a delivery after the end");
  story_.consumers.delivered(view_, delivery);
  const std::vector<ReadRecord> records = read_delivery(delivery, header_seed_, story_.verdict);
  if (filter_.empty() && records.size() != delivery.next_offset - delivery.base_offset)
    story_.verdict.fire(
        "O10", "records are missing in a delivery from " + delivery.base_offset.to_string());
  for (const ReadRecord& record : records) {
    if (!filter_.empty() && !model::subject_matches(filter_, record.record.subject))
      story_.verdict.fire("O10", "a record that the filter does not let through");
    const std::optional<RecordId> id = story_.provenance.check(view_.partition, record);
    if (!id) return;
    story_.consumers.record(view_, record.offset, record.epoch, *id);
    if (kept_ != nullptr) kept_->records[record.offset] = *id;
  }
  if (kept_ != nullptr) kept_->end = delivery.next_offset;
  story_.sim.count("op.deliveries");
  if (loop_ == nullptr || grant_delay_.ns < 0) return;
  const size_t bytes = delivery.bytes;
  if (grant_delay_.ns == 0) return subscription_->add_credit(bytes);
  (void)loop_->after(grant_delay_,
                     scope_.wrap([this, bytes] { subscription_->add_credit(bytes); }));
}

void OracleReader::end(broker::SubscriptionEnd end) {
  if (ended_) story_.verdict.fire("O10", "a second end");
  ended_ = true;
  story_.look_at_damage();  // it may be what this reader ran into
  if (end.next_offset != view_.next && !view_.retention)
    story_.verdict.fire("O10", "ends at " + end.next_offset.to_string() + ", delivered up to " +
                                   view_.next.to_string());
  check_end(end);
  if (on_end_) on_end_(std::move(end));
}

void OracleReader::check_end(const broker::SubscriptionEnd& end) {
  if (end.complete) return;
  const auto wrong = [&](const char* oracle) {
    story_.verdict.fire(oracle, "reader of " + view_.partition.to_string() + " at " +
                                    end.next_offset.to_string() + " ended with " +
                                    end.error.to_string());
  };
  const bool damaged = story_.damaged(view_.partition);
  switch (end.error.code) {
    case Errc::log_truncated:
      // A position that some reader has seen is on the history for ever.
      if (!damaged && end.next_offset <= seen_at_begin_ &&
          story_.consumers.seen_end(view_.partition) >= seen_at_begin_)
        wrong("O10");
      break;
    case Errc::stream_deleted: {
      const KnownStream* known = story_.stream(view_.partition.stream);
      if (known != nullptr && !known->delete_tried) wrong("O10");
      break;
    }
    case Errc::corrupt:
    case Errc::data_lost:
      if (!damaged && !story_.may_fail_to_read(view_.partition)) wrong("O14");
      break;
    case Errc::io_error:
      if (!damaged && !story_.may_fail_to_read(view_.partition)) wrong("O14");
      break;
    case Errc::stopping:
    case Errc::not_leader: break;
    default: wrong("O10");
  }
}

}  // namespace bascule::sim

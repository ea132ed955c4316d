#include "src/broker/subscription.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "src/base/assert.h"
#include "src/broker/bounds.h"

namespace bascule::broker {

ActiveSubscription::ActiveSubscription(env::Loop& loop, Tracer& trace, Subscriber& subscriber,
                                       SubscriptionCount count)
    : loop_(loop),
      trace_(trace),
      subscriber_(subscriber),
      count_(std::move(count)),
      alive_(std::make_shared<bool>(true)) {
  ++*count_;
}

ActiveSubscription::~ActiveSubscription() {
  *alive_ = false;
  --*count_;
  loop_.cancel(timer_);
  if (partition_ != nullptr) partition_->detach(*this);
}

Status ActiveSubscription::begin(partition::Partition& partition, SubscriptionStart start) {
  BASCULE_TRY(partition.attach(*this));
  partition_ = &partition;
  wanted_.from = start.first;
  wanted_.before = start.until_time;
  wanted_.filter = start.filter == ">" ? std::string{} : std::move(start.filter);
  wanted_.header_seed = model::batch_crc_seed(partition.log().id());
  until_ = start.until;
  if (start.diverged_at) {
    finish({.error = {Errc::log_truncated, "the position is not on this log's history"},
            .next_offset = start.first,
            .valid_end = start.diverged_at});
    return {};
  }
  add_credit(start.credit_bytes);
  if (wanted_.before) {
    loop_.post(scope_.wrap([this] {
      if (partition_ != nullptr) watch_stop_time();
    }));
  }
  return {};
}

void ActiveSubscription::add_credit(uint64_t bytes) {
  const auto room = static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / 2 -
                                          std::max<int64_t>(credit_, 0));
  credit_ += static_cast<int64_t>(std::min(bytes, room));
  // Later: who grants credit from inside deliver() gets its next delivery after that call.
  loop_.post(scope_.wrap([this] { pump(); }));
}

void ActiveSubscription::committed() {
  waiting_ = false;
  pump();
}

// --- Reading --------------------------------------------------------------------------------------

void ActiveSubscription::pump() {
  if (partition_ == nullptr || reading_) return;
  if (until_ && wanted_.from >= *until_) return complete();
  if (waiting_) return;
  if (wanted_.from >= partition_->hw()) {
    waiting_ = true;
    return partition_->wait_above(*this, wanted_.from);
  }
  if (credit_ > 0 || first_) read();
}

void ActiveSubscription::read() {
  reading_ = true;
  const Offset hw = partition_->hw();
  wanted_.until = until_ ? std::min(hw, *until_) : hw;
  const auto bytes = static_cast<size_t>(std::clamp<int64_t>(credit_, 1, bounds::k_read_bytes_max));
  partition_->read_committed(wanted_.from, bytes,
                             scope_.wrap([this](Result<log::ReadResult> result) {
                               reading_ = false;
                               on_read(std::move(result));
                             }));
}

void ActiveSubscription::on_read(Result<log::ReadResult> result) {
  if (partition_ == nullptr) return;
  if (!result) {
    if (result.error().code != Errc::not_found || wanted_.from >= partition_->log().log_start())
      return fail_with(std::move(result.error()));
    // Retention has overtaken a slow reader: it goes on where the log begins now, and sees the gap in
    // the offsets.
    trace_.probe("broker.subscription.overtaken_by_retention");
    wanted_.from = partition_->log().log_start();
    return pump();
  }
  Result<Thinned> thinned = thin(result->batches, wanted_);
  if (!thinned) return fail_with(std::move(thinned.error()));
  if (thinned->next == wanted_.from && !thinned->stopped)
    return fail_with({Errc::internal, "a read below HW gave nothing"});
  if (!deliver(std::move(thinned->deliveries)) || partition_ == nullptr) return;
  if (thinned->stopped && wanted_.from < wanted_.until) return complete();
  pump();
}

bool ActiveSubscription::deliver(std::vector<Delivery> deliveries) {
  const Offset hw = partition_->hw();
  const std::shared_ptr<bool> alive = alive_;
  for (Delivery& delivery : deliveries) {
    delivery.bytes = std::max(delivery.bytes, bounds::k_delivery_charge_min);
    delivery.hw = hw;
    credit_ -= static_cast<int64_t>(delivery.bytes);
    first_ = false;
    wanted_.from = delivery.next_offset;
    subscriber_.deliver(std::move(delivery));
    if (!*alive) return false;
  }
  return true;
}

// --- The end --------------------------------------------------------------------------------------

// At a stop time: once the leader's clock has reached it, later appends are at or above it, so what is
// appended by now is all there will be. Looks at least hourly, since the wall clock may jump.
void ActiveSubscription::watch_stop_time() {
  const WallTime wall = loop_.wall();
  if (wall >= *wanted_.before) {
    const Offset leo = partition_->log().leo();
    until_ = until_ ? std::min(*until_, leo) : leo;
    return pump();
  }
  const WallTime soon = wall + seconds(3600);
  const Duration left = std::min(*wanted_.before, soon) - wall;
  timer_ = loop_.after(left, scope_.wrap([this] {
    if (partition_ != nullptr) watch_stop_time();
  }));
}

void ActiveSubscription::complete() {
  finish({.error = {}, .complete = true, .next_offset = wanted_.from, .valid_end = {}});
}

void ActiveSubscription::fail_with(Error error) {
  finish({.error = std::move(error), .next_offset = wanted_.from, .valid_end = {}});
}

void ActiveSubscription::finish(SubscriptionEnd end) {
  partition_->detach(*this);
  partition_ = nullptr;
  loop_.cancel(timer_);
  loop_.post(
      scope_.wrap([this, end = std::move(end)]() mutable { subscriber_.end(std::move(end)); }));
}

void ActiveSubscription::ended(const Error& why) {
  partition_ = nullptr;
  loop_.cancel(timer_);
  loop_.post(scope_.wrap([this, why]() mutable {
    subscriber_.end({.error = std::move(why), .next_offset = wanted_.from, .valid_end = {}});
  }));
}

}  // namespace bascule::broker

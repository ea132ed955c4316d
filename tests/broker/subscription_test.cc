#include "src/broker/subscription.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/broker/bounds.h"
#include "tests/partition/fakes.h"

namespace bascule::broker {
namespace {

using partition::ClockTrust;
using partition::ManualLoop;
using partition::MemoryLog;
using partition::Partition;
using partition::PartitionView;

class Collector final : public Subscriber {
 public:
  void deliver(Delivery delivery) override {
    EXPECT_FALSE(ended.has_value());
    if (!deliveries.empty() && !gaps_allowed) {
      EXPECT_EQ(delivery.base_offset, deliveries.back().next_offset);
    }
    EXPECT_LE(delivery.next_offset, delivery.hw);
    deliveries.push_back(std::move(delivery));
    if (on_delivery) on_delivery();
  }
  void end(SubscriptionEnd how) override {
    EXPECT_FALSE(ended.has_value());
    ended = std::move(how);
  }
  // Offsets [first, next) that were covered.
  std::pair<uint64_t, uint64_t> covered() const {
    if (deliveries.empty()) return {0, 0};
    return {deliveries.front().base_offset.value, deliveries.back().next_offset.value};
  }

  std::vector<Delivery> deliveries;
  std::optional<SubscriptionEnd> ended;
  std::function<void()> on_delivery;
  bool gaps_allowed = false;
};

class SubscriptionTest : public ::testing::Test {
 protected:
  SubscriptionTest() {
    auto log = std::make_unique<MemoryLog>(loop_);
    log_ = log.get();
    partition_.emplace(loop_, trace_,
                       partition::PartitionOptions{.id = {StreamId(7), PartitionIndex(0)},
                                                   .self = NodeId(1),
                                                   .in_flight_bytes_max = 1 << 20,
                                                   .readers_max = 10},
                       std::move(log));
    view_.leader = NodeId(1);
    view_.leader_incarnation = Incarnation(3);
    view_.epoch = Epoch(4);
    view_.isr = {NodeId(1)};
    partition_->apply(view_, Incarnation(3));
  }

  // `batches` of `count` records each; not committed before commit().
  void append(int batches, uint32_t count = 1, size_t size = 8) {
    const BufferRef batch = partition::client_batch(count, size);
    for (int i = 0; i < batches; ++i) {
      partition_->publish({.acks = model::Acks::none, .batch = batch.view()},
                          [](const Result<partition::PublishResult>& r) { ASSERT(r.has_value()); });
    }
    loop_.settle();
  }
  void commit() {
    log_->sync_all();
    loop_.settle();
  }
  void begin(SubscriptionStart start) {
    subscription_ = std::make_unique<ActiveSubscription>(loop_, trace_, client_, count_);
    ASSERT_TRUE(subscription_->begin(*partition_, std::move(start)).has_value());
    EXPECT_TRUE(client_.deliveries.empty()) << "called inside the call";
    loop_.settle();
  }
  static SubscriptionStart from(uint64_t first, uint64_t credit = 1 << 20) {
    return {.first = Offset(first),
            .until = {},
            .until_time = {},
            .filter = {},
            .credit_bytes = credit,
            .diverged_at = {}};
  }

  ManualLoop loop_;
  NullTracer trace_;
  MemoryLog* log_ = nullptr;
  std::optional<Partition> partition_;
  PartitionView view_;
  Collector client_;
  SubscriptionCount count_ = std::make_shared<uint64_t>(0);
  std::unique_ptr<ActiveSubscription> subscription_;
};

TEST_F(SubscriptionTest, delivers_what_is_committed_and_follows_hw) {
  append(3, 2);
  begin(from(0));
  EXPECT_TRUE(client_.deliveries.empty()) << "nothing is committed";
  log_->set_progress(Offset(6), Offset(4));
  loop_.settle();
  EXPECT_EQ(client_.covered(), std::pair(uint64_t{0}, uint64_t{4}));
  commit();
  append(1, 2);
  commit();
  EXPECT_EQ(client_.covered(), std::pair(uint64_t{0}, uint64_t{8}));
}

TEST_F(SubscriptionTest, credit_bounds_what_is_delivered_and_more_reads_on) {
  append(10, 1, 2000);
  commit();
  begin(from(0, 5000));
  const size_t first = client_.deliveries.size();
  size_t bytes = 0;
  for (const Delivery& d : client_.deliveries) bytes += d.bytes;
  EXPECT_GE(bytes, 5000u - 2200u);
  EXPECT_LE(bytes, 5000u + 2200u) << "at most one batch beyond";
  subscription_->add_credit(1);
  loop_.settle();
  EXPECT_LE(client_.deliveries.size(), first + 1);
  subscription_->add_credit(1 << 20);
  loop_.settle();
  EXPECT_EQ(client_.covered().second, 10u);
}

TEST_F(SubscriptionTest, one_batch_passes_without_any_credit_and_no_second) {
  append(3, 1, 100);
  commit();
  begin(from(0, 0));
  EXPECT_EQ(client_.covered(), std::pair(uint64_t{0}, uint64_t{1}));
}

TEST_F(SubscriptionTest, deliveries_that_a_filter_emptied_are_charged_too) {
  append(100, 1, 3000);
  commit();
  SubscriptionStart start = from(0, bounds::k_delivery_charge_min * 2);
  start.filter = "nobody";
  begin(std::move(start));
  EXPECT_LE(client_.deliveries.size(), 3u);
  EXPECT_LT(client_.covered().second, 100u);
}

TEST_F(SubscriptionTest, an_offset_to_stop_at_is_exact_and_may_lie_in_the_future) {
  append(1, 4);
  commit();
  SubscriptionStart start = from(1);
  start.until = Offset(6);
  begin(std::move(start));
  EXPECT_FALSE(client_.ended.has_value());
  append(1, 4);
  commit();
  EXPECT_EQ(client_.covered(), std::pair(uint64_t{1}, uint64_t{6}));
  ASSERT_TRUE(client_.ended.has_value());
  EXPECT_TRUE(client_.ended->complete);
  EXPECT_EQ(client_.ended->next_offset, Offset(6));
}

TEST_F(SubscriptionTest, a_stop_that_is_reached_already_ends_without_a_delivery) {
  append(2);
  commit();
  SubscriptionStart start = from(2, 0);
  start.until = Offset(2);
  begin(std::move(start));
  EXPECT_TRUE(client_.deliveries.empty());
  ASSERT_TRUE(client_.ended && client_.ended->complete);
}

TEST_F(SubscriptionTest, a_time_to_stop_at_ends_when_the_clock_has_reached_it) {
  append(2);
  commit();
  SubscriptionStart start = from(0);
  start.until_time = loop_.wall() + seconds(10);
  begin(std::move(start));
  EXPECT_EQ(client_.covered().second, 2u);
  loop_.advance(seconds(9));
  append(1);
  commit();
  EXPECT_FALSE(client_.ended.has_value());
  append(1);  // before the time, and committed after it
  loop_.advance(seconds(2));
  EXPECT_FALSE(client_.ended.has_value());
  append(1);  // after the time
  commit();
  EXPECT_EQ(client_.covered().second, 4u);
  ASSERT_TRUE(client_.ended && client_.ended->complete);
}

TEST_F(SubscriptionTest,
       a_time_to_stop_at_that_lies_in_the_past_stops_before_the_first_such_record) {
  append(2);
  loop_.advance(seconds(10));
  const WallTime stop = loop_.wall();
  append(2);
  commit();
  SubscriptionStart start = from(0);
  start.until_time = stop;
  begin(std::move(start));
  EXPECT_EQ(client_.covered().second, 2u);
  ASSERT_TRUE(client_.ended && client_.ended->complete);
}

TEST_F(SubscriptionTest, a_subscriber_may_end_it_from_inside_a_delivery) {
  append(3);
  commit();
  client_.on_delivery = [&] { subscription_.reset(); };
  begin(from(0));
  EXPECT_EQ(client_.deliveries.size(), 1u);
  EXPECT_EQ(*count_, 0u);
  append(1);
  commit();
  EXPECT_EQ(client_.deliveries.size(), 1u);
  EXPECT_FALSE(client_.ended.has_value());
}

TEST_F(SubscriptionTest, a_subscriber_may_grant_credit_from_inside_a_delivery) {
  append(200, 1, 600);
  commit();
  client_.on_delivery = [&] { subscription_->add_credit(client_.deliveries.back().bytes); };
  begin(from(0, 1));
  EXPECT_EQ(client_.covered().second, 200u);
}

TEST_F(SubscriptionTest, a_position_off_the_history_ends_with_the_valid_end) {
  SubscriptionStart start = from(30);
  start.diverged_at = Offset(20);
  begin(std::move(start));
  ASSERT_TRUE(client_.ended.has_value());
  EXPECT_EQ(client_.ended->error.code, Errc::log_truncated);
  EXPECT_EQ(client_.ended->valid_end, Offset(20));
}

TEST_F(SubscriptionTest, a_slow_reader_that_retention_overtakes_sees_the_gap_in_the_offsets) {
  client_.gaps_allowed = true;
  append(3, 1, 600);
  commit();
  begin(from(0, 1));
  EXPECT_EQ(client_.covered().second, 1u);
  view_.retention.messages = 2;
  partition_->apply(view_, Incarnation(3));
  append(5, 1, 600);
  commit();
  partition_->run_retention(ClockTrust::agree, [](const Result<Offset>&) {});
  loop_.settle();
  ASSERT_EQ(log_->log_start(), Offset(6));
  subscription_->add_credit(1 << 20);
  loop_.settle();
  ASSERT_GE(client_.deliveries.size(), 2u);
  EXPECT_EQ(client_.deliveries[1].base_offset, Offset(6));
  EXPECT_EQ(client_.covered().second, 8u);
}

TEST_F(SubscriptionTest, damage_ends_it_at_the_damaged_place) {
  append(2);
  commit();
  begin(from(0));
  log_->fail_reads({Errc::corrupt, "[2, 3)"});
  append(1);
  commit();
  ASSERT_TRUE(client_.ended.has_value());
  EXPECT_EQ(client_.ended->error.code, Errc::corrupt);
  EXPECT_EQ(client_.ended->next_offset, Offset(2));
}

TEST_F(SubscriptionTest, ends_with_the_partition_and_may_outlive_it) {
  append(1);
  commit();
  begin(from(0));
  partition_->stop({Errc::stream_deleted, ""}, [](const Status&) {});
  loop_.settle();
  ASSERT_TRUE(client_.ended.has_value());
  EXPECT_EQ(client_.ended->error.code, Errc::stream_deleted);
  EXPECT_EQ(client_.ended->next_offset, Offset(1));
  partition_.reset();
  subscription_->add_credit(100);
  loop_.settle();
  subscription_.reset();
}

TEST_F(SubscriptionTest, a_lost_leadership_ends_it_for_a_retry_elsewhere) {
  begin(from(0));
  view_.leader = NodeId(2);
  view_.epoch = Epoch(5);
  partition_->apply(view_, Incarnation(3));
  loop_.settle();
  ASSERT_TRUE(client_.ended.has_value());
  EXPECT_EQ(client_.ended->error.code, Errc::not_leader);
}

}  // namespace
}  // namespace bascule::broker

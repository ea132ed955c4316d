// How a subscription of the client library reads on: credit, resuming, damaged batches.
#include <gtest/gtest.h>

#include "tests/client/client_world.h"

namespace bascule::client {
namespace {

constexpr Uuid k_log_id{{3, 4}};

struct Handle final : broker::Subscription {
  explicit Handle(FakeTransport& to) : transport(to) { ++transport.open_subscriptions; }
  ~Handle() override { --transport.open_subscriptions; }
  void add_credit(uint64_t bytes) override { transport.credits.push_back(bytes); }
  FakeTransport& transport;
};

struct Reading final : Receiver {
  void records(std::span<const Received> records) override {
    for (const Received& r : records) {
      offsets.push_back(r.offset.value);
      values.emplace_back(r.record.value.value_or(""));
    }
    if (on_records) on_records();
  }
  void started(PartitionId, Epoch, Offset first) override { starts.push_back(first.value); }
  void partition_ended(const PartitionEnd& e) override { ends.push_back(e); }
  void ended(Status result) override { end = std::move(result); }

  std::vector<uint64_t> offsets;
  std::vector<std::string> values;
  std::vector<uint64_t> starts;
  std::vector<PartitionEnd> ends;
  std::optional<Status> end;
  std::function<void()> on_records;
};

// A batch as the leader sealed it: `count` records from `base`.
broker::Delivery delivery(uint64_t base, uint32_t count, uint64_t epoch) {
  model::BatchBuilder builder;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string value = "v" + std::to_string(base + i);
    model::RecordView record;
    record.subject = "test.subject";
    record.value = value;
    EXPECT_TRUE(builder.add(record));
  }
  BufferRef batch = builder.finish();
  model::BatchHeader header = *model::decode_batch_header(batch.view(), 0);
  header.base_offset = Offset(base);
  header.epoch = Epoch(epoch);
  model::encode_batch_header(header, model::batch_crc_seed(k_log_id), batch.mutable_bytes());
  broker::Delivery out;
  out.epoch = Epoch(epoch);
  out.base_offset = Offset(base);
  out.next_offset = Offset(base + count);
  out.bytes = batch.size();
  out.batches = {Slice(std::move(batch))};
  return out;
}

void start(ClientWorld& world, SubscribeCall& call, uint64_t first,
           std::optional<Offset> until = {}) {
  call.done(broker::SubscribeStarted{std::make_unique<Handle>(*world.transport), Epoch(1),
                                     Offset(first), until, k_log_id});
}

void end(SubscribeCall& call, Errc code) {
  broker::SubscriptionEnd why;
  why.error = {code, "by the test"};
  call.subscriber->end(why);
}

struct SubscriptionWorld : ClientWorld {
  explicit SubscriptionWorld(broker::StopPosition until = broker::UntilNever{}) {
    add_stream("s", 1);
    SubscribeOptions options;
    options.until = until;
    options.stream = "s";
    options.from = broker::FromEarliest{};
    options.credit_bytes = 1000;
    subscription = client->subscribe(options, reading);
  }
  Reading reading;
  std::unique_ptr<Subscription> subscription;
};

TEST(Subscription, credit_is_granted_anew_for_what_was_handed_over) {
  SubscriptionWorld world;
  SubscribeCall call = world.next_subscribe();
  EXPECT_TRUE(std::holds_alternative<broker::FromEarliest>(call.request.from));
  EXPECT_EQ(call.request.credit_bytes, 1000u);
  start(world, call, 0);
  uint64_t bytes = 0;
  for (uint64_t base = 0; base < 100; base += 10) {
    broker::Delivery d = delivery(base, 10, 1);
    bytes += d.bytes;
    call.subscriber->deliver(std::move(d));
  }
  EXPECT_EQ(world.reading.values.size(), 100u);
  uint64_t granted = 0;
  for (const uint64_t credit : world.transport->credits) {
    EXPECT_GE(credit, 500u);
    granted += credit;
  }
  EXPECT_LE(granted, bytes);
  EXPECT_GT(granted + 500, bytes);
}

TEST(Subscription, a_resumed_one_says_the_epoch_before_and_skips_what_it_has) {
  SubscriptionWorld world;
  SubscribeCall call = world.next_subscribe();
  start(world, call, 0);
  call.subscriber->deliver(delivery(0, 5, 1));
  call.subscriber->deliver(delivery(5, 3, 2));
  end(call, Errc::not_leader);
  call = world.next_subscribe();
  const auto& from = std::get<broker::FromOffset>(call.request.from);
  EXPECT_EQ(from.offset, Offset(8));
  EXPECT_EQ(from.epoch_before, Epoch(2));
  EXPECT_EQ(world.transport->open_subscriptions, 0);
  start(world, call, 8);
  call.subscriber->deliver(delivery(5, 10, 2));
  std::vector<uint64_t> expected;
  for (uint64_t i = 0; i < 15; ++i) expected.push_back(i);
  EXPECT_EQ(world.reading.offsets, expected);
  EXPECT_EQ(world.reading.starts, (std::vector<uint64_t>{0, 8}));
}

TEST(Subscription, the_latest_stays_where_the_first_broker_saw_it) {
  SubscriptionWorld world(broker::UntilLatest{});
  SubscribeCall call = world.next_subscribe();
  EXPECT_TRUE(std::holds_alternative<broker::UntilLatest>(call.request.until));
  // An answer that is lost has said nothing, and nothing of its deliveries has been handed over.
  call.done(std::unexpected(Failure{{Errc::outcome_unknown, "the answer was lost"}, {}}));
  call = world.next_subscribe();
  EXPECT_TRUE(std::holds_alternative<broker::UntilLatest>(call.request.until));
  EXPECT_TRUE(world.reading.values.empty());
  start(world, call, 0, Offset(8));
  call.subscriber->deliver(delivery(0, 5, 1));
  // Meanwhile others publish, and each broker would take something else for the latest.
  for (int i = 0; i < 3; ++i) {
    end(call, i == 1 ? Errc::not_leader : Errc::connection_lost);
    call = world.next_subscribe();
    const auto* until = std::get_if<broker::UntilOffset>(&call.request.until);
    ASSERT_NE(until, nullptr);
    EXPECT_EQ(until->offset, Offset(8));
    if (i == 0) {
      call.done(std::unexpected(Failure{{Errc::outcome_unknown, "the answer was lost"}, {}}));
      call = world.next_subscribe();
      ASSERT_TRUE(std::holds_alternative<broker::UntilOffset>(call.request.until));
    }
    start(world, call, 5, Offset(8));
  }
  call.subscriber->deliver(delivery(5, 3, 1));
  broker::SubscriptionEnd complete;
  complete.complete = true;
  complete.next_offset = Offset(8);
  call.subscriber->end(complete);
  ASSERT_TRUE(world.until([&] { return world.reading.end.has_value(); }));
  EXPECT_EQ(world.reading.values.size(), 8u);
  EXPECT_EQ(world.reading.ends.at(0).next, Offset(8));
}

TEST(Subscription, a_damaged_batch_is_asked_for_again_and_never_handed_over) {
  for (const size_t at : {20u, 100u}) {  // in the header, in the body
    SubscriptionWorld world;
    SubscribeCall call = world.next_subscribe();
    start(world, call, 0);
    call.subscriber->deliver(delivery(0, 5, 1));
    broker::Delivery bad = delivery(5, 5, 1);
    BufferRef damaged = BufferRef::copy_of(bad.batches[0]);
    damaged.mutable_bytes()[at] ^= 0x10;
    bad.batches = {Slice(damaged)};
    call.subscriber->deliver(bad);
    EXPECT_EQ(world.reading.values.size(), 5u);
    call = world.next_subscribe();
    EXPECT_EQ(std::get<broker::FromOffset>(call.request.from).offset, Offset(5));
    start(world, call, 5);
    call.subscriber->deliver(delivery(5, 5, 1));
    EXPECT_EQ(world.reading.values.size(), 10u);
    for (int i = 0; i < 3; ++i) {
      broker::Delivery again = delivery(10, 1, 1);
      BufferRef copy = BufferRef::copy_of(again.batches[0]);
      copy.mutable_bytes()[at] ^= 1;
      again.batches = {Slice(copy)};
      call.subscriber->deliver(again);
      if (i == 2) break;
      call = world.next_subscribe();
      start(world, call, 10);
    }
    ASSERT_EQ(world.reading.ends.size(), 1u);
    ASSERT_FALSE(world.reading.ends[0].result);
    EXPECT_EQ(world.reading.ends[0].result.error().code, Errc::corrupt);
    EXPECT_EQ(world.reading.ends[0].next, Offset(10));
  }
}

TEST(Subscription, what_cannot_be_read_ends_and_says_why) {
  for (const Errc code : {Errc::unknown_stream, Errc::invalid, Errc::corrupt}) {
    SubscriptionWorld world;
    SubscribeCall call = world.next_subscribe();
    call.done(std::unexpected(Failure{{code, "by the test"}, {}}));
    ASSERT_TRUE(world.until([&] { return world.reading.end.has_value(); }));
    ASSERT_EQ(world.reading.ends.size(), 1u);
    EXPECT_EQ(world.reading.ends[0].result.error().code, code);
  }
}

TEST(Subscription, one_that_cannot_begin_ends_after_its_time) {
  SubscriptionWorld world;
  const auto begin = world.sim.now();
  while (!world.reading.end) {
    SubscribeCall call = world.next_subscribe();
    call.done(std::unexpected(Failure{{Errc::not_leader, "by the test"}, {}}));
    world.run(seconds(1));
  }
  EXPECT_EQ(world.reading.ends[0].result.error().code, Errc::not_leader);
  EXPECT_GE((world.sim.now() - begin).ns, seconds(30).ns);
  EXPECT_LT((world.sim.now() - begin).ns, seconds(40).ns);
}

TEST(Subscription, it_may_be_dropped_while_it_hands_over) {
  SubscriptionWorld world;
  SubscribeCall call = world.next_subscribe();
  start(world, call, 0);
  world.reading.on_records = [&] { world.subscription.reset(); };
  call.subscriber->deliver(delivery(0, 5, 1));
  EXPECT_EQ(world.reading.values.size(), 5u);
  world.run(milliseconds(1));
  EXPECT_EQ(world.transport->open_subscriptions, 0);
}

TEST(Subscription, of_a_stream_that_is_not_there_ends_at_once) {
  ClientWorld world;
  Reading reading;
  SubscribeOptions options;
  options.stream = "nothing";
  const auto subscription = world.client->subscribe(options, reading);
  ASSERT_TRUE(world.until([&] { return reading.end.has_value(); }));
  EXPECT_EQ(reading.end->error().code, Errc::unknown_stream);
}

}  // namespace
}  // namespace bascule::client

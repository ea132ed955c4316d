// The whole RPC path over the simulated network: client library, transport, server, a fake broker.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/capnp/rpc_world.h"

namespace bascule::rpc {
namespace {

using broker::StreamStatus;
using client::Published;

std::vector<std::string> numbered(int count, size_t size = 0) {
  std::vector<std::string> out;
  for (int i = 0; i < count; ++i) {
    std::string value = "value " + std::to_string(i) + " ";
    if (value.size() < size) value.resize(size, 'x');
    out.push_back(std::move(value));
  }
  return out;
}

TEST(Rpc, a_stream_is_created_described_listed_and_deleted) {
  RpcWorld world;
  model::StreamConfig config;
  config.name = "orders";
  config.subjects = {"orders.>", "extra.*"};
  config.partitions = 3;
  config.durability = model::DurabilityMode::memory;
  config.answers = model::AnswerMode::off;
  config.retain_age = seconds(60);
  config.retain_bytes = 1 << 20;
  config.retain_messages = 77;
  config.segment_bytes = 1 << 22;
  config.message_bytes_max = 1 << 16;

  const auto made = world.wait<StreamStatus>(
      [&](auto done) { world.client().create_stream(config, std::move(done)); });
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->config, config);
  EXPECT_EQ(world.api().last_create()->config, config);
  EXPECT_EQ(made->created.ns, 123'456'789);
  EXPECT_EQ(made->warnings, std::vector<std::string>{"made by a test"});
  ASSERT_EQ(made->partitions.size(), 3u);
  EXPECT_EQ(made->partitions[2].index, PartitionIndex(2));
  EXPECT_EQ(made->partitions[2].isr, std::vector<NodeId>{NodeId(1)});
  EXPECT_EQ(made->partitions[2].state, broker::PartitionState::online);
  EXPECT_EQ(made->partitions[2].hw, Offset(5));
  EXPECT_EQ(made->partitions[2].leo, std::nullopt);

  const auto described = world.wait<broker::DescribedStream>(
      [&](auto done) { world.client().describe_stream("orders", std::move(done)); });
  ASSERT_TRUE(described);
  EXPECT_EQ(described->stream.partitions, made->partitions);
  EXPECT_EQ(described->as_of, world.api().as_of);

  const auto listed = world.wait<broker::StreamList>(
      [&](auto done) { world.client().list_streams(std::move(done)); });
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->streams.size(), 1u);
  EXPECT_EQ(listed->streams.front().config, config);
  EXPECT_EQ(listed->as_of, world.api().as_of);

  ASSERT_TRUE(world.wait<void>(
      [&](auto done) { world.client().delete_stream("orders", std::move(done)); }));
  const auto gone = world.wait<broker::DescribedStream>(
      [&](auto done) { world.client().describe_stream("orders", std::move(done)); });
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Errc::unknown_stream);
}

TEST(Rpc, a_long_list_of_streams_comes_in_pages_and_whole) {
  RpcWorld world;
  for (int i = 0; i < 2500; ++i) world.api().add_stream("s" + std::to_string(i), 1 + i % 7);
  const auto listed = world.wait<broker::StreamList>(
      [&](auto done) { world.client().list_streams(std::move(done)); });
  ASSERT_TRUE(listed) << listed.error().to_string();
  const std::vector<StreamStatus>& streams = listed->streams;
  ASSERT_EQ(streams.size(), 2500u);
  for (size_t i = 1; i < streams.size(); ++i)
    EXPECT_LT(streams[i - 1].config.name, streams[i].config.name);
}

TEST(Rpc, published_records_come_back_in_order_whatever_the_network_splits) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    RpcWorld world(seed);
    world.sim.network().options().split_permille = seed % 2 == 0 ? 1000 : 250;
    const StreamId stream = world.api().add_stream("orders");
    const auto publisher = world.client().publisher("orders", {});
    const auto values = numbered(500, seed % 3 == 0 ? 3000 : 0);
    std::vector<Published> acks;
    for (const std::string& value : values) {
      const model::Record record = record_of(value);
      ASSERT_TRUE(publisher->publish(model::view_of(record), [&](Result<Published> ack) {
        ASSERT_TRUE(ack) << ack.error().to_string();
        acks.push_back(*ack);
      }));
    }
    ASSERT_TRUE(world.wait<void>([&](auto done) { publisher->flush(std::move(done)); }));
    ASSERT_EQ(acks.size(), values.size());
    for (size_t i = 0; i < acks.size(); ++i) {
      EXPECT_EQ(acks[i].offset, Offset(i));
      EXPECT_EQ(acks[i].epoch, Epoch(1));
      EXPECT_EQ(acks[i].partition, (PartitionId{stream, PartitionIndex(0)}));
    }
    EXPECT_EQ(world.api().values(stream), values);

    Collector collector;
    const auto subscription = world.client().subscribe({.stream = "orders",
                                                        .partition = {},
                                                        .from = broker::FromEarliest{},
                                                        .until = broker::UntilLatest{},
                                                        .filter = {}},
                                                       collector);
    ASSERT_TRUE(world.until([&] { return collector.end.has_value(); }));
    EXPECT_TRUE(*collector.end);
    EXPECT_EQ(collector.values, values);
    ASSERT_EQ(collector.ends.size(), 1u);
    EXPECT_TRUE(collector.ends[0].result);
    EXPECT_EQ(collector.ends[0].next, Offset(values.size()));
  }
}

TEST(Rpc, a_batch_gathers_while_the_last_one_is_in_flight) {
  RpcWorld world;
  world.api().add_stream("orders");
  world.api().hold();
  const auto publisher = world.client().publisher("orders", {});
  const model::Record record = record_of("x");
  ASSERT_TRUE(publisher->publish(model::view_of(record)));
  ASSERT_TRUE(world.until([&] { return world.api().publishes() == 1; }));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(publisher->publish(model::view_of(record)));
    if (i % 100 == 0) world.run(milliseconds(1));
  }
  EXPECT_EQ(world.api().publishes(), 1);
  world.api().release();
  ASSERT_TRUE(world.wait<void>([&](auto done) { publisher->flush(std::move(done)); }));
  EXPECT_EQ(world.api().publishes(), 2);
}

TEST(Rpc, keys_choose_the_partition_and_an_explicit_one_wins) {
  RpcWorld world;
  const StreamId stream = world.api().add_stream("orders", 4);
  const auto publisher = world.client().publisher("orders", {});
  for (int i = 0; i < 40; ++i) {
    const model::Record record = record_of("v", "key " + std::to_string(i));
    ASSERT_TRUE(publisher->publish(model::view_of(record), [i](Result<Published> ack) {
      ASSERT_TRUE(ack);
      EXPECT_EQ(ack->partition.index.value, model::partition_of_key("key " + std::to_string(i), 4));
    }));
  }
  ASSERT_TRUE(world.wait<void>([&](auto done) { publisher->flush(std::move(done)); }));
  client::PublisherOptions options;
  options.partition = PartitionIndex(3);
  const size_t before = world.api().values(stream, 3).size();
  const auto explicit_one = world.client().publisher("orders", options);
  for (int i = 0; i < 10; ++i) {
    const model::Record record = record_of("v", "key " + std::to_string(i));
    ASSERT_TRUE(explicit_one->publish(model::view_of(record)));
  }
  ASSERT_TRUE(world.wait<void>([&](auto done) { explicit_one->flush(std::move(done)); }));
  EXPECT_EQ(world.api().values(stream, 3).size(), before + 10);
}

TEST(Rpc, what_is_definitely_refused_is_published_again_and_what_is_not_is_not) {
  RpcWorld world;
  const StreamId stream = world.api().add_stream("orders");
  const auto publisher = world.client().publisher("orders", {});
  const auto publish = [&](std::string value) {
    return world.wait<Published>([&](auto done) {
      const model::Record record = record_of(std::move(value));
      ASSERT_TRUE(publisher->publish(model::view_of(record), std::move(done)));
    });
  };
  for (const Errc passing : {Errc::overloaded, Errc::not_leader, Errc::not_yet,
                             Errc::not_enough_replicas, Errc::stopping, Errc::fenced}) {
    world.api().fail_next(passing, 2);
    EXPECT_TRUE(publish("a")) << errc_name(passing);
  }
  EXPECT_EQ(world.api().values(stream).size(), 6u);
  for (const Errc last : {Errc::read_only, Errc::invalid, Errc::outcome_unknown}) {
    world.api().fail_next(last);
    const int before = world.api().publishes();
    const auto result = publish("b");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, last);
    EXPECT_EQ(world.api().publishes(), before + 1);
  }
  EXPECT_EQ(world.api().values(stream).size(), 6u);
}

TEST(Rpc, a_publish_whose_answer_is_lost_ends_with_outcome_unknown) {
  RpcWorld world;
  world.api().add_stream("orders");
  const auto publisher = world.client().publisher("orders", {});
  world.api().hold();
  std::optional<Errc> code;
  const model::Record record = record_of("x");
  ASSERT_TRUE(publisher->publish(model::view_of(record), [&](Result<Published> result) {
    ASSERT_FALSE(result);
    code = result.error().code;
  }));
  ASSERT_TRUE(world.until([&] { return world.api().publishes() == 1; }));
  world.server_node->crash_process();
  ASSERT_TRUE(world.until([&] { return code.has_value(); }));
  EXPECT_EQ(*code, Errc::outcome_unknown);
}

TEST(Rpc, an_unknown_stream_fails_its_records) {
  RpcWorld world;
  const auto publisher = world.client().publisher("nothing", {});
  const auto result = world.wait<Published>([&](auto done) {
    const model::Record record = record_of("x");
    ASSERT_TRUE(publisher->publish(model::view_of(record), std::move(done)));
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::unknown_stream);
  EXPECT_EQ(publisher->buffered_bytes(), 0u);
}

TEST(Rpc, a_subscription_goes_on_after_the_broker_was_killed) {
  RpcWorld world;
  world.api().add_stream("orders");
  world.api().append(StreamId(1), numbered(10));
  Collector collector;
  const auto subscription = world.client().subscribe({.stream = "orders",
                                                      .partition = {},
                                                      .from = broker::FromEarliest{},
                                                      .until = {},
                                                      .filter = {}},
                                                     collector);
  ASSERT_TRUE(world.until([&] { return collector.values.size() == 10; }));
  world.server_node->crash_process();
  world.run(seconds(1));
  world.start_server();
  world.api().add_stream("orders");
  world.api().append(StreamId(1), numbered(10));
  auto more = numbered(30);
  more.erase(more.begin(), more.begin() + 10);
  world.api().append(StreamId(1), more);
  ASSERT_TRUE(world.until([&] { return collector.values.size() >= 30 || collector.end; }));
  for (const auto& end : collector.ends) ADD_FAILURE() << end.result.error().to_string();
  EXPECT_EQ(collector.values, numbered(30));
  EXPECT_EQ(collector.starts, (std::vector<Offset>{Offset(0), Offset(10)}));
}

TEST(Rpc, a_history_that_changed_ends_the_subscription_with_its_valid_end) {
  RpcWorld world;
  const StreamId stream = world.api().add_stream("orders");
  world.api().append(stream, numbered(4));
  world.api().append(stream, numbered(4));
  Collector collector;
  const auto subscription = world.client().subscribe({.stream = "orders",
                                                      .partition = {},
                                                      .from = broker::FromEarliest{},
                                                      .until = {},
                                                      .filter = {}},
                                                     collector);
  ASSERT_TRUE(world.until([&] { return collector.values.size() == 8; }));
  world.api().truncate(stream, Offset(4));
  world.api().append(stream, {"other"});
  world.api().append(stream, numbered(9));
  world.api().end_subscriptions(Errc::not_leader);  // the reader comes again at (8, epoch 1)
  ASSERT_TRUE(world.until([&] { return collector.end.has_value(); }));
  ASSERT_EQ(collector.ends.size(), 1u);
  ASSERT_FALSE(collector.ends[0].result);
  EXPECT_EQ(collector.ends[0].result.error().code, Errc::log_truncated);
  EXPECT_EQ(collector.ends[0].next, Offset(8));
  EXPECT_EQ(collector.ends[0].epoch_before, Epoch(1));
  EXPECT_EQ(collector.ends[0].valid_end, Offset(5));
}

TEST(Rpc, all_partitions_are_read_side_by_side_and_each_ends) {
  RpcWorld world;
  const StreamId stream = world.api().add_stream("orders", 3);
  for (uint32_t i = 0; i < 3; ++i) world.api().append(stream, numbered(5), i);
  Collector collector;
  const auto subscription = world.client().subscribe({.stream = "orders",
                                                      .partition = {},
                                                      .from = broker::FromEarliest{},
                                                      .until = broker::UntilLatest{},
                                                      .filter = {}},
                                                     collector);
  ASSERT_TRUE(world.until([&] { return collector.end.has_value(); }));
  EXPECT_EQ(collector.ends.size(), 3u);
  EXPECT_EQ(collector.values.size(), 15u);
}

TEST(Rpc, a_paused_subscription_gets_no_more_than_its_credit) {
  RpcWorld world;
  const StreamId stream = world.api().add_stream("orders");
  for (int i = 0; i < 200; ++i) world.api().append(stream, numbered(10, 1000));  // 2 MB
  Collector collector;
  client::SubscribeOptions options;
  options.stream = "orders";
  options.from = broker::FromEarliest{};
  options.credit_bytes = 100'000;
  const auto subscription = world.client().subscribe(options, collector);
  subscription->pause();
  world.run(seconds(10));
  EXPECT_TRUE(collector.values.empty());
  EXPECT_GE(world.api().delivered_bytes(), 90'000u);
  EXPECT_LE(world.api().delivered_bytes(), 120'000u);
  subscription->resume();
  ASSERT_TRUE(world.until([&] { return collector.values.size() == 2000; }));
}

TEST(Rpc, a_dropped_subscription_ends_at_the_broker) {
  RpcWorld world;
  world.api().add_stream("orders");
  Collector collector;
  client::SubscribeOptions options;
  options.stream = "orders";
  auto subscription = world.client().subscribe(options, collector);
  ASSERT_TRUE(world.until([&] { return world.api().subscriptions() == 1; }));
  world.run(milliseconds(10));
  subscription.reset();
  EXPECT_TRUE(world.until([&] { return world.api().subscriptions() == 0; }));
}

TEST(Rpc, a_client_that_dies_takes_its_subscriptions_with_it) {
  RpcWorld world;
  const StreamId stream = world.api().add_stream("orders");
  for (int i = 0; i < 200; ++i) world.api().append(stream, numbered(10, 1000));
  Collector collector;
  client::SubscribeOptions options;
  options.stream = "orders";
  options.from = broker::FromEarliest{};
  auto subscription = world.client().subscribe(options, collector);
  ASSERT_TRUE(world.until([&] { return !collector.values.empty(); }));
  subscription.reset();
  subscription = world.client().subscribe(options, collector);
  ASSERT_TRUE(world.until([&] { return world.api().subscriptions() == 1; }));
  subscription.reset();
  world.client_node->crash_process();
  EXPECT_TRUE(world.until([&] {
    return world.api().subscriptions() == 0 && world.server_program->server->connections() == 0;
  }));
}

}  // namespace
}  // namespace bascule::rpc

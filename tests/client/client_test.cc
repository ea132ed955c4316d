// What the client library does by itself: where it sends, what it gathers, what it repeats.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/client/client_world.h"

namespace bascule::client {
namespace {

void publish(Publisher& publisher, std::string value, Done<Published> done = {},
             std::optional<std::string_view> key = {}) {
  model::RecordView record;
  record.subject = "test.subject";
  record.value = value;
  record.key = key;
  ASSERT_TRUE(publisher.publish(record, std::move(done)));
}

uint32_t record_count(const PublishCall& call) {
  return model::verify_batch(call.request.batch, 0)->record_count;
}

void ack(PublishCall& call, uint64_t offset) {
  call.done(broker::PublishAck{{call.request.stream, call.request.partition},
                               Epoch(3),
                               Offset(offset),
                               record_count(call),
                               false});
}

void refuse(PublishCall& call, Errc code, std::optional<LeaderHint> leader = {}) {
  call.done(std::unexpected(Failure{{code, "by the test"}, std::move(leader)}));
}

TEST(Client, each_partition_is_published_to_at_its_leader) {
  ClientWorld world;
  world.add_stream("s", 2);
  for (const uint32_t partition : {0u, 1u}) {
    PublisherOptions options;
    options.partition = PartitionIndex(partition);
    const auto publisher = world.client->publisher("s", options);
    publish(*publisher, "x");
    PublishCall call = world.next_publish();
    EXPECT_EQ(call.to, partition == 0 ? k_first : k_second);
    EXPECT_EQ(call.request.stream, StreamId(7));
    EXPECT_EQ(call.request.partition, PartitionIndex(partition));
    ack(call, 0);
  }
  EXPECT_EQ(world.transport->describes, 1);
}

TEST(Client, a_leader_hint_is_followed_at_once) {
  ClientWorld world;
  world.add_stream("s", 1);
  const auto publisher = world.client->publisher("s", {});
  std::optional<Published> published;
  publish(*publisher, "x", [&](Result<Published> result) { published = result.value(); });
  PublishCall call = world.next_publish();
  EXPECT_EQ(call.to, k_first);
  refuse(call, Errc::not_leader, LeaderHint{NodeId(2), Epoch(4), k_second});
  call = world.next_publish();
  EXPECT_EQ(call.to, k_second);
  ack(call, 41);
  ASSERT_TRUE(world.until([&] { return published.has_value(); }));
  EXPECT_EQ(published->offset, Offset(41));
  EXPECT_EQ(published->epoch, Epoch(3));
}

TEST(Client, without_a_hint_the_leader_is_looked_up_anew) {
  ClientWorld world;
  world.add_stream("s", 1);
  const auto publisher = world.client->publisher("s", {});
  publish(*publisher, "x");
  PublishCall call = world.next_publish();
  world.transport->streams["s"].status.partitions[0].leader = NodeId(2);
  refuse(call, Errc::not_leader);
  call = world.next_publish();
  EXPECT_EQ(call.to, k_second);
  EXPECT_EQ(world.transport->describes, 2);
}

TEST(Client, full_batches_are_pipelined_and_a_partial_one_waits_for_those_in_flight) {
  ClientWorld world;
  world.add_stream("s", 1);
  PublisherOptions options;
  options.batch_bytes_max = 10'000;
  options.batches_in_flight_max = 3;
  const auto publisher = world.client->publisher("s", options);
  for (int i = 0; i < 45; ++i) publish(*publisher, std::string(950, 'x'));  // ten to a batch
  world.run(milliseconds(10));
  ASSERT_EQ(world.transport->publishes.size(), 3u);
  for (const PublishCall& call : world.transport->publishes) {
    EXPECT_LE(call.request.batch.size(), 10'200u);
    EXPECT_GE(record_count(call), 9u);
  }
  uint64_t offset = 0;
  uint32_t records = 0;
  while (records < 45) {
    PublishCall call = world.next_publish();
    records += record_count(call);
    ack(call, offset);
    offset += record_count(call);
    world.run(milliseconds(1));
  }
  EXPECT_EQ(records, 45u);
  EXPECT_EQ(publisher->buffered_bytes(), 0u);
}

TEST(Client, records_without_a_key_go_round_robin_by_batch) {
  ClientWorld world;
  world.add_stream("s", 3);
  const auto publisher = world.client->publisher("s", {});
  std::vector<uint32_t> partitions;
  for (int i = 0; i < 6; ++i) {
    publish(*publisher, "x");
    publish(*publisher, "y");
    PublishCall call = world.next_publish();
    EXPECT_EQ(record_count(call), 2u);
    partitions.push_back(call.request.partition.value);
    ack(call, 0);
  }
  EXPECT_EQ(partitions, (std::vector<uint32_t>{0, 1, 2, 0, 1, 2}));
}

TEST(Client, a_refused_batch_goes_first_when_it_is_sent_again) {
  ClientWorld world;
  world.add_stream("s", 1);
  PublisherOptions options;
  options.batches_in_flight_max = 1;
  options.batch_records_max = 2;
  const auto publisher = world.client->publisher("s", options);
  std::vector<uint64_t> sequences;
  publisher->on_batch([&](const BatchOutcome& outcome) {
    EXPECT_TRUE(outcome.result);
    sequences.insert(sequences.end(), outcome.sequences.begin(), outcome.sequences.end());
  });
  for (int i = 0; i < 6; ++i) publish(*publisher, std::to_string(i));
  PublishCall call = world.next_publish();
  refuse(call, Errc::overloaded);
  for (int batch = 0; batch < 3; ++batch) {
    call = world.next_publish();
    EXPECT_EQ(record_count(call), 2u);
    ack(call, 2 * static_cast<uint64_t>(batch));
    world.run(milliseconds(1));
  }
  EXPECT_EQ(sequences, (std::vector<uint64_t>{0, 1, 2, 3, 4, 5}));
}

TEST(Client, what_was_not_sent_is_sent_again_and_what_was_is_unknown) {
  ClientWorld world;
  world.add_stream("s", 1);
  const auto publisher = world.client->publisher("s", {});
  std::optional<Errc> code;
  publish(*publisher, "x", [&](Result<Published> result) {
    ASSERT_FALSE(result);
    code = result.error().code;
  });
  PublishCall call = world.next_publish();
  refuse(call, Errc::connection_lost);
  call = world.next_publish();
  EXPECT_FALSE(code.has_value());
  refuse(call, Errc::outcome_unknown);
  ASSERT_TRUE(world.until([&] { return code.has_value(); }));
  EXPECT_EQ(*code, Errc::outcome_unknown);
  world.run(seconds(60));
  EXPECT_TRUE(world.transport->publishes.empty());
}

TEST(Client, silence_is_unknown_after_the_deadline_and_what_waits_behind_is_definite) {
  ClientWorld world;
  world.add_stream("s", 1);
  PublisherOptions options;
  options.delivery_timeout = seconds(5);
  options.batches_in_flight_max = 1;
  options.batch_records_max = 1;
  const auto publisher = world.client->publisher("s", options);
  std::vector<Errc> codes;
  for (int i = 0; i < 3; ++i) {
    publish(*publisher, "x", [&](Result<Published> result) {
      ASSERT_FALSE(result);
      codes.push_back(result.error().code);
    });
  }
  ASSERT_TRUE(world.until([&] { return codes.size() == 3; }, seconds(7)));
  EXPECT_EQ(std::ranges::count(codes, Errc::outcome_unknown), 1);
  EXPECT_EQ(std::ranges::count(codes, Errc::deadline_exceeded), 2);
  EXPECT_EQ(world.transport->publishes.size(), 1u);
  const Status flushed = world.wait<void>([&](auto done) { publisher->flush(std::move(done)); });
  EXPECT_FALSE(flushed);
}

TEST(Client, a_publisher_may_be_dropped_inside_its_own_completion) {
  ClientWorld world;
  world.add_stream("s", 1);
  auto publisher = world.client->publisher("s", {});
  int answered = 0;
  for (int i = 0; i < 3; ++i) {
    publish(*publisher, "x", [&](Result<Published>) {
      ++answered;
      publisher.reset();
    });
  }
  PublishCall call = world.next_publish();
  ack(call, 0);
  world.run(seconds(1));
  EXPECT_EQ(answered, 1);
}

TEST(Client, batches_carry_the_producers_id_and_count_the_records_of_their_partition) {
  ClientWorld world;
  world.add_stream("s", 1);
  const auto publisher = world.client->publisher("s", {});
  uint32_t expected = 0;
  for (const uint32_t count : {1, 3, 2}) {
    for (uint32_t i = 0; i < count; ++i) publish(*publisher, "b");
    PublishCall call = world.next_publish();
    const auto header = model::decode_batch_header(call.request.batch.view(), 0);
    ASSERT_TRUE(header.has_value());
    EXPECT_EQ(header->record_count, count);
    EXPECT_EQ(header->producer, ProducerId(1));
    EXPECT_EQ(header->base_sequence, expected);
    expected += count;
    ack(call, expected);
    world.run(milliseconds(1));
  }
}

TEST(Client, the_servers_are_tried_in_turn) {
  ClientWorld world({.servers = {k_first, k_second}});
  world.transport->refuse(k_first, Errc::connection_refused, 100);
  const auto listed = world.wait<broker::StreamList>(
      [&](auto done) { world.client->list_streams(std::move(done)); });
  EXPECT_TRUE(listed);
  EXPECT_EQ(world.transport->connects, (std::vector<env::Address>{k_first, k_second}));
}

TEST(Client, a_broken_connection_is_made_anew) {
  ClientWorld world;
  ASSERT_TRUE(world.wait<broker::StreamList>(
      [&](auto done) { world.client->list_streams(std::move(done)); }));
  world.transport->break_off(k_first);
  world.run(milliseconds(1));
  ASSERT_TRUE(world.wait<broker::StreamList>(
      [&](auto done) { world.client->list_streams(std::move(done)); }));
  EXPECT_EQ(world.transport->connects.size(), 2u);
}

TEST(Client, nobody_there_is_reported_after_the_connect_timeout) {
  ClientWorld world({.servers = {k_first}, .connect_timeout = seconds(3)});
  world.transport->refuse(k_first, Errc::connection_refused, 1'000'000);
  const auto begin = world.sim.now();
  const auto listed = world.wait<broker::StreamList>(
      [&](auto done) { world.client->list_streams(std::move(done)); });
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, Errc::connection_refused);
  EXPECT_GE((world.sim.now() - begin).ns, seconds(3).ns);
  EXPECT_LT((world.sim.now() - begin).ns, seconds(6).ns);
}

TEST(Client, a_deletion_whose_answer_was_lost_counts_when_the_stream_is_gone) {
  ClientWorld world;
  world.add_stream("s", 1);
  world.transport->delete_failures = {Errc::outcome_unknown, Errc::unknown_stream};
  EXPECT_TRUE(
      world.wait<void>([&](auto done) { world.client->delete_stream("s", std::move(done)); }));
  EXPECT_EQ(world.transport->deletes, 2);
  world.transport->delete_failures = {Errc::unknown_stream};
  const Status unknown =
      world.wait<void>([&](auto done) { world.client->delete_stream("s", std::move(done)); });
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::unknown_stream);
}

}  // namespace
}  // namespace bascule::client

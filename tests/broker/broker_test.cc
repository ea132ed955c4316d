#include "src/broker/broker.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/broker/broker_harness.h"

namespace bascule::broker {
namespace {

using Values = std::vector<std::string>;

class BrokerTest : public ::testing::Test {
 protected:
  BrokerHarness h_;
};

TEST_F(BrokerTest, a_published_batch_is_read_back_record_by_record) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  const auto ack = h_.publish(stream, {"a1", "b2", "c3"});
  ASSERT_TRUE(ack.has_value()) << ack.error().to_string();
  EXPECT_EQ(ack->base_offset, Offset(0));
  EXPECT_EQ(ack->count, 3u);
  EXPECT_EQ((h_.publish(stream, {"d4"}))->base_offset, Offset(3));
  EXPECT_EQ(h_.read_all(stream), (Values{"a1", "b2", "c3", "d4"}));
}

TEST_F(BrokerTest, what_was_acknowledged_is_there_after_a_kill_a_power_loss_and_a_clean_stop) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders", 2));
  ASSERT_TRUE(h_.publish(stream, {"a"}, {.partition = 0}).has_value());
  ASSERT_TRUE(h_.publish(stream, {"b"}, {.partition = 1}).has_value());
  h_.kill();
  h_.start_well();
  EXPECT_EQ(h_.read_all(stream, 0), Values{"a"});
  ASSERT_TRUE(h_.publish(stream, {"c"}, {.partition = 0}).has_value());
  h_.power_loss();
  h_.start_well();
  EXPECT_EQ(h_.read_all(stream, 0), (Values{"a", "c"}));
  h_.stop_cleanly();
  h_.start_well();
  EXPECT_TRUE(h_.broker().logs().clean_start());
  EXPECT_EQ(h_.read_all(stream, 0), (Values{"a", "c"}));
  EXPECT_EQ(h_.read_all(stream, 1), Values{"b"});
}

TEST_F(BrokerTest, each_start_raises_the_epoch_and_a_stale_one_is_fenced) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  const auto first = h_.publish(stream, {"a"});
  ASSERT_TRUE(first.has_value());
  h_.restart_after_kill();
  const auto stale = h_.publish(stream, {"b"}, {.epoch = first->epoch});
  ASSERT_FALSE(stale.has_value());
  EXPECT_EQ(stale.error().code, Errc::fenced);
  const auto second = h_.publish(stream, {"c"});
  ASSERT_TRUE(second.has_value());
  EXPECT_GT(second->epoch, first->epoch);
  EXPECT_EQ(h_.read_all(stream), (Values{"a", "c"}));
}

TEST_F(BrokerTest, creating_a_stream_again_is_success_and_another_configuration_is_not) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  EXPECT_EQ(h_.create_well(h_.config("orders")), stream);
  const auto other = h_.create(h_.config("orders", 3));
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Errc::stream_exists);
  model::StreamConfig bad = h_.config("x");
  bad.subjects = {"a..b"};
  EXPECT_EQ(h_.create(bad).error().code, Errc::invalid);
}

TEST_F(BrokerTest, a_created_stream_is_ready_and_described) {
  h_.start_well();
  const auto created = h_.create(h_.config("orders", 3));
  ASSERT_TRUE(created.has_value());
  ASSERT_EQ(created->partitions.size(), 3u);
  for (const PartitionStatus& p : created->partitions) {
    EXPECT_EQ(p.state, PartitionState::online);
    EXPECT_EQ(p.leader, NodeId(1));
    EXPECT_EQ(p.hw, Offset(0));
  }
  ASSERT_TRUE(h_.publish(created->id, {"a", "b"}, {.partition = 2}).has_value());
  const auto described = h_.call<DescribedStream>([&](Done<DescribedStream> done) {
    h_.broker().describe_stream({}, {.id = {}, .name = "orders"}, {}, std::move(done));
  });
  ASSERT_TRUE(described.has_value());
  EXPECT_EQ(described->stream.id, created->id);
  EXPECT_EQ(described->stream.partitions[2].hw, Offset(2));
  EXPECT_EQ(described->stream.partitions[2].leo, Offset(2));
  const auto listed = h_.call<StreamList>(
      [&](Done<StreamList> done) { h_.broker().list_streams({}, {}, std::move(done)); });
  ASSERT_TRUE(listed.has_value());
  ASSERT_EQ(listed->streams.size(), 1u);
  EXPECT_EQ(listed->streams.front().config, h_.config("orders", 3));
}

TEST_F(BrokerTest, a_deleted_stream_ends_subscriptions_and_its_id_is_never_served_again) {
  h_.start_well();
  const StreamId old = h_.create_well(h_.config("orders"));
  ASSERT_TRUE(h_.publish(old, {"a"}).has_value());
  RecordingSubscriber follower;
  Subscribe request = h_.all_of(old);
  request.until = UntilNever{};
  ASSERT_TRUE(h_.subscribe(follower, request).has_value());
  const auto deleted =
      h_.call<void>([&](Done<void> done) { h_.broker().delete_stream({}, old, std::move(done)); });
  ASSERT_TRUE(deleted.has_value());
  h_.run_until([&] { return follower.ended.has_value(); });
  EXPECT_EQ(follower.ended->error.code, Errc::stream_deleted);
  const StreamId fresh = h_.create_well(h_.config("orders"));
  EXPECT_NE(fresh, old);
  EXPECT_EQ(h_.publish(old, {"b"}).error().code, Errc::unknown_stream);
  EXPECT_EQ(h_.read_all(fresh), Values{});
  const auto again =
      h_.call<void>([&](Done<void> done) { h_.broker().delete_stream({}, old, std::move(done)); });
  EXPECT_EQ(again.error().code, Errc::unknown_stream);
  h_.settle(seconds(1));
  h_.restart_after_kill();
  EXPECT_EQ(h_.publish(old, {"b"}).error().code, Errc::unknown_stream);
  for (const log::FoundLog& found : h_.broker().logs().found())
    EXPECT_EQ(found.partition.stream, fresh) << "the old directory is gone";
}

TEST_F(BrokerTest, unknown_streams_and_partitions_are_refused_by_name) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders", 2));
  EXPECT_EQ(h_.publish(StreamId(77), {"a"}).error().code, Errc::unknown_stream);
  EXPECT_EQ(h_.publish(stream, {"a"}, {.partition = 2}).error().code, Errc::unknown_partition);
  RecordingSubscriber nobody;
  EXPECT_EQ(h_.subscribe(nobody, h_.all_of(stream, 2)).error().code, Errc::unknown_partition);
  Subscribe bad = h_.all_of(stream);
  bad.filter = "a.>.b";
  EXPECT_EQ(h_.subscribe(nobody, bad).error().code, Errc::invalid);
}

TEST_F(BrokerTest, a_follower_of_the_stream_gets_what_comes_and_resumes_by_offset_and_epoch) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  ASSERT_TRUE(h_.publish(stream, {"a", "b"}).has_value());
  RecordingSubscriber follower;
  Subscribe request = h_.all_of(stream);
  request.from = FromNew{};
  request.until = UntilNever{};
  ASSERT_TRUE(h_.subscribe(follower, request).has_value());
  ASSERT_TRUE(h_.publish(stream, {"c"}).has_value());
  h_.run_until([&] { return follower.got.size() == 1; });
  EXPECT_EQ(follower.values(), Values{"c"});
  const Epoch epoch = follower.got.back().epoch;
  h_.restart_after_kill();
  ASSERT_TRUE(h_.publish(stream, {"d"}).has_value());
  RecordingSubscriber resumed;
  request.from = FromOffset{Offset(3), epoch};
  request.until = UntilLatest{};
  ASSERT_TRUE(h_.subscribe(resumed, request).has_value());
  h_.run_until([&] { return resumed.ended.has_value(); });
  EXPECT_EQ(resumed.values(), Values{"d"});
  RecordingSubscriber diverged;
  request.from = FromOffset{Offset(4), epoch};  // the record before is of the second life's epoch
  ASSERT_TRUE(h_.subscribe(diverged, request).has_value());
  h_.run_until([&] { return diverged.ended.has_value(); });
  EXPECT_EQ(diverged.ended->error.code, Errc::log_truncated);
  EXPECT_EQ(diverged.ended->valid_end, Offset(3));
}

TEST_F(BrokerTest, positions_by_time_and_count_start_where_they_say) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  ASSERT_TRUE(h_.publish(stream, {"a", "b"}).has_value());
  h_.settle(seconds(10));
  const WallTime between = h_.node.wall();
  h_.settle(seconds(10));
  ASSERT_TRUE(h_.publish(stream, {"c"}).has_value());
  ASSERT_TRUE(h_.publish(stream, {"d"}).has_value());
  const auto from = [&](StartPosition position) {
    RecordingSubscriber reader;
    Subscribe request = h_.all_of(stream);
    request.from = position;
    EXPECT_TRUE(h_.subscribe(reader, request).has_value());
    h_.run_until([&] { return reader.ended.has_value(); });
    EXPECT_TRUE(reader.ended->complete);
    return reader.values();
  };
  EXPECT_EQ(from(FromTime{between}), (Values{"c", "d"}));
  EXPECT_EQ(from(FromAgo{seconds(15)}), (Values{"c", "d"}));
  EXPECT_EQ(from(FromAgo{seconds(100)}), (Values{"a", "b", "c", "d"}));
  EXPECT_EQ(from(FromLast{3}), (Values{"b", "c", "d"}));
  EXPECT_EQ(from(FromLatest{}), Values{"d"});
  EXPECT_EQ(from(FromOffset{Offset(1), {}}), (Values{"b", "c", "d"}));
  EXPECT_EQ(from(FromNew{}), Values{});
}

TEST_F(BrokerTest, a_filter_gives_the_records_of_its_subjects_with_their_offsets) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  ASSERT_TRUE(h_.publish(stream, {"a1", "b1", "a2"}).has_value());
  ASSERT_TRUE(h_.publish(stream, {"b2"}).has_value());
  RecordingSubscriber reader;
  Subscribe request = h_.all_of(stream);
  request.filter = "test.a";
  ASSERT_TRUE(h_.subscribe(reader, request).has_value());
  h_.run_until([&] { return reader.ended.has_value(); });
  EXPECT_EQ(reader.values(), (Values{"a1", "a2"}));
  EXPECT_EQ(reader.got[1].offset, Offset(2));
  EXPECT_EQ(reader.next, Offset(4)) << "the position moves past what did not match";
}

TEST_F(BrokerTest, a_full_disk_is_a_definite_answer_reads_go_on_and_room_brings_it_back) {
  h_.start_well();
  model::StreamConfig config = h_.config("orders");
  const StreamId stream = h_.create_well(config);
  ASSERT_TRUE(h_.publish(stream, {"a"}).has_value());
  h_.node.device().set_full(true);
  const std::string large(200'000, 'x');
  Errc code = Errc::internal;
  uint64_t acked = 1;
  for (int i = 0; i < 50 && code == Errc::internal; ++i) {
    const auto answer = h_.publish(stream, {large});
    if (answer)
      ++acked;
    else
      code = answer.error().code;
  }
  EXPECT_EQ(code, Errc::no_space);
  EXPECT_EQ(h_.read_all(stream).size(), acked);
  h_.node.device().set_full(false);
  ASSERT_TRUE(h_.publish(stream, {large}).has_value());
  EXPECT_EQ(h_.read_all(stream).size(), acked + 1) << "what was refused is not there";
}

TEST_F(BrokerTest, a_start_on_a_full_disk_serves_reads) {
  // With all free blocks gone but the broker's own reserves, after both kinds of stop.
  for (const bool clean : {true, false}) {
    BrokerHarness h(clean ? 1 : 2);
    h.start_well();
    const StreamId stream = h.create_well(h.config("orders"));
    ASSERT_TRUE(h.publish(stream, {"a"}).has_value());
    h.settle(seconds(3));
    ASSERT_TRUE(h.publish(stream, {"b"}).has_value());
    if (clean)
      h.stop_cleanly();
    else
      h.kill();
    sim::Storage& storage = h.node.device().storage();
    storage.set_bytes_max(storage.bytes_max() - storage.free_bytes());
    for (int start = 0; start < 3; ++start) {
      const Status started = h.start();
      ASSERT_TRUE(started.has_value()) << started.error().to_string();
      EXPECT_EQ(h.read_all(stream), (Values{"a", "b"}));
      h.stop_cleanly();
    }
    h.node.device().set_full(false);
    h.start_well();
    ASSERT_TRUE(h.publish(stream, {"c"}).has_value());
    EXPECT_EQ(h.read_all(stream), (Values{"a", "b", "c"}));
    h.stop_cleanly();
  }
}

TEST_F(BrokerTest, a_creation_without_descriptors_is_an_answer_and_the_broker_stays_up) {
  h_.start_well();
  const StreamId before = h_.create_well(h_.config("before"));
  ASSERT_TRUE(h_.publish(before, {"a"}).has_value());
  h_.node.device().set_descriptors_out(true);
  const auto refused = h_.create(h_.config("orders"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::overloaded);
  ASSERT_TRUE(h_.node.alive());
  EXPECT_EQ(h_.read_all(before), Values{"a"}) << "others are served";
  ASSERT_TRUE(h_.publish(before, {"b"}).has_value());
  h_.settle(seconds(5));
  ASSERT_TRUE(h_.node.alive());
  h_.node.device().set_descriptors_out(false);
  h_.settle(seconds(5));
  // As with a full disk, the stream is in the table, and its log comes when it can.
  const auto again = h_.create(h_.config("orders"));
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  ASSERT_TRUE(h_.publish(again->id, {"c"}).has_value());
  EXPECT_EQ(h_.read_all(again->id), Values{"c"});
}

TEST_F(BrokerTest, a_subscription_to_the_latest_says_which_offset_that_is) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  ASSERT_TRUE(h_.publish(stream, {"a", "b"}).has_value());
  RecordingSubscriber subscriber;
  auto started = h_.call<SubscribeStarted>([&](Done<SubscribeStarted> done) {
    h_.broker().subscribe({}, h_.all_of(stream), subscriber, std::move(done));
  });
  ASSERT_TRUE(started.has_value());
  EXPECT_EQ(started->until, Offset(2));
}

TEST_F(BrokerTest, a_stuck_disk_makes_a_publish_unknown_at_its_deadline) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  ASSERT_TRUE(h_.publish(stream, {"a"}).has_value());
  h_.node.device().set_stuck(true);
  const auto answer = h_.publish(stream, {"b"}, {.timeout = milliseconds(100)});
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Errc::outcome_unknown);
  EXPECT_EQ(h_.read_all(stream), Values{"a"}) << "not committed";
  h_.node.device().set_stuck(false);
  h_.settle(milliseconds(100));
  EXPECT_EQ(h_.read_all(stream), (Values{"a", "b"})) << "unknown may mean that it happened";
}

TEST_F(BrokerTest, a_failed_synced_write_ends_the_process_and_nothing_acknowledged_is_lost) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  ASSERT_TRUE(h_.publish(stream, {"a"}).has_value());
  h_.node.device().arm(sim::DiskFault::write_error);
  const auto answer = h_.publish(stream, {"b"});
  EXPECT_FALSE(answer.has_value());
  EXPECT_FALSE(h_.node.alive());
  h_.settle();
  h_.start_well();
  const Values after = h_.read_all(stream);
  ASSERT_FALSE(after.empty());
  EXPECT_EQ(after[0], "a");
}

TEST_F(BrokerTest, a_stop_refuses_new_publishes_finishes_those_in_flight_and_ends_subscriptions) {
  h_.start_well();
  const StreamId stream = h_.create_well(h_.config("orders"));
  RecordingSubscriber follower;
  Subscribe request = h_.all_of(stream);
  request.until = UntilNever{};
  ASSERT_TRUE(h_.subscribe(follower, request).has_value());
  std::optional<Result<PublishAck>> in_flight;
  std::optional<Result<PublishAck>> late;
  bool stopped = false;
  const BufferRef batch = h_.batch({"a"});
  const Publish publish{.stream = stream,
                        .partition = {},
                        .epoch = {},
                        .acks = model::Acks::all,
                        .deadline = MonotonicTime::never(),
                        .batch = batch.view()};
  h_.in_turn([&] {
    h_.broker().publish({}, publish, [&](Result<PublishAck> r) { in_flight = std::move(r); });
    h_.program().stop([&](const Status& s) { stopped = s.has_value(); });
    EXPECT_FALSE(h_.broker().accepting());
    h_.broker().publish({}, publish, [&](Result<PublishAck> r) { late = std::move(r); });
  });
  h_.run_until([&] { return stopped; });
  ASSERT_TRUE(in_flight && late);
  EXPECT_TRUE(in_flight->has_value());
  ASSERT_FALSE(late->has_value());
  EXPECT_EQ(late->error().code, Errc::stopping);
  EXPECT_EQ(follower.values(), Values{"a"});
  ASSERT_TRUE(follower.ended.has_value());
  EXPECT_EQ(follower.ended->error.code, Errc::stopping);
  follower.subscription.reset();
  h_.node.exit();
  h_.settle();
  h_.start_well();
  EXPECT_TRUE(h_.broker().logs().clean_start());
  EXPECT_EQ(h_.read_all(stream), Values{"a"});
}

TEST_F(BrokerTest, retention_drops_whole_segments_and_a_restart_keeps_the_log_start) {
  h_.options.housekeeping_interval = milliseconds(50);
  h_.options.logs.segment_bytes = 4096;
  h_.options.logs.extent_bytes_first = 8192;
  h_.start_well();
  model::StreamConfig config = h_.config("orders");
  config.retain_messages = 5;
  const StreamId stream = h_.create_well(config);
  for (int i = 0; i < 40; ++i)
    ASSERT_TRUE(h_.publish(stream, {std::string(1000, 'x')}).has_value());
  h_.settle(seconds(1));
  const size_t left = h_.read_all(stream).size();
  EXPECT_LT(left, 20u);
  EXPECT_GE(left, 5u);
  h_.restart_after_kill();
  h_.settle(seconds(1));
  EXPECT_LE(h_.read_all(stream).size(), left);
  EXPECT_GE(h_.read_all(stream).size(), 5u);
}

class StreamSet final : public StreamObserver {
 public:
  void stream_changed(const StreamRoute& stream) override { names[stream.id] = stream.config.name; }
  void stream_removed(StreamId id) override { EXPECT_EQ(names.erase(id), 1u); }
  std::map<StreamId, std::string> names;
};

TEST_F(BrokerTest, observers_are_told_of_the_streams_that_exist_and_of_every_change) {
  h_.start_well();
  const StreamId first = h_.create_well(h_.config("first"));
  StreamSet set;
  h_.in_turn([&] { h_.broker().observe_streams(set); });
  h_.settle();
  EXPECT_EQ(set.names, (std::map<StreamId, std::string>{{first, "first"}}));
  const StreamId second = h_.create_well(h_.config("second"));
  EXPECT_EQ(set.names.size(), 2u);
  ASSERT_TRUE(h_.call<void>([&](Done<void> done) {
                  h_.broker().delete_stream({}, first, std::move(done));
                }).has_value());
  h_.settle();
  EXPECT_EQ(set.names, (std::map<StreamId, std::string>{{second, "second"}}));
  h_.in_turn([&] { h_.broker().forget_observer(set); });
  h_.create_well(h_.config("third"));
  EXPECT_EQ(set.names.size(), 1u);
}

TEST_F(BrokerTest, memory_streams_lose_nothing_by_a_kill) {
  h_.start_well();
  model::StreamConfig config = h_.config("fast");
  config.durability = model::DurabilityMode::memory;
  const StreamId stream = h_.create_well(config);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(h_.publish(stream, {std::to_string(i)}).has_value());
  h_.restart_after_kill();
  EXPECT_EQ(h_.read_all(stream), (Values{"0", "1", "2", "3", "4"}));
}

TEST_F(BrokerTest, a_lost_directory_is_told_and_other_streams_go_on) {
  h_.start_well();
  const StreamId lost = h_.create_well(h_.config("lost"));
  const StreamId kept = h_.create_well(h_.config("kept"));
  ASSERT_TRUE(h_.publish(lost, {"a"}).has_value());
  ASSERT_TRUE(h_.publish(kept, {"b"}).has_value());
  h_.power_loss();
  for (const std::string& path : h_.node.device().storage().directories()) {
    if (path.starts_with("logs/" + lost.to_string() + "-")) {
      ASSERT_TRUE(h_.node.device().storage().lose_directory(path).has_value());
    }
  }
  h_.start_well();
  EXPECT_EQ(h_.read_all(kept), Values{"b"});
  const auto refused = h_.publish(lost, {"c"});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::data_lost);
  RecordingSubscriber reader;
  EXPECT_EQ(h_.subscribe(reader, h_.all_of(lost)).error().code, Errc::data_lost);
}

}  // namespace
}  // namespace bascule::broker

#include "src/partition/partition.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/trace.h"
#include "tests/partition/fakes.h"

namespace bascule::partition {
namespace {

using model::Acks;
using model::DurabilityMode;

class CountingReader final : public CommittedReader {
 public:
  void committed() override { ++committed_count; }
  void ended(const Error& why) override { end = why; }
  int committed_count = 0;
  std::optional<Error> end;
};

class PartitionTest : public ::testing::Test {
 protected:
  using Answer = std::optional<Result<PublishResult>>;

  PartitionTest() {
    auto log = std::make_unique<MemoryLog>(loop_);
    log_ = log.get();
    partition_.emplace(loop_, trace_,
                       PartitionOptions{.id = {StreamId(7), PartitionIndex(0)},
                                        .self = NodeId(1),
                                        .in_flight_bytes_max = 4096,
                                        .readers_max = 2},
                       std::move(log));
  }
  ~PartitionTest() override {
    loop_.settle();
    partition_->check_invariants();
  }

  void apply(const PartitionView& view) { partition_->apply(view, Incarnation(3)); }

  static PartitionView led(uint64_t epoch) {
    PartitionView view;
    view.leader = NodeId(1);
    view.leader_incarnation = Incarnation(3);
    view.epoch = Epoch(epoch);
    view.isr = {NodeId(1)};
    return view;
  }

  // The answer lands in the returned place.
  std::shared_ptr<Answer> publish(const PublishRequest& request) {
    auto answer = std::make_shared<Answer>();
    partition_->publish(request, [answer](Result<PublishResult> result) {
      ASSERT(!answer->has_value());
      *answer = std::move(result);
    });
    EXPECT_FALSE(answer->has_value()) << "answered inside the call";
    return answer;
  }
  std::shared_ptr<Answer> publish(uint32_t count, Acks acks = Acks::all) {
    const BufferRef batch = client_batch(count);
    return publish({.acks = acks, .batch = batch.view()});
  }
  static Errc code(const std::shared_ptr<Answer>& answer) {
    if (!answer->has_value()) return Errc::internal;
    return **answer ? Errc::internal : (**answer).error().code;
  }
  static bool acked(const std::shared_ptr<Answer>& answer) {
    return answer->has_value() && (**answer).has_value();
  }

  ManualLoop loop_;
  NullTracer trace_;
  MemoryLog* log_ = nullptr;
  std::optional<Partition> partition_;
};

TEST_F(PartitionTest, does_not_resume_an_epoch_that_was_granted_to_an_earlier_life) {
  PartitionView view = led(4);
  view.leader_incarnation = Incarnation(2);
  apply(view);
  EXPECT_FALSE(partition_->leads());
  const auto answer = publish(1);
  loop_.settle();
  EXPECT_EQ(code(answer), Errc::not_leader);
}

TEST_F(PartitionTest, an_all_publish_is_acked_with_its_offset_once_it_is_durable) {
  apply(led(4));
  const auto first = publish(3);
  const auto second = publish(2);
  loop_.settle();
  EXPECT_FALSE(first->has_value());
  log_->set_progress(Offset(5), Offset(3));
  loop_.settle();
  ASSERT_TRUE(acked(first));
  EXPECT_EQ((**first)->base_offset, Offset(0));
  EXPECT_EQ((**first)->count, 3u);
  EXPECT_EQ((**first)->epoch, Epoch(4));
  EXPECT_FALSE(second->has_value());
  EXPECT_EQ(log_->noted_hw(), Offset(3));
  log_->sync_all();
  loop_.settle();
  ASSERT_TRUE(acked(second));
  EXPECT_EQ((**second)->base_offset, Offset(3));
}

TEST_F(PartitionTest, stamps_base_offset_epoch_and_append_time_and_keeps_producer_fields) {
  apply(led(4));
  model::BatchBuilder builder;
  model::Record record;
  record.subject = "a";
  record.value = "v";
  ASSERT_TRUE(builder.add(model::view_of(record)).has_value());
  builder.set_producer(ProducerId(8), 2, 77);
  const BufferRef batch = builder.finish();
  (void)publish(2);
  (void)publish({.batch = batch.view()});
  loop_.jump_wall(seconds(-100));
  (void)publish(1);
  ASSERT_EQ(log_->headers().size(), 3u);
  const model::BatchHeader& h = log_->headers()[1];
  EXPECT_EQ(h.base_offset, Offset(2));
  EXPECT_EQ(h.epoch, Epoch(4));
  EXPECT_EQ(h.producer, ProducerId(8));
  EXPECT_EQ(h.producer_epoch, 2u);
  EXPECT_EQ(h.base_sequence, 77u);
  EXPECT_EQ(log_->headers()[2].append_time, h.append_time) << "the clock went back";
}

TEST_F(PartitionTest, foreign_bytes_are_refused_before_the_append) {
  apply(led(4));
  const BufferRef good = client_batch(2);
  Bytes body_bit = to_bytes(good.view());
  body_bit.back() ^= 1;
  Bytes header_bit = to_bytes(good.view());
  header_bit[30] ^= 1;
  const Bytes cut(good.view().begin(), good.view().end() - 1);
  model::BatchHeader header = *model::verify_batch(good.view(), 0);
  header.base_offset = Offset(9);
  Bytes placed = to_bytes(good.view());
  model::encode_batch_header(header, 0, placed);
  header.base_offset = {};
  header.attributes |= model::attribute::k_derived;
  Bytes derived = to_bytes(good.view());
  model::encode_batch_header(header, 0, derived);
  const auto a = publish({.batch = body_bit});
  const auto b = publish({.batch = header_bit});
  const auto c = publish({.batch = cut});
  const auto d = publish({.batch = placed});
  const auto e = publish({.batch = derived});
  loop_.settle();
  EXPECT_EQ(code(a), Errc::corrupt);
  EXPECT_EQ(code(b), Errc::corrupt);
  EXPECT_EQ(code(c), Errc::corrupt);
  EXPECT_EQ(code(d), Errc::invalid);
  EXPECT_EQ(code(e), Errc::invalid);
  EXPECT_TRUE(log_->headers().empty());
}

TEST_F(PartitionTest, a_message_over_the_streams_limit_is_refused_by_name) {
  PartitionView view = led(4);
  view.message_bytes_max = 100;
  apply(view);
  const BufferRef fits = client_batch(10, 100);
  const BufferRef over = client_batch(2, 101);
  const auto a = publish({.batch = fits.view()});
  const auto b = publish({.batch = over.view()});
  loop_.settle();
  EXPECT_EQ(code(b), Errc::too_large);
  EXPECT_FALSE(a->has_value()) << "appended and waiting";
}

TEST_F(PartitionTest, a_full_disk_is_a_definite_answer_and_nothing_is_appended) {
  apply(led(4));
  log_->set_full(true);
  const auto a = publish(1);
  const auto b = publish(1);
  loop_.settle();
  EXPECT_EQ(log_->space_asked(), 1u);
  log_->answer_space(fail(Errc::no_space));
  loop_.settle();
  EXPECT_EQ(code(a), Errc::no_space);
  EXPECT_FALSE(b->has_value());
  log_->set_full(false);
  log_->answer_space({});
  loop_.settle();
  EXPECT_EQ(log_->headers().size(), 1u);
  log_->sync_all();
  loop_.settle();
  EXPECT_TRUE(acked(b));
}

TEST_F(PartitionTest, a_publish_never_overtakes_one_that_waits_for_space) {
  apply(led(4));
  log_->set_full(true);
  const auto first = publish(3);
  log_->set_full(false);
  const auto second = publish(1);
  EXPECT_TRUE(log_->headers().empty());
  log_->answer_space({});
  loop_.settle();
  log_->sync_all();
  loop_.settle();
  ASSERT_TRUE(acked(first) && acked(second));
  EXPECT_EQ((**first)->base_offset, Offset(0));
  EXPECT_EQ((**second)->base_offset, Offset(3));
}

TEST_F(PartitionTest, a_deadline_before_the_append_is_definite_and_after_it_unknown) {
  apply(led(4));
  const BufferRef batch = client_batch(1);
  const MonotonicTime deadline = loop_.now() + seconds(1);
  const auto appended = publish({.deadline = deadline, .batch = batch.view()});
  log_->set_full(true);
  const auto waits = publish({.deadline = deadline, .batch = batch.view()});
  loop_.advance(milliseconds(999));
  EXPECT_FALSE(appended->has_value() || waits->has_value());
  loop_.advance(milliseconds(1));
  EXPECT_EQ(code(appended), Errc::outcome_unknown);
  EXPECT_EQ(code(waits), Errc::deadline_exceeded);
  // The refused one never appears.
  log_->set_full(false);
  log_->answer_space({});
  loop_.settle();
  EXPECT_EQ(log_->headers().size(), 1u);
}

TEST_F(PartitionTest, losing_the_leadership_is_unknown_after_the_append_and_definite_before_it) {
  apply(led(4));
  const auto appended = publish(1);
  log_->set_full(true);
  const auto waits = publish(1);
  PartitionView other = led(5);
  other.leader = NodeId(2);
  apply(other);
  // Durable now, but another epoch's leader decides what becomes of it.
  log_->sync_all();
  loop_.settle();
  EXPECT_EQ(code(appended), Errc::outcome_unknown);
  EXPECT_EQ(code(waits), Errc::not_leader);
  log_->set_full(false);
  log_->answer_space({});
  loop_.settle();
  EXPECT_EQ(log_->headers().size(), 1u);
}

TEST_F(PartitionTest, a_new_epoch_of_its_own_is_a_new_leadership) {
  apply(led(4));
  const auto before = publish(1);
  apply(led(6));
  const BufferRef batch = client_batch(1);
  const auto stale = publish({.epoch = Epoch(4), .batch = batch.view()});
  const auto after = publish({.epoch = Epoch(6), .batch = batch.view()});
  log_->sync_all();
  loop_.settle();
  EXPECT_EQ(code(before), Errc::outcome_unknown);
  EXPECT_EQ(code(stale), Errc::fenced);
  ASSERT_TRUE(acked(after));
  EXPECT_EQ((**after)->base_offset, Offset(1));
  EXPECT_EQ((**after)->epoch, Epoch(6));
}

TEST_F(PartitionTest, bytes_between_hw_and_leo_are_bounded_for_every_kind_of_ack) {
  apply(led(4));
  const BufferRef batch = client_batch(1, 900);
  std::vector<std::shared_ptr<Answer>> answers;
  for (const Acks acks : {Acks::none, Acks::leader, Acks::all, Acks::all, Acks::none})
    answers.push_back(publish({.acks = acks, .batch = batch.view()}));
  loop_.settle();
  EXPECT_EQ(code(answers.back()), Errc::overloaded);
  EXPECT_EQ(log_->headers().size(), 4u);
  log_->sync_all();
  loop_.settle();
  EXPECT_FALSE(publish({.batch = batch.view()})->has_value());
  EXPECT_EQ(log_->headers().size(), 5u);
}

TEST_F(PartitionTest, memory_durability_is_told_to_the_log_and_acks_what_is_written) {
  PartitionView view = led(4);
  view.durability = DurabilityMode::memory;
  apply(view);
  EXPECT_EQ(log_->durability(), DurabilityMode::memory);
  const auto answer = publish(1);
  log_->set_progress(Offset(1), Offset(0));
  loop_.settle();
  EXPECT_TRUE(acked(answer));
}

TEST_F(PartitionTest, readers_get_nothing_at_or_above_hw_and_are_woken_when_it_moves) {
  apply(led(4));
  CountingReader reader;
  ASSERT_TRUE(partition_->attach(reader).has_value());
  (void)publish(2);
  std::optional<Result<log::ReadResult>> read;
  const auto done = [&read](Result<log::ReadResult> r) { read = std::move(r); };
  partition_->read_committed(Offset(0), 1 << 20, done);
  loop_.settle();
  ASSERT_TRUE(read && *read);
  EXPECT_TRUE((*read)->batches.empty());
  partition_->wait_above(reader, Offset(0));
  loop_.settle();
  EXPECT_EQ(reader.committed_count, 0);
  log_->sync_all();
  loop_.settle();
  EXPECT_EQ(reader.committed_count, 1);
  partition_->wait_above(reader, Offset(1));
  EXPECT_EQ(reader.committed_count, 1) << "called inside the call";
  loop_.settle();
  EXPECT_EQ(reader.committed_count, 2);
  partition_->read_committed(Offset(0), 1 << 20, done);
  loop_.settle();
  EXPECT_EQ((*read)->batches.size(), 1u);
  partition_->detach(reader);
}

TEST_F(PartitionTest, readers_are_bounded_and_end_with_the_reason) {
  apply(led(4));
  CountingReader a;
  CountingReader b;
  CountingReader c;
  ASSERT_TRUE(partition_->attach(a).has_value());
  ASSERT_TRUE(partition_->attach(b).has_value());
  EXPECT_EQ(partition_->attach(c).error().code, Errc::overloaded);
  partition_->detach(a);
  ASSERT_TRUE(partition_->attach(c).has_value());
  bool stopped = false;
  partition_->stop({Errc::stream_deleted, ""}, [&](Status) { stopped = true; });
  loop_.settle();
  EXPECT_TRUE(stopped && log_->stopped());
  EXPECT_FALSE(a.end.has_value());
  ASSERT_TRUE(b.end && c.end);
  EXPECT_EQ(b.end->code, Errc::stream_deleted);
  EXPECT_EQ(code(publish(1)), Errc::internal);
}

TEST_F(PartitionTest, readers_are_told_when_it_is_destroyed_without_a_stop) {
  apply(led(4));
  CountingReader reader;
  ASSERT_TRUE(partition_->attach(reader).has_value());
  auto other = std::make_unique<MemoryLog>(loop_);
  log_ = other.get();
  partition_.emplace(loop_, trace_,
                     PartitionOptions{.id = {StreamId(8), PartitionIndex(0)},
                                      .self = NodeId(1),
                                      .in_flight_bytes_max = 4096,
                                      .readers_max = 2},
                     std::move(other));
  ASSERT_TRUE(reader.end.has_value());
  EXPECT_EQ(reader.end->code, Errc::stopping);
}

TEST_F(PartitionTest, draining_refuses_new_publishes_and_waits_for_those_in_flight) {
  apply(led(4));
  const auto in_flight = publish(1);
  bool drained = false;
  partition_->drain(loop_.now() + seconds(5), [&](Status) { drained = true; });
  const auto late = publish(1);
  loop_.settle();
  EXPECT_EQ(code(late), Errc::stopping);
  EXPECT_FALSE(drained);
  log_->sync_all();
  loop_.settle();
  EXPECT_TRUE(acked(in_flight));
  EXPECT_TRUE(drained);
}

TEST_F(PartitionTest, draining_ends_at_its_time_with_what_is_left_unknown) {
  apply(led(4));
  const auto in_flight = publish(1);
  bool drained = false;
  partition_->drain(loop_.now() + seconds(5), [&](Status) { drained = true; });
  loop_.advance(seconds(5));
  EXPECT_EQ(code(in_flight), Errc::outcome_unknown);
  EXPECT_TRUE(drained);
}

TEST_F(PartitionTest, retention_moves_the_log_start_never_past_hw) {
  PartitionView view = led(4);
  view.retention.messages = 2;
  apply(view);
  for (int i = 0; i < 5; ++i) (void)publish(2);
  log_->set_progress(Offset(10), Offset(4));
  loop_.settle();
  std::optional<Offset> start;
  const auto done = [&](Result<Offset> r) { start = *r; };
  partition_->run_retention(ClockTrust::agree, done);
  loop_.settle();
  EXPECT_EQ(start, Offset(4));
  log_->sync_all();
  loop_.settle();
  partition_->run_retention(ClockTrust::agree, done);
  loop_.settle();
  EXPECT_EQ(start, Offset(8));
}

TEST_F(PartitionTest, retention_stays_below_what_is_synced_in_memory_mode_too) {
  PartitionView view = led(4);
  view.durability = DurabilityMode::memory;
  view.retention.messages = 1;
  apply(view);
  for (int i = 0; i < 5; ++i) (void)publish(1);
  log_->set_progress(Offset(5), Offset(2));
  loop_.settle();
  ASSERT_EQ(partition_->hw(), Offset(5));
  std::optional<Offset> start;
  partition_->run_retention(ClockTrust::agree, [&](Result<Offset> r) { start = *r; });
  loop_.settle();
  EXPECT_EQ(start, Offset(2));
}

TEST_F(PartitionTest, idle_partitions_keep_no_timer) {
  apply(led(4));
  const BufferRef batch = client_batch(1);
  const auto answer = publish({.deadline = loop_.now() + seconds(1), .batch = batch.view()});
  log_->sync_all();
  loop_.settle();
  EXPECT_TRUE(acked(answer));
  loop_.advance(seconds(2));
  EXPECT_EQ(loop_.timers(), 0u);
}

}  // namespace
}  // namespace bascule::partition

#include "src/partition/leader.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace bascule::partition {
namespace {

using model::Acks;
using model::DurabilityMode;

using Sets = std::vector<std::vector<NodeId>>;

constexpr NodeId k_a(1);
constexpr NodeId k_b(2);
constexpr NodeId k_c(3);

LeaderStart alone() {
  return {.self = k_a,
          .epoch = Epoch(5),
          .isr = {{k_a}, {}, 1},
          .leo = Offset(100),
          .hw = Offset(90),
          .own = {Offset(100), Offset(100)},
          .last_append_time = WallTime{50},
          .in_flight_bytes_max = 1000};
}

LeaderStart of_three(uint32_t min_isr) {
  LeaderStart start = alone();
  start.isr = {{k_a, k_b, k_c}, {}, min_isr};
  return start;
}

PendingAck ack_of(uint64_t request, Acks acks, uint64_t base, uint32_t count,
                  MonotonicTime deadline = MonotonicTime::never()) {
  return {RequestId(request), acks, deadline, Offset(base), count, 100};
}

ReplicaProgress at(uint64_t written, uint64_t durable) {
  return {Offset(written), Offset(durable)};
}

TEST(Leader, a_lone_leader_begins_with_hw_at_its_durable_end) {
  Leader leader(alone());
  EXPECT_EQ(leader.hw(), Offset(100));
  EXPECT_TRUE(leader.ready());
}

TEST(Leader, all_is_acked_when_hw_is_above_the_last_offset_and_not_before) {
  Leader leader(alone());
  EXPECT_TRUE(leader.appended(ack_of(1, Acks::all, 100, 3), WallTime{60}).answers.empty());
  // HW 102 is the batch's last offset: not committed yet.
  EXPECT_TRUE(leader.progress(k_a, at(103, 102)).answers.empty());
  EXPECT_EQ(leader.hw(), Offset(102));
  const LeaderOutput out = leader.progress(k_a, at(103, 103));
  ASSERT_EQ(out.answers.size(), 1u);
  EXPECT_EQ(out.answers[0], (AckOutcome{RequestId(1), Outcome::acked, Offset(100), 3}));
  EXPECT_EQ(out.hw, Offset(103));
  leader.check_invariants();
}

TEST(Leader, written_and_not_synced_acks_nothing_in_fsync_mode) {
  Leader leader(alone());
  (void)leader.appended(ack_of(1, Acks::all, 100, 1), WallTime{60});
  (void)leader.appended(ack_of(2, Acks::leader, 101, 1), WallTime{60});
  EXPECT_TRUE(leader.progress(k_a, at(102, 100)).answers.empty());
}

TEST(Leader, memory_mode_counts_what_is_written) {
  LeaderStart start = alone();
  start.durability = DurabilityMode::memory;
  Leader leader(start);
  (void)leader.appended(ack_of(1, Acks::all, 100, 1), WallTime{60});
  EXPECT_EQ(leader.progress(k_a, at(101, 100)).answers.size(), 1u);
}

TEST(Leader, after_an_alter_to_fsync_nothing_is_acked_until_it_is_synced) {
  LeaderStart start = alone();
  start.durability = DurabilityMode::memory;
  Leader leader(start);
  (void)leader.progress(k_a, at(100, 100));
  (void)leader.appended(ack_of(1, Acks::all, 100, 1), WallTime{60});
  (void)leader.progress(k_a, at(101, 100));
  (void)leader.appended(ack_of(2, Acks::all, 101, 1), WallTime{60});
  EXPECT_TRUE(leader.durability_changed(DurabilityMode::fsync).answers.empty());
  EXPECT_TRUE(leader.progress(k_a, at(102, 101)).answers.empty());
  EXPECT_EQ(leader.progress(k_a, at(102, 102)).answers.size(), 1u);
}

TEST(Leader, none_is_answered_at_the_append_and_promises_no_offset) {
  Leader leader(alone());
  const LeaderOutput out = leader.appended(ack_of(1, Acks::none, 100, 2), WallTime{60});
  ASSERT_EQ(out.answers.size(), 1u);
  EXPECT_EQ(out.answers[0], (AckOutcome{RequestId(1), Outcome::acked, Offset(), 2}));
  EXPECT_EQ(leader.in_flight_bytes(), 100u);
}

TEST(Leader, leader_acks_come_with_its_own_log_and_all_acks_with_every_replica) {
  Leader leader(of_three(2));
  EXPECT_FALSE(leader.ready());
  (void)leader.appended(ack_of(1, Acks::leader, 100, 1), WallTime{60});
  (void)leader.appended(ack_of(2, Acks::all, 101, 1), WallTime{60});
  const LeaderOutput own = leader.progress(k_a, at(102, 102));
  ASSERT_EQ(own.answers.size(), 1u);
  EXPECT_EQ(own.answers[0].request, RequestId(1));
  EXPECT_TRUE(leader.progress(k_b, at(102, 102)).answers.empty());
  const LeaderOutput last = leader.progress(k_c, at(102, 102));
  ASSERT_EQ(last.answers.size(), 1u);
  EXPECT_EQ(last.answers[0].request, RequestId(2));
  EXPECT_TRUE(leader.ready());
}

TEST(Leader, hw_does_not_move_while_fewer_than_min_isr_are_in_sync) {
  Leader leader(of_three(2));
  (void)leader.progress(k_b, at(100, 100));
  (void)leader.progress(k_c, at(100, 100));
  (void)leader.appended(ack_of(1, Acks::all, 100, 1), WallTime{60});
  (void)leader.progress(k_a, at(101, 101));
  const LeaderOutput out = leader.isr_changed({{k_a}, {}, 2});
  EXPECT_TRUE(out.answers.empty());
  EXPECT_EQ(leader.hw(), Offset(100));
  // Its admission is a definite error; leader acks go on.
  const MonotonicTime now{1};
  EXPECT_EQ(leader.admit({.acks = Acks::all, .bytes = 1}, now).error().code,
            Errc::not_enough_replicas);
  EXPECT_TRUE(leader.admit({.acks = Acks::leader, .bytes = 1}, now).has_value());
  // The set is whole again: what waited is committed.
  EXPECT_TRUE(leader.isr_changed({{k_a, k_b}, {}, 2}).answers.empty());
  EXPECT_EQ(leader.progress(k_b, at(101, 101)).answers.size(), 1u);
}

TEST(Leader, a_pending_member_holds_hw_back_and_does_not_count_towards_min_isr) {
  Leader leader(alone());
  (void)leader.isr_changed({{k_a}, {k_a, k_b}, 1});
  (void)leader.appended(ack_of(1, Acks::all, 100, 1), WallTime{60});
  EXPECT_TRUE(leader.progress(k_a, at(101, 101)).answers.empty());
  EXPECT_EQ(leader.progress(k_b, at(101, 101)).answers.size(), 1u);
  (void)leader.isr_changed({{k_a}, {k_a, k_b}, 2});
  (void)leader.appended(ack_of(2, Acks::all, 101, 1), WallTime{60});
  (void)leader.progress(k_b, at(102, 102));
  EXPECT_TRUE(leader.progress(k_a, at(102, 102)).answers.empty());
}

TEST(Leader, progress_is_replaced_and_hw_still_never_falls) {
  Leader leader(of_three(1));
  (void)leader.appended(ack_of(1, Acks::all, 100, 10), WallTime{60});
  (void)leader.progress(k_a, at(110, 110));
  (void)leader.progress(k_b, at(110, 110));
  (void)leader.progress(k_c, at(105, 105));
  EXPECT_EQ(leader.hw(), Offset(105));
  (void)leader.progress(k_c, at(101, 101));
  EXPECT_EQ(leader.hw(), Offset(105));
  (void)leader.progress(k_c, at(107, 107));
  EXPECT_EQ(leader.hw(), Offset(107));
}

TEST(Leader, losing_the_leadership_completes_all_that_waits_as_unknown) {
  Leader leader(alone());
  (void)leader.appended(ack_of(1, Acks::all, 100, 1), WallTime{60});
  (void)leader.appended(ack_of(2, Acks::leader, 101, 1), WallTime{60});
  (void)leader.appended(ack_of(3, Acks::none, 102, 1), WallTime{60});
  const LeaderOutput out = leader.resign();
  ASSERT_EQ(out.answers.size(), 2u);
  EXPECT_EQ(out.answers[0].outcome, Outcome::unknown_leadership_lost);
  EXPECT_EQ(out.answers[1].outcome, Outcome::unknown_leadership_lost);
}

TEST(Leader, a_deadline_after_the_append_is_unknown_and_the_batch_stays_in_flight) {
  Leader leader(alone());
  (void)leader.appended(ack_of(1, Acks::all, 100, 1, MonotonicTime{10}), WallTime{60});
  (void)leader.appended(ack_of(2, Acks::all, 101, 1, MonotonicTime{5}), WallTime{60});
  EXPECT_EQ(leader.next_deadline(), MonotonicTime{5});
  EXPECT_TRUE(leader.expire(MonotonicTime{4}).answers.empty());
  const LeaderOutput out = leader.expire(MonotonicTime{5});
  ASSERT_EQ(out.answers.size(), 1u);
  EXPECT_EQ(out.answers[0].request, RequestId(2));
  EXPECT_EQ(out.answers[0].outcome, Outcome::unknown_deadline);
  EXPECT_EQ(leader.in_flight_bytes(), 200u);
  EXPECT_EQ(leader.next_deadline(), MonotonicTime{10});
  // It is committed later, and nobody is told twice.
  EXPECT_EQ(leader.progress(k_a, at(102, 102)).answers.size(), 1u);
  EXPECT_EQ(leader.next_deadline(), MonotonicTime::never());
}

TEST(Leader, refuses_another_epoch_a_passed_deadline_and_too_much_in_flight) {
  Leader leader(alone());
  const MonotonicTime now{100};
  const auto code = [&](const Admission& a) {
    const Status s = leader.admit(a, now);
    return s ? Errc::internal : s.error().code;
  };
  EXPECT_EQ(code({.epoch = Epoch(4), .bytes = 1}), Errc::fenced);
  EXPECT_EQ(code({.epoch = Epoch(6), .bytes = 1}), Errc::fenced);
  EXPECT_EQ(code({.epoch = Epoch(5), .deadline = now, .bytes = 1}), Errc::deadline_exceeded);
  EXPECT_EQ(code({.epoch = Epoch(5), .bytes = 1}), Errc::internal) << "admitted";
  // One batch passes whatever its size; the next must fit.
  EXPECT_EQ(code({.bytes = 5000}), Errc::internal);
  EXPECT_EQ(code({.bytes = 901, .bytes_waiting = 100}), Errc::overloaded);
  (void)leader.appended(ack_of(1, Acks::leader, 100, 1), WallTime{60});
  EXPECT_EQ(code({.bytes = 900}), Errc::internal);
  EXPECT_EQ(code({.bytes = 901}), Errc::overloaded);
}

TEST(Leader, append_time_never_falls_along_the_log) {
  Leader leader(alone());
  EXPECT_EQ(leader.stamp(WallTime{40}).append_time, WallTime{50});
  EXPECT_EQ(leader.stamp(WallTime{70}).append_time, WallTime{70});
  (void)leader.appended(ack_of(1, Acks::none, 100, 1), WallTime{70});
  EXPECT_EQ(leader.stamp(WallTime{10}).append_time, WallTime{70});
  EXPECT_EQ(leader.stamp(WallTime{10}).base_offset, Offset(101));
}

// Random histories against a model that keeps every append for ever and judges from the definitions.
RC_GTEST_PROP(LeaderProperty, each_request_is_answered_once_and_acks_follow_the_definitions, ()) {
  LeaderStart start = of_three(*rc::gen::inRange<uint32_t>(1, 4));
  start.in_flight_bytes_max = 1 << 20;
  Leader leader(start);
  struct Sent {
    PendingAck ack;
    bool answered = false;
  };
  std::map<uint64_t, Sent> sent;
  std::map<NodeId, ReplicaProgress> progress{{k_a, start.own}};
  InSyncReplicas isr = start.isr;
  Offset hw = leader.hw();
  uint64_t next_request = 1;
  MonotonicTime now{0};
  const auto check = [&](const LeaderOutput& out, bool resigned) {
    for (const AckOutcome& answer : out.answers) {
      Sent& s = sent.at(answer.request.value);
      RC_ASSERT(!s.answered);
      s.answered = true;
      const Offset next = s.ack.next();
      if (answer.outcome == Outcome::unknown_leadership_lost) RC_ASSERT(resigned);
      if (answer.outcome == Outcome::unknown_deadline) RC_ASSERT(s.ack.deadline <= now);
      if (answer.outcome != Outcome::acked) continue;
      if (s.ack.acks == Acks::leader) RC_ASSERT(progress[k_a].durable >= next);
      if (s.ack.acks != Acks::all) continue;
      RC_ASSERT(isr.committed.size() >= isr.min_isr);
      for (const NodeId node : isr.committed) RC_ASSERT(progress[node].durable >= next);
      for (const NodeId node : isr.pending) RC_ASSERT(progress[node].durable >= next);
    }
    RC_ASSERT(leader.hw() >= hw);
    RC_ASSERT(leader.hw() <= leader.leo());
    if (leader.hw() > hw) RC_ASSERT(isr.committed.size() >= isr.min_isr);
    hw = leader.hw();
    leader.check_invariants();
  };
  const int steps = *rc::gen::inRange(1, 120);
  for (int i = 0; i < steps; ++i) {
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
      case 1: {
        PendingAck ack = ack_of(next_request, *rc::gen::element(Acks::leader, Acks::all),
                                leader.leo().value, *rc::gen::inRange<uint32_t>(1, 5));
        if (*rc::gen::arbitrary<bool>()) ack.deadline = now + Duration{*rc::gen::inRange(1, 20)};
        sent[next_request++] = {ack};
        check(leader.appended(ack, WallTime{60}), false);
        break;
      }
      case 2:
      case 3: {
        const NodeId node = *rc::gen::element(k_a, k_b, k_c);
        uint64_t low = node == k_a ? progress[k_a].durable.value : 0;
        const uint64_t durable = *rc::gen::inRange<uint64_t>(low, leader.leo().value + 1);
        if (node == k_a) low = progress[k_a].written.value;
        const uint64_t written =
            *rc::gen::inRange<uint64_t>(std::max(low, durable), leader.leo().value + 1);
        progress[node] = at(written, durable);
        check(leader.progress(node, progress[node]), false);
        break;
      }
      case 4: {
        isr.committed = *rc::gen::elementOf(Sets{{k_a}, {k_a, k_b}, {k_a, k_c}, {k_a, k_b, k_c}});
        isr.pending = *rc::gen::elementOf(Sets{{}, {k_a, k_b}, {k_a, k_b, k_c}});
        check(leader.isr_changed(isr), false);
        break;
      }
      default: now = now + Duration{*rc::gen::inRange(0, 10)}; check(leader.expire(now), false);
    }
  }
  check(leader.resign(), true);
  for (const auto& [id, s] : sent) RC_ASSERT(s.answered);
}

}  // namespace
}  // namespace bascule::partition

#include "src/partition/follower_sessions.h"

#include <gtest/gtest.h>

#include "src/partition/follower.h"
#include "src/partition/isr_review.h"

namespace bascule::partition {
namespace {

using Epochs = std::vector<log::EpochStart>;

FetchFrom fetch(uint64_t from, uint64_t last_epoch, uint64_t hw = 0) {
  FetchFrom f;
  f.epoch = Epoch(9);
  f.from = Offset(from);
  f.last_epoch = Epoch(last_epoch);
  f.hw = Offset(hw);
  f.progress = {Offset(from), Offset(from)};
  return f;
}

FetchAnswer judged(const FetchFrom& f, const Epochs& epochs, uint64_t start, uint64_t leo) {
  return judge_end(f, {Offset(start), Offset(leo), epochs});
}

TEST(JudgeEnd, an_end_in_the_leaders_log_matches) {
  const Epochs epochs{{Epoch(2), Offset(0)}, {Epoch(5), Offset(100)}};
  EXPECT_EQ(judged(fetch(0, 0), epochs, 0, 150).outcome, FetchOutcome::records);
  EXPECT_EQ(judged(fetch(60, 2), epochs, 0, 150).outcome, FetchOutcome::records);
  EXPECT_EQ(judged(fetch(100, 2), epochs, 0, 150).outcome, FetchOutcome::records);
  EXPECT_EQ(judged(fetch(150, 5), epochs, 0, 150).outcome, FetchOutcome::records);
}

TEST(JudgeEnd, a_dead_epochs_tail_diverges_where_the_leader_left_that_epoch) {
  const Epochs epochs{{Epoch(2), Offset(0)}, {Epoch(5), Offset(100)}};
  FetchAnswer a = judged(fetch(120, 2), epochs, 0, 150);
  EXPECT_EQ(a.outcome, FetchOutcome::diverging);
  EXPECT_EQ(a.common_epoch, Epoch(2));
  EXPECT_EQ(a.common_end, Offset(100));
  // An epoch that the leader never saw, and one above all of its own.
  a = judged(fetch(120, 4), epochs, 0, 150);
  EXPECT_EQ(a.outcome, FetchOutcome::diverging);
  EXPECT_EQ(a.common_epoch, Epoch(2));
  a = judged(fetch(120, 7), epochs, 0, 150);
  EXPECT_EQ(a.common_epoch, Epoch(5));
  EXPECT_EQ(a.common_end, Offset(150));
  // The same epoch, and longer than the leader's.
  EXPECT_EQ(judged(fetch(160, 5), epochs, 0, 150).outcome, FetchOutcome::diverging);
}

TEST(JudgeEnd, below_the_leaders_start_nothing_can_be_compared) {
  const Epochs epochs{{Epoch(5), Offset(100)}};
  EXPECT_EQ(judged(fetch(50, 2), epochs, 100, 150).outcome, FetchOutcome::below_start);
  // At the start with an epoch that the leader has no more: only if it is committed there.
  EXPECT_EQ(judged(fetch(100, 2), epochs, 100, 150).outcome, FetchOutcome::below_start);
  EXPECT_EQ(judged(fetch(100, 2, 100), epochs, 100, 150).outcome, FetchOutcome::records);
  EXPECT_EQ(judged(fetch(100, 0), epochs, 100, 150).outcome, FetchOutcome::records);
  EXPECT_EQ(judged(fetch(100, 5), epochs, 100, 150).outcome, FetchOutcome::records);
}

// --- Sessions -------------------------------------------------------------------------------------

struct Sessions {
  Epochs epochs{{Epoch(2), Offset(0)}, {Epoch(5), Offset(100)}};
  LogEnds log{Offset(0), Offset(150), epochs};
  FollowerSessions sessions{Epoch(9)};
  ReplicaLife b{NodeId(2), Incarnation(3)};
  MonotonicTime now{1'000'000'000};

  Sessions() { sessions.allow({b}, now); }
  bool report(uint64_t session, uint64_t durable, Incarnation life = Incarnation(3)) {
    const ReplicaProgress p{Offset(durable), Offset(durable)};
    return sessions.progress({{b.node, life}, session}, {{}, Epoch(9), p}, p.durable, log.leo, now);
  }
  FetchOutcome ask(uint64_t session, const FetchFrom& f, Incarnation life = Incarnation(3)) {
    auto answer = sessions.fetch({{b.node, life}, session}, f, log);
    return answer ? answer->outcome : FetchOutcome::not_now;
  }
};

TEST(FollowerSessions, progress_counts_only_after_the_end_was_found) {
  Sessions s;
  EXPECT_FALSE(s.report(1, 120));
  EXPECT_EQ(s.ask(1, fetch(120, 2)), FetchOutcome::diverging);
  EXPECT_FALSE(s.report(1, 120)) << "a dead epoch's tail";
  EXPECT_EQ(s.ask(1, fetch(100, 2)), FetchOutcome::records);
  EXPECT_TRUE(s.report(1, 100));
  EXPECT_EQ(s.sessions.find(s.b.node)->progress.durable, Offset(100));
}

TEST(FollowerSessions, a_later_session_begins_with_nothing_and_an_earlier_one_is_over) {
  Sessions s;
  EXPECT_EQ(s.ask(1, fetch(150, 5)), FetchOutcome::records);
  EXPECT_TRUE(s.report(1, 150));
  EXPECT_EQ(s.ask(2, fetch(110, 5)), FetchOutcome::records);
  EXPECT_EQ(s.sessions.find(s.b.node)->progress.durable, Offset(0)) << "replaced, not maxed";
  EXPECT_FALSE(s.report(1, 150));
  EXPECT_EQ(s.sessions.fetch({s.b, 1}, fetch(150, 5), s.log), std::nullopt);
}

TEST(FollowerSessions, only_the_life_that_the_metadata_names_counts) {
  Sessions s;
  EXPECT_EQ(s.ask(1, fetch(150, 5), Incarnation(2)), FetchOutcome::not_now);
  EXPECT_EQ(s.ask(1, fetch(150, 5), Incarnation(4)), FetchOutcome::not_now);
  EXPECT_EQ(s.ask(1, fetch(150, 5)), FetchOutcome::records);
  EXPECT_TRUE(s.report(1, 150));
  s.sessions.allow({{s.b.node, Incarnation(4)}}, s.now);
  EXPECT_FALSE(s.report(1, 150));
  EXPECT_FALSE(s.sessions.find(s.b.node)->matched);
}

TEST(FollowerSessions, what_cannot_be_is_not_counted) {
  Sessions s;
  EXPECT_EQ(s.ask(1, fetch(150, 5)), FetchOutcome::records);
  EXPECT_FALSE(s.report(1, 151)) << "more than the leader has";
  FetchFrom later = fetch(150, 5);
  later.epoch = Epoch(10);
  EXPECT_EQ(s.ask(1, later), FetchOutcome::not_now);
}

// --- The in-sync set ------------------------------------------------------------------------------

struct Review : Sessions {
  std::vector<ReplicaView> replicas{{NodeId(1), Incarnation(1), true, false, false},
                                    {NodeId(2), Incarnation(3), true, false, false}};
  std::vector<NodeId> isr{NodeId(1), NodeId(2)};
  Offset hw{120};
  Offset epoch_start{130};

  IsrFacts facts() const {
    return {NodeId(1),   replicas, isr,        hw,
            epoch_start, now,      seconds(2), model::DurabilityMode::fsync};
  }
  std::optional<std::vector<NodeId>> next() {
    sessions.note_time(log.leo, model::DurabilityMode::fsync, now);
    const auto lives = next_isr(facts(), sessions);
    if (!lives) return std::nullopt;
    std::vector<NodeId> nodes;
    for (const ReplicaLife& life : *lives) nodes.push_back(life.node);
    return nodes;
  }
};

TEST(IsrReview, who_lags_leaves_and_who_has_all_joins) {
  Review r;
  EXPECT_EQ(r.next(), std::nullopt);
  r.now = r.now + seconds(3);
  EXPECT_EQ(r.next(), std::vector<NodeId>{NodeId(1)});
  r.isr = {NodeId(1)};
  EXPECT_EQ(r.ask(1, fetch(150, 5)), FetchOutcome::records);
  EXPECT_EQ(r.next(), std::nullopt) << "nothing is known to be on its disk";
  EXPECT_TRUE(r.report(1, 125));
  EXPECT_EQ(r.next(), std::nullopt) << "below the leader's epoch start";
  EXPECT_TRUE(r.report(1, 150));
  EXPECT_EQ(r.next(), (std::vector<NodeId>{NodeId(1), NodeId(2)}));
  r.replicas[1].up = false;
  EXPECT_EQ(r.next(), std::nullopt);
  r.replicas[1].up = true;
  r.replicas[1].barred = true;
  EXPECT_EQ(r.next(), std::nullopt);
}

TEST(IsrReview, a_follower_that_is_always_a_little_behind_a_busy_leader_stays) {
  Review r;
  EXPECT_EQ(r.ask(1, fetch(150, 5)), FetchOutcome::records);
  for (uint64_t i = 0; i < 50; ++i) {
    r.log.leo = Offset(200 + 10 * i);
    r.now = r.now + milliseconds(200);
    EXPECT_TRUE(r.report(1, 190 + 10 * i));
    EXPECT_EQ(r.next(), std::nullopt) << i;
  }
  for (uint64_t i = 0; i < 20; ++i) {
    r.log.leo = r.log.leo + 10;
    r.now = r.now + milliseconds(200);
    EXPECT_TRUE(r.report(1, 690));
  }
  EXPECT_EQ(r.next(), std::vector<NodeId>{NodeId(1)}) << "its disk is stuck";
}

TEST(IsrReview, suspects_are_cleared_before_anybody_leaves) {
  Review r;
  r.replicas.push_back({NodeId(3), Incarnation(1), true, false, false});
  r.isr.push_back(NodeId(3));
  r.sessions.allow({r.b, {NodeId(3), Incarnation(1)}}, r.now);
  r.replicas[1].suspect = true;
  r.now = r.now + seconds(3);
  EXPECT_EQ(r.ask(1, fetch(150, 5)), FetchOutcome::records);
  EXPECT_TRUE(r.report(1, 150));
  EXPECT_EQ(cleared_suspects(r.facts(), r.sessions), std::vector<ReplicaLife>{r.b});
  EXPECT_EQ(r.next(), std::nullopt);
  r.replicas[1].suspect = false;
  EXPECT_EQ(r.next(), (std::vector<NodeId>{NodeId(1), NodeId(2)}));
}

// --- The follower ---------------------------------------------------------------------------------

struct Following {
  Epochs epochs{{Epoch(2), Offset(0)}, {Epoch(4), Offset(80)}};
  FollowerLog log{Offset(0), Offset(120), Epoch(4), Offset(70), epochs};
  FollowerStanding standing;

  FollowerStep diverging(uint64_t epoch, uint64_t end) const {
    FetchAnswer a;
    a.outcome = FetchOutcome::diverging;
    a.common_epoch = Epoch(epoch);
    a.common_end = Offset(end);
    return follow(a, log, standing);
  }
};

TEST(Follow, it_cuts_to_the_smaller_end_of_the_common_epoch) {
  Following f;
  EXPECT_EQ(f.diverging(4, 100), (FollowerStep{FollowerVerb::cut, Offset(100)}));
  EXPECT_EQ(f.diverging(2, 100), (FollowerStep{FollowerVerb::cut, Offset(80)}));
  EXPECT_EQ(f.diverging(3, 90), (FollowerStep{FollowerVerb::cut, Offset(80)}));
  EXPECT_EQ(f.diverging(4, 130).verb, FollowerVerb::wait) << "no answer to what was asked";
}

TEST(Follow, it_does_not_cut_below_its_own_high_watermark_unless_a_loss_was_decided_since) {
  Following f;
  EXPECT_EQ(f.diverging(2, 60), (FollowerStep{FollowerVerb::refuse, Offset(60)}));
  f.standing.loss_at = Epoch(4);
  EXPECT_EQ(f.diverging(2, 60).verb, FollowerVerb::refuse)
      << "decided before it had its last record";
  f.standing.loss_at = Epoch(6);
  EXPECT_EQ(f.diverging(2, 60), (FollowerStep{FollowerVerb::cut, Offset(60)}));
}

TEST(Follow, who_is_counted_on_keeps_what_is_below_the_leaders_start) {
  Following f;
  FetchAnswer a;
  a.outcome = FetchOutcome::below_start;
  a.log_start = Offset(90);
  EXPECT_EQ(follow(a, f.log, f.standing), (FollowerStep{FollowerVerb::cut, Offset(90)}));
  a.log_start = Offset(60);
  EXPECT_EQ(follow(a, f.log, f.standing).verb, FollowerVerb::refuse) << "below what was committed";
}

TEST(Follow, it_begins_anew_only_when_nobody_counts_on_it) {
  Following f;
  FetchAnswer a;
  a.outcome = FetchOutcome::below_start;
  a.log_start = Offset(500);
  EXPECT_EQ(follow(a, f.log, f.standing).verb, FollowerVerb::wait);
  f.standing.counted = false;
  EXPECT_EQ(follow(a, f.log, f.standing), (FollowerStep{FollowerVerb::begin_anew, Offset(500)}));
}

}  // namespace
}  // namespace bascule::partition

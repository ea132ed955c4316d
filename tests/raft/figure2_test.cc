// The paper's fig. 2, sentence by sentence, and §5.4: what a server does with each message and each timeout.
#include <gtest/gtest.h>

#include "tests/raft/raft_group.h"

namespace bascule::raft {
namespace {

Message from(Group& group, uint32_t from_node, uint32_t to, uint64_t term, Body body) {
  return {member_id(from_node), member_id(to), Term(term),
          group.peer(from_node).disk.stored.incarnation, std::move(body)};
}

Entry command(uint64_t term, std::string_view data) {
  return {Term(term), EntryKind::command, text(data)};
}

// The only answer of kind T on its way between two nodes.
template <class T>
T only(Group& group, uint32_t from_node, uint32_t to) {
  const auto found = group.sent<T>(from_node, to);
  EXPECT_EQ(found.size(), 1u);
  return found.empty() ? T{} : found.front();
}

// Node 2 as a follower of node 1 in term 2 whose log is the founding entry and `entries`.
void follow(Group& group, std::vector<Entry> entries, uint64_t term = 2, Index commit = {}) {
  group.step(2, from(group, 1, 2, term,
                     AppendRequest{.prev_index = Index(1),
                                   .prev_term = Term(1),
                                   .entries = std::move(entries),
                                   .commit = commit}));
  group.complete_writes(2);
  group.messages().clear();
}

// --- All servers --------------------------------------------------------------------------------------

TEST(raft_figure2, committed_entries_are_applied_in_log_order) {
  Group group({1, 2, 3});
  follow(group, {command(2, "a"), command(2, "b")}, 2, Index(3));
  EXPECT_EQ(group.peer(2).state, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(group[2].applied(), Index(3));
}

TEST(raft_figure2, a_higher_term_makes_any_server_a_follower_of_that_term) {
  Group group({1, 2, 3});
  group.elect(1);
  ASSERT_EQ(group[1].role(), Role::leader);
  group.step(1, from(group, 2, 1, 9, AppendResponse{}));
  EXPECT_EQ(group[1].role(), Role::follower);
  EXPECT_EQ(group[1].term(), Term(9));
  EXPECT_FALSE(group[1].hard_state().vote);
}

TEST(raft_figure2, term_and_vote_are_durable_before_anything_that_depends_on_them_leaves) {
  Group group({1, 2, 3});
  group.step(2, from(group, 1, 2, 2, VoteRequest{.last_index = Index(1), .last_term = Term(1)}));
  EXPECT_TRUE(group.messages().empty());
  // Nor does what is said later, with nothing new to write.
  group.step(2, from(group, 1, 2, 2, VoteRequest{.last_index = Index(1), .last_term = Term(1)}));
  EXPECT_TRUE(group.messages().empty());
  group.complete_write(2);
  EXPECT_EQ(group.sent<VoteResponse>(2, 1).size(), 2u);
  EXPECT_EQ(group.peer(2).disk.stored.hard, (HardState{Term(2), member_id(1)}));
}

// --- AppendEntries, the receiver ----------------------------------------------------------------------

TEST(raft_figure2, an_append_of_an_older_term_is_refused_with_the_present_term) {
  Group group({1, 2, 3});
  follow(group, {}, 5);
  group.step(2, from(group, 3, 2, 4, AppendRequest{.prev_index = Index(1), .prev_term = Term(1)}));
  EXPECT_FALSE(only<AppendResponse>(group, 2, 3).accepted);
  EXPECT_EQ(group.messages().front().term, Term(5));
  EXPECT_EQ(group[2].leader(), member_id(1));
}

TEST(raft_figure2, an_append_is_refused_where_the_entry_before_it_is_missing_or_of_another_term) {
  Group group({1, 2, 3});
  follow(group, {command(2, "a")});
  group.step(2, from(group, 1, 2, 3, AppendRequest{.prev_index = Index(3), .prev_term = Term(2)}));
  group.complete_writes(2);
  EXPECT_FALSE(only<AppendResponse>(group, 2, 1).accepted);
  group.messages().clear();
  group.step(2, from(group, 1, 2, 3, AppendRequest{.prev_index = Index(2), .prev_term = Term(3)}));
  const auto refusal = only<AppendResponse>(group, 2, 1);
  EXPECT_FALSE(refusal.accepted);
  EXPECT_EQ(refusal.conflict_term, Term(2));
  EXPECT_EQ(refusal.conflict_first, Index(2));
}

TEST(raft_figure2, an_entry_that_conflicts_is_cut_with_all_that_follow_it) {
  Group group({1, 2, 3});
  follow(group, {command(2, "a"), command(2, "b"), command(2, "c")});
  group.step(2,
             from(group, 3, 2, 3,
                  AppendRequest{
                      .prev_index = Index(2), .prev_term = Term(2), .entries = {command(3, "B")}}));
  EXPECT_EQ(group[2].last_index(), Index(3));
  EXPECT_EQ(group[2].term_at(Index(3)), Term(3));
  EXPECT_EQ(group[2].durable_index(), Index(2));
  group.complete_writes(2);
  EXPECT_EQ(group.peer(2).disk.stored.entries.size(), 3u);
  EXPECT_EQ(group.peer(2).disk.stored.entries[2], command(3, "B"));
}

TEST(raft_figure2, an_old_append_that_comes_late_cuts_nothing) {
  Group group({1, 2, 3});
  follow(group, {command(2, "a"), command(2, "b"), command(2, "c")});
  follow(group, {command(2, "a")});
  EXPECT_EQ(group[2].last_index(), Index(4));
}

TEST(raft_figure2, an_append_is_answered_once_its_entries_are_durable) {
  Group group({1, 2, 3});
  follow(group, {});
  group.step(2,
             from(group, 1, 2, 2,
                  AppendRequest{
                      .prev_index = Index(1), .prev_term = Term(1), .entries = {command(2, "a")}}));
  EXPECT_TRUE(group.messages().empty());
  // A heartbeat meanwhile is answered at once, for what is durable.
  group.step(2, from(group, 1, 2, 2, AppendRequest{.prev_index = Index(2), .prev_term = Term(2)}));
  EXPECT_EQ(only<AppendResponse>(group, 2, 1).index, Index(1));
  group.messages().clear();
  group.complete_write(2);
  EXPECT_EQ(only<AppendResponse>(group, 2, 1).index, Index(2));
}

TEST(raft_figure2, commit_is_the_leaders_but_not_beyond_what_this_append_has_proven) {
  Group group({1, 2, 3});
  follow(group, {command(2, "a"), command(2, "b")});
  // A later leader, whose log may differ behind index 2.
  group.step(2,
             from(group, 3, 2, 3,
                  AppendRequest{.prev_index = Index(2), .prev_term = Term(2), .commit = Index(9)}));
  EXPECT_EQ(group[2].commit(), Index(2));
}

TEST(raft_figure2, what_no_leader_would_say_is_dropped) {
  Group group({1, 2, 3});
  follow(group, {command(2, "a")});
  const uint64_t dropped = group[2].dropped_messages();
  const AppendRequest later{
      .prev_index = Index(2), .prev_term = Term(2), .entries = {command(7, "x")}};
  group.step(2, from(group, 1, 2, 2, later));
  const AppendRequest falling{
      .prev_index = Index(2), .prev_term = Term(2), .entries = {command(1, "x")}};
  group.step(2, from(group, 1, 2, 2, falling));
  const AppendRequest rubbish{
      .prev_index = Index(2),
      .prev_term = Term(2),
      .entries = {Entry{Term(2), EntryKind::configuration, text("rubbish")}}};
  group.step(2, from(group, 1, 2, 2, rubbish));
  EXPECT_EQ(group[2].dropped_messages(), dropped + 3);
  EXPECT_EQ(group[2].last_index(), Index(2));
}

// --- RequestVote, the receiver ------------------------------------------------------------------------

TEST(raft_figure2, a_vote_of_an_older_term_is_refused) {
  Group group({1, 2, 3});
  follow(group, {}, 5);
  group.step(2, from(group, 3, 2, 4, VoteRequest{.last_index = Index(9), .last_term = Term(4)}));
  EXPECT_FALSE(only<VoteResponse>(group, 2, 3).granted);
}

TEST(raft_figure2, one_vote_is_given_in_a_term_also_across_a_crash) {
  Group group({1, 2, 3});
  const VoteRequest request{.last_index = Index(1), .last_term = Term(1)};
  group.step(2, from(group, 1, 2, 2, request));
  group.complete_writes(2);
  group.crash(2);
  group.restart(2);
  group.messages().clear();
  group.step(2, from(group, 3, 2, 2, request));
  EXPECT_FALSE(only<VoteResponse>(group, 2, 3).granted);
  group.step(2, from(group, 1, 2, 2, request));
  EXPECT_TRUE(only<VoteResponse>(group, 2, 1).granted);  // the same one again
}

TEST(raft_figure2, a_vote_goes_only_to_a_log_that_is_at_least_as_up_to_date) {  // §5.4.1
  Group group({1, 2, 3});
  follow(group, {command(2, "a"), command(2, "b")});
  group.advance(milliseconds(200));
  uint64_t term = 3;
  const auto granted = [&](uint64_t index, uint64_t last_term) {
    group.messages().clear();
    group.step(2, from(group, 3, 2, term++,
                       VoteRequest{.last_index = Index(index), .last_term = Term(last_term)}));
    group.complete_writes(2);
    return only<VoteResponse>(group, 2, 3).granted;
  };
  EXPECT_FALSE(granted(2, 2));  // shorter
  EXPECT_FALSE(granted(9, 1));  // longer, of an older term
  EXPECT_TRUE(granted(3, 2));   // the same
  EXPECT_TRUE(granted(2, 3));   // shorter, of a later term
}

// --- Followers and candidates -------------------------------------------------------------------------

TEST(raft_figure2, a_follower_stands_only_when_it_hears_nothing_for_its_timeout) {
  Group group({1, 2, 3});
  group.elect(1);
  group.run(seconds(2));
  EXPECT_EQ(group[1].role(), Role::leader);
  EXPECT_EQ(group[1].term(), Term(2));
  group.isolate(1);
  group.run(milliseconds(60));
  EXPECT_EQ(group[2].role(), Role::follower);
  group.run(milliseconds(300));
  EXPECT_NE(group.leader(), 1u);
}

TEST(raft_figure2, a_vote_given_puts_off_the_own_candidacy) {
  Group group({1, 2, 3});
  const MonotonicTime before = group[2].deadline();
  group.advance(milliseconds(70));
  group.step(2, from(group, 1, 2, 2, VoteRequest{.last_index = Index(1), .last_term = Term(1)}));
  EXPECT_GT(group[2].deadline(), before);
  EXPECT_GE(group[2].deadline() - group.now(), milliseconds(75));
}

TEST(raft_figure2, a_candidate_raises_its_term_votes_for_itself_and_asks_all_others) {
  Group group({1, 2, 3});
  group.advance(milliseconds(150));
  group.tick(1);
  group.step(1, from(group, 2, 1, 1, VoteResponse{.pre = true, .granted = true}));
  EXPECT_EQ(group[1].role(), Role::candidate);
  EXPECT_EQ(group[1].hard_state(), (HardState{Term(2), member_id(1)}));
  group.messages().clear();
  group.complete_writes(1);
  for (const uint32_t other : {2, 3}) {
    const auto request = only<VoteRequest>(group, 1, other);
    EXPECT_FALSE(request.pre);
    EXPECT_EQ(request.last_index, Index(1));
  }
}

TEST(raft_figure2, a_majority_of_votes_makes_a_leader_and_fewer_do_not) {
  Group group({1, 2, 3, 4, 5});
  group.advance(milliseconds(150));
  group.tick(1);
  group.step(1, from(group, 2, 1, 1, VoteResponse{.pre = true, .granted = true}));
  group.step(1, from(group, 3, 1, 1, VoteResponse{.pre = true, .granted = true}));
  group.complete_writes(1);
  group.step(1, from(group, 2, 1, 2, VoteResponse{.granted = true}));
  group.step(1, from(group, 2, 1, 2, VoteResponse{.granted = true}));  // counts once
  group.step(1, from(group, 4, 1, 2, VoteResponse{.granted = false}));
  EXPECT_EQ(group[1].role(), Role::candidate);
  group.step(1, from(group, 3, 1, 2, VoteResponse{.granted = true}));
  EXPECT_EQ(group[1].role(), Role::leader);
}

TEST(raft_figure2, a_candidate_that_hears_the_terms_leader_follows_it) {
  Group group({1, 2, 3});
  group.advance(milliseconds(150));
  group.tick(1);
  group.step(1, from(group, 2, 1, 1, VoteResponse{.pre = true, .granted = true}));
  ASSERT_EQ(group[1].role(), Role::candidate);
  group.step(1, from(group, 3, 1, 2, AppendRequest{.prev_index = Index(1), .prev_term = Term(1)}));
  EXPECT_EQ(group[1].role(), Role::follower);
  EXPECT_EQ(group[1].leader(), member_id(3));
}

TEST(raft_figure2, a_candidate_whose_timeout_passes_stands_again) {
  Group group({1, 2, 3});
  group.isolate(1);
  group.elect(1);
  EXPECT_EQ(group[1].role(), Role::pre_candidate);
  group.heal();
  group.elect(1);
  EXPECT_EQ(group[1].role(), Role::leader);
}

// --- Leaders ------------------------------------------------------------------------------------------

TEST(raft_figure2, a_leader_sends_heartbeats_at_once_and_then_in_every_interval) {
  Group group({1, 2, 3});
  group.elect(1);
  for (int i = 0; i < 5; ++i) {
    group.advance(milliseconds(15));
    group.tick(1);
    EXPECT_EQ(group.sent<AppendRequest>(1, 2).size(), 1u);
    group.settle();
  }
}

TEST(raft_figure2, appends_leave_before_the_leader_has_written_its_own) {  // thesis §10.2.1
  Group group({1, 2, 3});
  group.elect(1);
  ASSERT_TRUE(group.propose(1, "a"));
  EXPECT_EQ(group.sent<AppendRequest>(1, 2).size(), 1u);
  EXPECT_EQ(group.peer(1).disk.writes.size(), 1u);
}

TEST(raft_figure2, the_leaders_own_log_counts_only_as_far_as_it_is_durable) {
  Group group({1, 2, 3});
  group.elect(1);
  group.cut(1, 3);
  const Index index = *group.propose(1, "a");
  group.deliver(0);
  group.complete_writes(2);
  while (!group.messages().empty()) group.deliver(0);
  EXPECT_LT(group[1].commit(), index);
  group.complete_writes(1);
  EXPECT_EQ(group[1].commit(), index);
}

// §5.3, end: a refusal skips all entries of the term that did not fit.
TEST(raft_figure2, a_refused_follower_is_probed_back_a_whole_term_at_a_time) {
  Group group({1, 2, 3});
  group.elect(1);
  group.cut(1, 2);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(group.propose(1, "a"));
  group.settle();
  const Index last = group[1].last_index();
  // Node 2 says that it has entries of term 1 from index 2 on, where the leader has those of term 2.
  group.step(1, from(group, 2, 1, 2,
                     AppendResponse{.accepted = false,
                                    .index = last,
                                    .last_index = Index(20),
                                    .conflict_term = Term(1),
                                    .conflict_first = Index(2)}));
  EXPECT_EQ(group.sent<AppendRequest>(1, 2).back().prev_index,
            Index(2));  // what it has proven to have
  EXPECT_EQ(group.sent<AppendRequest>(1, 2).back().entries.size(), 10u);
  // A refusal of what has been accepted meanwhile is late, and changes nothing.
  group.messages().clear();
  group.step(1, from(group, 2, 1, 2,
                     AppendResponse{.accepted = false, .index = last, .last_index = Index(5)}));
  EXPECT_TRUE(group.messages().empty());
}

TEST(raft_figure2, a_leader_never_changes_its_own_log) {
  Group group({1, 2, 3});
  group.elect(1);
  ASSERT_TRUE(group.propose(1, "a"));
  const Index last = group[1].last_index();
  group.step(1,
             from(group, 2, 1, 2,
                  AppendRequest{
                      .prev_index = Index(1), .prev_term = Term(1), .entries = {command(2, "b")}}));
  EXPECT_EQ(group[1].last_index(), last);
  EXPECT_EQ(group[1].role(), Role::leader);
}

// --- Fig. 8 and §5.4.2 --------------------------------------------------------------------------------

TEST(raft_figure8, an_entry_of_an_older_term_is_committed_only_with_the_first_of_the_leaders_own) {
  Group group({1, 2, 3});
  group.elect(1);
  group.cut(1, 3);
  group.cut(3, 1);
  group.cut(2, 1);  // its answers are lost: nothing is committed
  const Index two = *group.propose(1, "two");
  group.settle();
  ASSERT_EQ(group[2].last_index(), two);
  ASSERT_LT(group[1].commit(), two);
  group.crash(1);
  group.heal();
  group.advance(milliseconds(150));
  group.tick(2);
  // Node 2 wins with node 3's vote. Answers that show only index `two`, of the older term, commit nothing.
  while (group[2].role() != Role::leader) {
    group.complete_writes(2);
    group.complete_writes(3);
    ASSERT_FALSE(group.messages().empty());
    group.deliver(0);
  }
  group.complete_writes(2);
  group.messages().clear();
  const Term term = group[2].term();
  group.step(2, from(group, 3, 2, term.value, AppendResponse{.accepted = true, .index = two}));
  EXPECT_LT(group[2].commit(), two);
  group.step(2,
             from(group, 3, 2, term.value, AppendResponse{.accepted = true, .index = two.next()}));
  EXPECT_EQ(group[2].commit(), two.next());
  EXPECT_EQ(group.peer(2).state, (std::vector<std::string>{"two"}));
}

}  // namespace
}  // namespace bascule::raft

// The paper's §7 and fig. 13, sentence by sentence; and what bounds the memory of a machine.
#include <gtest/gtest.h>

#include "tests/raft/raft_group.h"

namespace bascule::raft {
namespace {

RaftOptions small() {
  RaftOptions options;
  options.snapshot_chunk_bytes = 8;
  options.keep_entries = 1;
  options.in_flight_messages_max = 4;
  options.in_flight_bytes_max = 400;
  options.append_bytes_max = 100;
  return options;
}

Message from(Group& group, uint32_t from_node, uint32_t to, uint64_t term, Body body) {
  return {member_id(from_node), member_id(to), Term(term),
          group.peer(from_node).disk.stored.incarnation, std::move(body)};
}

SnapshotRequest chunk(std::string_view data, uint64_t offset, size_t size, uint64_t index = 9) {
  return {.meta = {Index(index), Term(2), voters({1, 2, 3})},
          .total_bytes = data.size(),
          .offset = offset,
          .data = text(data.substr(offset, size))};
}

// A leader 1 whose log is compacted beyond what node 3, which was away, has.
Group behind() {
  Group group({1, 2, 3}, small());
  group.elect(1);
  group.isolate(3);
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(group.propose(1, "command " + std::to_string(i)));
    group.settle();
  }
  group.compact(1);
  return group;
}

TEST(raft_figure13, who_is_behind_the_log_gets_the_snapshot_in_chunks_and_then_the_log) {
  Group group = behind();
  ASSERT_GT(group[1].first_index(), group[3].last_index().next());
  group.heal();
  ASSERT_TRUE(group.propose(1, "last"));
  group.run(milliseconds(100));
  EXPECT_EQ(group.peer(3).state, group.peer(1).state);
  EXPECT_EQ(group.peer(3).state.size(), 21u);
  EXPECT_EQ(group.peer(3).disk.stored.snapshot.meta.index, Index(22));
}

TEST(raft_figure13, a_lost_chunk_is_sent_again) {
  Group group = behind();
  group.heal();
  group.run(milliseconds(15));
  for (int i = 0; i < 12; ++i) {
    group.cut(1, 3);
    group.run(milliseconds(20));
    group.heal();
    group.run(milliseconds(20));
  }
  group.run(milliseconds(200));
  EXPECT_EQ(group.peer(3).state, group.peer(1).state);
}

TEST(raft_figure13, an_older_term_is_answered_with_the_present_one) {
  Group group({1, 2, 3});
  group.step(2, from(group, 3, 2, 5, AppendRequest{.prev_index = Index(1), .prev_term = Term(1)}));
  group.complete_writes(2);
  group.messages().clear();
  group.step(2, from(group, 1, 2, 4, chunk("0123456789", 0, 4)));
  ASSERT_EQ(group.messages().size(), 1u);
  EXPECT_EQ(group.messages()[0].term, Term(5));
}

TEST(raft_figure13, chunks_are_written_where_they_belong_and_what_is_missing_is_named) {
  Group group({1, 2, 3});
  const auto next = [&](uint64_t offset, size_t size) {
    group.messages().clear();
    group.step(2, from(group, 1, 2, 2, chunk("0123456789", offset, size)));
    group.complete_writes(2);
    return group.sent<SnapshotResponse>(2, 1).back().next_offset;
  };
  EXPECT_EQ(next(4, 4), 0u);  // the first is missing
  EXPECT_EQ(next(0, 4), 4u);
  EXPECT_EQ(next(0, 4), 4u);  // a duplicate
  EXPECT_EQ(next(8, 2), 4u);
  EXPECT_EQ(next(4, 4), 8u);
}

TEST(raft_figure13, the_log_is_replaced_and_the_state_machine_starts_over_once_it_is_durable) {
  Group group({1, 2, 3});
  Bytes state;
  state.push_back(1);
  state.push_back('s');
  group.step(2, from(group, 1, 2, 2, chunk(as_text(state), 0, 2)));
  EXPECT_EQ(group[2].commit(), Index(9));
  EXPECT_EQ(group[2].last_index(), Index(9));
  EXPECT_TRUE(group.messages().empty());
  EXPECT_TRUE(group.peer(2).state.empty());
  // The entry behind it waits for it.
  group.step(2, from(group, 1, 2, 2,
                     AppendRequest{.prev_index = Index(9),
                                   .prev_term = Term(2),
                                   .entries = {{Term(2), EntryKind::command, text("t")}},
                                   .commit = Index(10)}));
  EXPECT_TRUE(group.peer(2).state.empty());
  group.complete_writes(2);
  EXPECT_EQ(group.peer(2).state, (std::vector<std::string>{"s", "t"}));
  EXPECT_EQ(group.sent<SnapshotResponse>(2, 1).back().next_offset, 2u);
  EXPECT_EQ(group[2].configuration(), voters({1, 2, 3}));
}

TEST(raft_figure13, a_log_that_has_its_last_entry_keeps_what_follows) {
  Group group({1, 2, 3});
  std::vector<Entry> entries(10, Entry{Term(2), EntryKind::command, text("a")});
  group.step(2,
             from(group, 1, 2, 2,
                  AppendRequest{.prev_index = Index(1), .prev_term = Term(1), .entries = entries}));
  group.complete_writes(2);
  group.step(2, from(group, 1, 2, 2, chunk("0123456789", 0, 4)));
  EXPECT_EQ(group[2].last_index(), Index(11));
  EXPECT_EQ(group[2].commit(), Index(9));
  EXPECT_EQ(group.sent<SnapshotResponse>(2, 1).back().next_offset, 10u);
}

TEST(raft_figure13, a_crash_before_it_is_durable_leaves_what_was_there) {
  Group group = behind();
  group.heal();
  const Index last = group[3].last_index();
  group.advance(milliseconds(15));
  group.tick(1);
  for (int i = 0; i < 200 && group[3].last_index() == last && !group.messages().empty(); ++i)
    group.deliver(0);
  ASSERT_GT(group[3].last_index(), last);
  group.crash(3);
  group.restart(3);
  EXPECT_EQ(group[3].last_index(), last);
  group.run(milliseconds(300));
  EXPECT_EQ(group.peer(3).state, group.peer(1).state);
}

TEST(raft_figure13, what_is_too_large_or_makes_no_sense_is_not_taken_in) {
  RaftOptions options;
  options.snapshot_bytes_max = 9;
  Group group({1, 2, 3}, options);
  group.step(2, from(group, 1, 2, 2, chunk("0123456789", 0, 4)));
  SnapshotRequest beyond = chunk("012345", 0, 6);
  beyond.offset = 3;
  group.step(2, from(group, 1, 2, 2, beyond));
  SnapshotRequest nobody = chunk("012345", 0, 6);
  nobody.meta.configuration = {};
  group.step(2, from(group, 1, 2, 2, nobody));
  EXPECT_EQ(group[2].dropped_messages(), 3u);
}

TEST(raft_bounds, appends_on_their_way_to_one_follower_are_bounded_in_number_and_bytes) {
  Group group({1, 2, 3}, small());
  group.elect(1);
  group.isolate(3);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(group.propose(1, "abc"));
  size_t bytes = 0;
  const auto sent = group.sent<AppendRequest>(1, 3);
  for (const AppendRequest& append : sent) {
    size_t message_bytes = 0;
    for (const Entry& entry : append.entries) message_bytes += entry.cost();
    EXPECT_LE(message_bytes, 100u);
    bytes += message_bytes;
  }
  EXPECT_LE(sent.size(), 4u);
  EXPECT_LE(bytes, 400u + 100u);
  group.heal();
  group.run(milliseconds(100));
  EXPECT_EQ(group.peer(3).state.size(), 50u);
}

TEST(raft_bounds, proposals_that_are_not_committed_are_bounded_in_bytes) {
  RaftOptions options;
  options.uncommitted_bytes_max = 1000;
  options.command_bytes_max = 2000;
  Group group({1, 2, 3}, options);
  group.elect(1);
  ASSERT_TRUE(group.propose(1, std::string(1500, 'x')));  // alone it passes
  EXPECT_EQ(group.propose(1, "a").error().code, Errc::overloaded);
  EXPECT_EQ(group.propose(1, std::string(2001, 'x')).error().code, Errc::too_large);
  group.settle();
  EXPECT_TRUE(group.propose(1, "a"));
}

TEST(raft_bounds, reads_that_wait_are_bounded) {
  RaftOptions options;
  options.reads_max = 2;
  Group group({1, 2, 3}, options);
  group.elect(1);
  for (const uint32_t node : {1, 2}) {
    EXPECT_TRUE(group[node].read(group.now(), 1));
    EXPECT_TRUE(group[node].read(group.now(), 2));
    EXPECT_EQ(group[node].read(group.now(), 3).error().code, Errc::overloaded);
  }
}

TEST(raft_bounds, a_compaction_keeps_some_entries_for_who_is_a_little_behind) {
  RaftOptions options;
  options.keep_entries = 5;
  Group group({1, 2, 3}, options);
  group.elect(1);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(group.propose(1, "a"));
  group.settle();
  group.compact(1);
  EXPECT_EQ(group[1].first_index(), Index(18));
  EXPECT_EQ(group[1].last_index(), Index(22));
}

TEST(raft_configuration, bytes_and_values_agree_and_rubbish_is_told) {
  Configuration configuration = voters({1, 2, 3});
  configuration.outgoing = members({3, 4});
  configuration.learners = members({7});
  configuration.demoted = members({4});
  const Bytes bytes = encode_configuration(configuration);
  EXPECT_EQ(*decode_configuration(bytes), configuration);
  for (size_t cut = 0; cut < bytes.size(); ++cut)
    EXPECT_FALSE(decode_configuration(ByteView(bytes).first(cut))) << cut;
  Bytes later = bytes;
  later[0] = 2;
  EXPECT_EQ(decode_configuration(later).error().code, Errc::unsupported);
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_EQ(decode_configuration(longer).error().code, Errc::corrupt);
}

TEST(raft_configuration, what_cannot_be_is_named) {
  EXPECT_FALSE(Configuration{}.check());
  Configuration configuration = voters({1, 2, 3});
  EXPECT_TRUE(configuration.check());
  configuration.learners = members({3});
  EXPECT_FALSE(configuration.check());
  configuration.learners = {member(3, 9)};  // another storage of a voter's node
  EXPECT_TRUE(configuration.check());
  configuration.voters = {member(1), member(1, 9999)};
  EXPECT_FALSE(configuration.check());
  EXPECT_FALSE(voters({2, 1}).check());
  EXPECT_FALSE(voters({1, 2, 3, 4, 5, 6, 7, 8}).check());
  EXPECT_EQ(member_id(3, 0x1a2b3c4d00000000).to_string(), "3:1a2b3c4d");
}

}  // namespace
}  // namespace bascule::raft

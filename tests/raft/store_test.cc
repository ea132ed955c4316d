#include <gtest/gtest.h>

#include "tests/raft/store_harness.h"

namespace bascule::raft {
namespace {

void crash_and_reopen(StoreMachine& m) {
  m.node->crash_machine();
  m.start_and_wait();
}

uint64_t seen(const StoreMachine& m, const std::string& probe) {
  const auto at = m.sim.counts().find(probe);
  return at == m.sim.counts().end() ? 0 : at->second;
}

TEST(RaftStore, what_was_persisted_is_there_after_a_clean_stop) {
  StoreMachine m(1);
  m.start_and_wait();
  EXPECT_FALSE(m.program()->opened.clean);
  m.vote(3, 2);
  m.append(3, {10, 0, 5000});
  Persist configuration;
  configuration.first = Index(4);
  configuration.entries.push_back({Term(3), EntryKind::configuration, {}});
  m.persist(configuration);
  m.stop();
  m.start_and_wait();
  EXPECT_TRUE(m.program()->opened.clean);
  EXPECT_EQ(m.state().entries.size(), 4u);
  EXPECT_EQ(m.state().entries[3].kind, EntryKind::configuration);
  EXPECT_EQ(m.state().hard, (HardState{Term(3), test_member(2)}));
}

TEST(RaftStore, a_format_holds_what_it_was_given) {
  StoreMachine m(1);
  m.initial.hard = {Term(1), {}};
  m.initial.snapshot = make_snapshot(Index(7), Term(1));
  m.initial.entries = {make_entry(1, "a"), make_entry(1, "b")};
  m.base.hard = m.initial.hard;
  m.base.base = Index(7);
  m.base.base_term = Term(1);
  m.base.entries = m.initial.entries;
  m.start_and_wait();
  crash_and_reopen(m);
  EXPECT_EQ(m.state().snapshot.meta, m.initial.snapshot.meta);
  EXPECT_EQ(m.state().entries, m.initial.entries);
}

TEST(RaftStore, calls_of_one_turn_are_one_group) {
  StoreMachine m(2);
  m.start_and_wait();
  for (int i = 0; i < 20; ++i) m.append(1, {10});
  m.vote(2, 1);
  ASSERT_TRUE(m.wait_quiet());
  const sim::Storage& storage = m.node->device().storage();
  for (int place : {0, 1}) {
    const Slice bytes = storage.read(*storage.find(m.path(place, ".log")), 0, 16 << 10);
    EXPECT_EQ(std::count(bytes.data() + 4096, bytes.data() + bytes.size(), 0),
              static_cast<std::ptrdiff_t>(bytes.size() - 4096));
  }
}

TEST(RaftStore, a_cut_writes_over_nothing_and_holds_after_a_crash) {
  StoreMachine m(3);
  m.start_and_wait();
  m.append(1, {10, 10, 10, 10});
  ASSERT_TRUE(m.wait_quiet());
  const std::string log = m.path(0, ".log");
  const sim::Storage& storage = m.node->device().storage();
  const Slice before = storage.read(*storage.find(log), 0, 4096);
  m.replace(Index(2), 2, {10});
  m.vote(2, 1);
  ASSERT_TRUE(m.wait_quiet());
  m.vote(3, 2);
  ASSERT_TRUE(m.wait_quiet());
  EXPECT_TRUE(equal(before, storage.read(*storage.find(log), 0, 4096)));
  crash_and_reopen(m);
  ASSERT_EQ(m.state().entries.size(), 2u);
  EXPECT_EQ(m.state().entries[1].term, Term(2));
  EXPECT_EQ(m.state().hard, (HardState{Term(3), test_member(2)}));
}

TEST(RaftStore, a_hard_state_of_an_earlier_term_changes_nothing) {
  StoreMachine m(4);
  m.start_and_wait();
  m.vote(5, 1);
  ASSERT_TRUE(m.wait_quiet());
  bool succeeded = false;
  Persist old;
  old.hard = HardState{Term(4), test_member(2)};
  m.store().persist(old, [&](const Status& s) { succeeded = s.has_value(); });
  m.sim.run_until(m.sim.now() + milliseconds(20));
  EXPECT_TRUE(succeeded);
  crash_and_reopen(m);
  EXPECT_EQ(m.state().hard, (HardState{Term(5), test_member(1)}));
}

TEST(RaftStore, a_leaders_snapshot_replaces_what_does_not_fit_and_leaves_what_follows) {
  struct Case {
    Index index;
    Term term;
    size_t left;
  };
  for (const Case& c : {Case{Index(3), Term(1), 2}, Case{Index(3), Term(2), 0},
                        Case{Index(90), Term(2), 0}, Case{Index(5), Term(1), 0}}) {
    StoreMachine m(5);
    m.start_and_wait();
    m.append(1, {10, 10, 10, 10, 10});
    m.install(c.index, c.term);
    m.append(2, {10});
    ASSERT_TRUE(m.wait_quiet());
    crash_and_reopen(m);
    if (HasFatalFailure()) return;
    EXPECT_EQ(m.state().snapshot.meta.index, c.index);
    EXPECT_EQ(m.state().entries.size(), c.left + 1);
  }
}

TEST(RaftStore, snapshots_and_long_segments_leave_no_files_behind) {
  StoreMachine m(6);
  m.options.segment_bytes_max = 32 << 10;
  m.start_and_wait();
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) {
      m.append(1, {300});
      ASSERT_TRUE(m.wait_quiet());
    }
    EXPECT_GT(m.count_files(".log"), 2u);
    m.snapshot(m.latest.last());
    m.append(1, {300});
    ASSERT_TRUE(m.wait_quiet());
    ASSERT_TRUE(m.snapshots.back().has_value());
    EXPECT_LE(m.count_files(".log"), 4u);
    EXPECT_EQ(m.count_files(".snapshot"), 2u);
  }
  crash_and_reopen(m);
  EXPECT_EQ(m.count_files(".log"), 2u);
}

TEST(RaftStore, a_write_of_a_dead_life_that_lands_late_changes_nothing) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    StoreMachine m(seed);
    m.start_and_wait();
    for (uint64_t life = 0; life < 4; ++life) {
      m.vote(m.latest.hard.term.value + 1, 1);
      m.append(m.latest.hard.term.value, {3000, 3000});
      // Killed with the group in flight, started at once; the next life votes for another.
      m.sim.run_until(m.sim.now() + microseconds(static_cast<int64_t>(20 + seed * 3)));
      m.node->crash_process();
      m.start_and_wait();
      if (HasFatalFailure()) return;
      if (!m.latest.hard.vote) m.vote(m.latest.hard.term.value, 2);
      ASSERT_TRUE(m.wait_quiet());
    }
  }
}

// --- Rot -------------------------------------------------------------------------------------------

// Five groups, at 0, 4096, …; the last two are votes alone.
void five_groups(StoreMachine& m) {
  m.start_and_wait();
  m.append(1, {10});
  ASSERT_TRUE(m.wait_quiet());
  m.append(1, {10, 10});
  ASSERT_TRUE(m.wait_quiet());
  m.replace(Index(2), 1, {10});
  ASSERT_TRUE(m.wait_quiet());
  m.vote(2, 1);
  ASSERT_TRUE(m.wait_quiet());
  m.vote(3, 1);
  ASSERT_TRUE(m.wait_quiet());
}

TEST(RaftStore, rot_in_one_copy_is_healed_from_the_other_in_every_file) {
  for (const std::string suffix : {".log", ".snapshot", "manifest"}) {
    for (int place : {0, 1}) {
      for (uint64_t position : {0, 9, 30, 70}) {
        StoreMachine m(7);
        five_groups(m);
        m.snapshot(Index(1));
        ASSERT_TRUE(m.wait_quiet());
        m.append(3, {10});
        ASSERT_TRUE(m.wait_quiet());
        m.node->crash_machine();
        m.flip(place, suffix, suffix == ".snapshot" ? position / 2 : position);
        m.start_and_wait();
        if (HasFatalFailure()) FAIL() << suffix << " " << place << " " << position;
        // Healed: the other copy may rot now.
        m.node->crash_machine();
        m.flip(1 - place, suffix, suffix == ".snapshot" ? position / 2 : position);
        m.start_and_wait();
        if (HasFatalFailure()) FAIL() << suffix << " " << place << " " << position;
      }
    }
  }
}

TEST(RaftStore, rot_in_both_copies_of_a_group_that_must_be_there_is_refused_by_name) {
  for (uint64_t group = 0; group < 5; ++group) {
    StoreMachine m(8);
    five_groups(m);
    m.sim.run_until(m.sim.now() + seconds(1));  // an idle log has marked its end
    m.node->crash_machine();
    m.flip(0, ".log", group * 4096 + 40);
    m.flip(1, ".log", group * 4096 + 65);
    const std::string name = m.path(0, ".log").substr(std::string("metadata/a/").size());
    m.start();
    ASSERT_FALSE(m.wait_open()) << "group " << group;
    ASSERT_TRUE(m.open_error().has_value());
    EXPECT_EQ(m.open_error()->code, Errc::corrupt);
    EXPECT_NE(m.open_error()->context.find(name), std::string::npos) << m.open_error()->context;
  }
}

TEST(RaftStore, rot_in_both_copies_of_what_a_manifest_counts_is_never_taken_for_torn) {
  const auto refused = [](StoreMachine& m, uint64_t group) {
    m.flip(0, ".log", group * 4096 + 40);
    m.flip(1, ".log", group * 4096 + 40);
    m.start();
    EXPECT_FALSE(m.wait_open());
    return m.open_error() && m.open_error()->code == Errc::corrupt;
  };
  StoreMachine stopped(9);
  five_groups(stopped);
  stopped.stop();
  EXPECT_TRUE(refused(stopped, 4));

  StoreMachine copied(10);
  five_groups(copied);
  crash_and_reopen(copied);
  copied.node->crash_machine();
  EXPECT_TRUE(refused(copied, 0));
}

TEST(RaftStore, rot_in_both_copies_of_a_snapshot_or_a_manifest_is_refused) {
  for (const std::string suffix : {".snapshot", "manifest"}) {
    StoreMachine m(11);
    five_groups(m);
    m.install(Index(9), Term(3));
    ASSERT_TRUE(m.wait_quiet());
    m.node->crash_machine();
    m.flip(0, suffix, 3);
    m.flip(1, suffix, 11);
    m.start();
    EXPECT_FALSE(m.wait_open());
    ASSERT_TRUE(m.open_error().has_value());
    EXPECT_EQ(m.open_error()->code, Errc::corrupt);
  }
}

TEST(RaftStore, the_store_of_another_storage_is_refused_and_one_in_use_is_not_formatted) {
  StoreMachine m(12);
  five_groups(m);
  std::optional<Error> format_error;
  std::optional<Error> open_error;
  const StoredState nothing;
  format_raft_store(m.program()->world, m.options, Uuid{{5, 5}}, nothing, [&](const Status& s) {
    if (!s) format_error = s.error();
  });
  m.sim.run_until_true(m.sim.now() + seconds(1), [&] { return format_error.has_value(); });
  m.node->crash_process();
  m.node->start([&](env::World& w) {
    open_raft_store(w, m.options, Uuid{{5, 5}}, [&](const Result<OpenedStore>& r) {
      if (!r) open_error = r.error();
    });
    return std::make_unique<StoreProgram>(w);
  });
  m.sim.run_until_true(m.sim.now() + seconds(1), [&] { return open_error.has_value(); });
  ASSERT_TRUE(format_error && open_error);
  EXPECT_EQ(format_error->code, Errc::corrupt);
  EXPECT_EQ(open_error->code, Errc::corrupt);
}

// --- A full disk -----------------------------------------------------------------------------------

void fill(StoreMachine& m) {
  sim::Storage& storage = m.node->device().storage();
  storage.set_bytes_max(storage.bytes_max() - storage.free_bytes());
}

TEST(RaftStore, a_full_disk_refuses_entries_and_keeps_votes_for_ever) {
  StoreMachine m(13);
  m.start_and_wait();
  const uint64_t bytes_max = m.node->device().storage().bytes_max();
  fill(m);
  int refused = 0;
  for (int i = 0; i < 12 && refused == 0; ++i) {
    const StoreModel before = m.latest;
    m.append(1, {3000});
    ASSERT_TRUE(m.wait_quiet());
    if (m.answer() == Errc{}) continue;
    EXPECT_EQ(m.answer(), Errc::no_space);
    ++refused;
    m.latest = before;
  }
  EXPECT_EQ(refused, 1);
  for (uint64_t term = 2; term < 200; ++term) {
    m.vote(term, term % 3);
    ASSERT_TRUE(m.wait_quiet()) << term;
    ASSERT_EQ(m.answer(), Errc{}) << term;
  }
  EXPECT_GT(seen(m, "raft.store.roll_on_full_disk"), 5u);
  EXPECT_EQ(seen(m, "raft.store.hard_state_waits"), 0u);
  crash_and_reopen(m);
  EXPECT_EQ(m.state().hard.term, Term(199));
  m.vote(300, 1);
  ASSERT_TRUE(m.wait_quiet());
  EXPECT_EQ(m.answer(), Errc{});
  m.node->device().storage().set_bytes_max(bytes_max);
  m.append(300, {3000});
  ASSERT_TRUE(m.wait_quiet());
  EXPECT_EQ(m.answer(), Errc{});
  crash_and_reopen(m);
}

TEST(RaftStore, what_follows_a_refusal_is_refused_and_a_vote_among_it_is_kept) {
  StoreMachine m(14);
  m.options.group_bytes_max = 4000;  // not all in one group
  m.start_and_wait();
  m.node->device().set_full(true);
  const StoreModel before = m.latest;
  m.append(1, {200'000});
  m.vote(2, 1);
  m.append(2, {10});
  m.append(2, {10});
  m.vote(3, 1);
  ASSERT_TRUE(m.wait_quiet());
  std::vector<Errc> answers;
  for (const auto& call : m.calls) answers.push_back(*call.answer);
  EXPECT_EQ(answers, (std::vector{Errc::no_space, Errc{}, Errc::no_space, Errc::no_space, Errc{}}));
  m.latest = before;
  m.node->device().set_full(false);
  m.append(3, {200'000});
  ASSERT_TRUE(m.wait_quiet());
  EXPECT_EQ(m.answer(), Errc{});
  crash_and_reopen(m);
  EXPECT_EQ(m.state().hard.term, Term(3));
  EXPECT_EQ(m.state().entries.size(), 1u);
}

TEST(RaftStore, a_snapshot_that_finds_no_space_changes_nothing) {
  StoreMachine m(15);
  five_groups(m);
  m.node->device().set_full(true);
  const StoreModel before = m.latest;
  m.snapshot(Index(2));
  m.install(Index(50), Term(3));
  ASSERT_TRUE(m.wait_quiet());
  EXPECT_EQ(m.answer(), Errc::no_space);
  EXPECT_EQ(m.snapshots.back().error().code, Errc::no_space);
  m.latest = before;
  m.node->device().set_full(false);
  m.append(3, {10});
  ASSERT_TRUE(m.wait_quiet());
  crash_and_reopen(m);
  EXPECT_EQ(m.state().snapshot.meta.index, Index{});
}

TEST(RaftStore, a_failed_write_or_sync_ends_the_process) {
  for (const auto fault : {sim::DiskFault::write_error, sim::DiskFault::sync_marked_clean,
                           sim::DiskFault::sync_dropped, sim::DiskFault::sync_kept_dirty}) {
    StoreMachine m(16);
    five_groups(m);
    m.node->device().arm(fault);
    m.append(3, {10});
    m.snapshot(Index(1));
    m.sim.run_until(m.sim.now() + milliseconds(50));
    EXPECT_FALSE(m.node->alive());
    m.start_and_wait();
    crash_and_reopen(m);
  }
}

}  // namespace
}  // namespace bascule::raft

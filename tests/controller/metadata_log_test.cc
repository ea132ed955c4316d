#include <gtest/gtest.h>

#include "tests/controller/metadata_log_harness.h"

namespace bascule::controller {
namespace {

TEST(MetadataLog, what_was_committed_is_there_after_a_clean_stop_in_order) {
  LogMachine m(1);
  m.start_and_wait();
  for (int i = 0; i < 50; ++i) m.propose();
  ASSERT_TRUE(m.wait_answers());
  for (int i = 0; i < 10; ++i) {
    m.propose(5000);
    ASSERT_TRUE(m.wait_answers());
  }
  m.stop();
  m.start_and_wait();
  EXPECT_EQ(m.program()->recorder.commands.size(), 60u);
}

TEST(MetadataLog, proposals_of_one_turn_are_one_group_in_both_places) {
  LogMachine m(1);
  m.start_and_wait();
  for (int i = 0; i < 100; ++i) m.propose(10);
  ASSERT_TRUE(m.wait_answers());
  const sim::Storage& storage = m.node->device().storage();
  for (int place : {0, 1}) {
    const Slice bytes = storage.read(*storage.find(m.path(place, ".log")), 0, 16 << 10);
    const auto zeros = std::count(bytes.data() + 8192, bytes.data() + bytes.size(), 0);
    EXPECT_EQ(static_cast<size_t>(zeros), bytes.size() - 8192);
  }
}

TEST(MetadataLog, a_snapshot_drops_the_entries_it_covers_and_proposals_go_on) {
  LogMachine m(2);
  m.start_and_wait();
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) m.propose(300);
    ASSERT_TRUE(m.wait_answers());
    m.snapshot();
    for (int i = 0; i < 5; ++i) m.propose(300);
    ASSERT_TRUE(m.wait_answers());
    m.sim.run_until(m.sim.now() + milliseconds(50));
    ASSERT_EQ(m.snapshots.size(), static_cast<size_t>(round + 1));
    ASSERT_TRUE(m.snapshots.back().has_value());
  }
  size_t files = 0;
  for (const std::string& f : m.node->device().storage().files()) files += f.ends_with(".log");
  EXPECT_LE(files, 4u) << "two segments at most, in two places";
  m.node->crash_machine();
  m.start_and_wait();
  EXPECT_EQ(m.program()->recorder.commands.size(), 125u);
}

TEST(MetadataLog, a_write_of_a_dead_life_that_lands_late_changes_nothing) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    LogMachine m(seed);
    m.start_and_wait();
    for (int life = 0; life < 4; ++life) {
      for (int i = 0; i < 5; ++i) m.propose(3000);
      // Killed with the group in flight, and started at once.
      m.sim.run_until(m.sim.now() + microseconds(static_cast<int64_t>(20 + seed * 3)));
      m.node->crash_process();
      m.start_and_wait();
      if (HasFatalFailure()) return;
    }
  }
}

// --- Rot -------------------------------------------------------------------------------------------

// A log with five groups of one entry each, at 0, 4096, …, and a mark after the last.
void five_groups(LogMachine& m) {
  m.start_and_wait();
  for (int i = 0; i < 5; ++i) {
    m.propose();
    ASSERT_TRUE(m.wait_answers());
  }
}

TEST(MetadataLog, rot_in_one_copy_is_healed_from_the_other_in_every_file) {
  for (const std::string suffix : {".log", ".snapshot", "manifest"}) {
    for (int place : {0, 1}) {
      for (uint64_t position : {0, 9, 30, 70}) {
        LogMachine m(7);
        five_groups(m);
        m.snapshot();
        m.sim.run_until(m.sim.now() + milliseconds(20));
        for (int i = 0; i < 3; ++i) {
          m.propose();
          ASSERT_TRUE(m.wait_answers());
        }
        m.node->crash_machine();
        if (suffix == ".snapshot" && position > 30) continue;
        m.flip(place, suffix, position);
        m.start_and_wait();
        ASSERT_EQ(m.program()->recorder.commands.size(), 8u) << suffix << " " << place;
        // Healed: the other copy may rot now.
        m.node->crash_machine();
        m.flip(1 - place, suffix, position);
        m.start_and_wait();
        ASSERT_EQ(m.program()->recorder.commands.size(), 8u) << suffix << " " << place;
      }
    }
  }
}

TEST(MetadataLog, rot_in_both_copies_of_an_entry_that_must_be_there_is_refused_by_name) {
  for (int group = 0; group < 5; ++group) {
    LogMachine m(8);
    five_groups(m);
    m.sim.run_until(m.sim.now() + seconds(1));  // an idle log has marked its end
    m.node->crash_machine();
    const uint64_t at = static_cast<uint64_t>(group) * 4096 + 40;
    m.flip(0, ".log", at);
    m.flip(1, ".log", at + 25);
    const std::string name = m.path(0, ".log").substr(std::string("metadata/a/").size());
    m.start();
    ASSERT_FALSE(m.wait_open()) << "group " << group;
    ASSERT_TRUE(m.open_error().has_value());
    EXPECT_EQ(m.open_error()->code, Errc::corrupt);
    EXPECT_NE(m.open_error()->context.find(name), std::string::npos) << m.open_error()->context;
  }
}

TEST(MetadataLog,
     rot_in_both_copies_of_the_last_entry_is_told_from_a_torn_tail_after_a_clean_stop) {
  LogMachine m(9);
  five_groups(m);
  m.stop();
  m.flip(0, ".log", 4 * 4096 + 40);
  m.flip(1, ".log", 4 * 4096 + 40);
  m.start();
  EXPECT_FALSE(m.wait_open());
  ASSERT_TRUE(m.open_error().has_value());
  EXPECT_EQ(m.open_error()->code, Errc::corrupt);
}

TEST(MetadataLog, a_tail_that_was_copied_into_a_new_life_is_never_taken_for_torn) {
  LogMachine m(9);
  five_groups(m);
  m.node->crash_machine();
  m.start_and_wait();
  m.node->crash_machine();
  m.flip(0, ".log", 40);
  m.flip(1, ".log", 40);
  m.start();
  EXPECT_FALSE(m.wait_open());
  ASSERT_TRUE(m.open_error().has_value());
  EXPECT_EQ(m.open_error()->code, Errc::corrupt);
}

TEST(MetadataLog, damage_of_both_snapshots_or_both_manifests_is_refused) {
  for (const std::string suffix : {".snapshot", "manifest"}) {
    LogMachine m(10);
    five_groups(m);
    m.snapshot();
    m.sim.run_until(m.sim.now() + milliseconds(20));
    m.node->crash_machine();
    m.flip(0, suffix, 3);
    m.flip(1, suffix, 11);
    m.start();
    EXPECT_FALSE(m.wait_open());
    ASSERT_TRUE(m.open_error().has_value());
    EXPECT_EQ(m.open_error()->code, Errc::corrupt);
  }
}

TEST(MetadataLog, blocks_that_cannot_be_read_count_as_rot_of_one_copy) {
  LogMachine m(11);
  five_groups(m);
  m.node->crash_machine();
  sim::Storage& storage = m.node->device().storage();
  storage.spoil_sector(*storage.find(m.path(0, ".log")), 8);   // group 1
  storage.spoil_sector(*storage.find(m.path(1, ".log")), 24);  // group 3
  m.start_and_wait();
  EXPECT_EQ(m.program()->recorder.commands.size(), 5u);
}

TEST(MetadataLog, a_place_that_is_lost_as_a_whole_is_made_anew_from_the_other) {
  for (const std::string lost : {"metadata/a", "metadata/b"}) {
    LogMachine m(12);
    five_groups(m);
    m.node->crash_machine();
    ASSERT_TRUE(m.node->device().storage().lose_directory(lost).has_value());
    m.start_and_wait();
    EXPECT_EQ(m.program()->recorder.commands.size(), 5u);
    m.node->crash_machine();
    const std::string other = lost == "metadata/a" ? "metadata/b" : "metadata/a";
    ASSERT_TRUE(m.node->device().storage().lose_directory(other).has_value());
    m.start_and_wait();
    EXPECT_EQ(m.program()->recorder.commands.size(), 5u);
  }
}

// --- A full disk -----------------------------------------------------------------------------------

TEST(MetadataLog, a_full_disk_refuses_before_anything_is_written_and_essential_commands_pass) {
  LogMachine m(13);
  m.start_and_wait();
  m.node->device().set_full(true);
  size_t refused = 0;
  for (int i = 0; i < 12; ++i) {
    m.propose(3000);
    ASSERT_TRUE(m.wait_answers());
    const auto answer = m.answers.at(m.sent.size() - 1);
    if (answer) {
      EXPECT_EQ(*answer, Errc::no_space);
    }
    refused += answer.has_value();
  }
  EXPECT_GT(refused, 0u);
  for (int i = 0; i < 6; ++i) {
    m.propose(3000, Urgency::essential);
    ASSERT_TRUE(m.wait_answers());
  }
  EXPECT_GT(m.sim.counts().count("controller.metadata_log.full"), 0u);
  m.node->device().set_full(false);
  m.propose(3000);
  ASSERT_TRUE(m.wait_answers());
  EXPECT_FALSE(m.answers.at(m.sent.size() - 1).has_value());
  m.node->crash_machine();
  m.start_and_wait();
}

TEST(MetadataLog, a_broker_starts_on_a_full_disk_and_may_still_delete) {
  LogMachine m(14);
  five_groups(m);
  m.node->crash_machine();
  const uint64_t max = m.node->device().storage().bytes_max();
  m.node->device().storage().set_bytes_max(max - m.node->device().storage().free_bytes());
  m.start_and_wait();
  if (HasFatalFailure()) return;
  m.propose(20, Urgency::essential);
  ASSERT_TRUE(m.wait_answers());
  EXPECT_FALSE(m.answers.at(m.sent.size() - 1).has_value());
}

TEST(MetadataLog, a_snapshot_that_finds_no_space_changes_nothing) {
  LogMachine m(15);
  five_groups(m);
  m.node->device().set_full(true);
  m.snapshot();
  m.sim.run_until(m.sim.now() + milliseconds(50));
  ASSERT_EQ(m.snapshots.size(), 1u);
  EXPECT_FALSE(m.snapshots[0].has_value());
  m.propose();
  ASSERT_TRUE(m.wait_answers());
  m.node->device().set_full(false);
  m.node->crash_machine();
  m.start_and_wait();
}

TEST(MetadataLog, a_failed_write_or_sync_ends_the_process) {
  for (const auto fault : {sim::DiskFault::write_error, sim::DiskFault::sync_marked_clean,
                           sim::DiskFault::sync_dropped, sim::DiskFault::sync_kept_dirty}) {
    LogMachine m(16);
    five_groups(m);
    m.node->device().arm(fault);
    m.propose();
    m.snapshot();
    m.sim.run_until(m.sim.now() + milliseconds(50));
    EXPECT_FALSE(m.node->alive());
    m.start_and_wait();
    m.node->crash_machine();
    m.start_and_wait();
  }
}

// --- Formatting ------------------------------------------------------------------------------------

TEST(MetadataLog, formatting_refuses_a_directory_with_a_log_in_use) {
  LogMachine m(17);
  five_groups(m);
  std::optional<Status> result;
  format_local_metadata_log(m.program()->world, m.log_options, Uuid{{5, 5}},
                            [&](Status s) { result = std::move(s); });
  m.sim.run_until_true(m.sim.now() + seconds(1), [&] { return result.has_value(); });
  ASSERT_TRUE(result.has_value());
  ASSERT_FALSE(result->has_value());
  EXPECT_EQ(result->error().code, Errc::corrupt);
}

TEST(MetadataLog, the_log_of_another_storage_is_refused) {
  LogMachine m(18);
  five_groups(m);
  m.node->crash_process();
  std::optional<Error> error;
  m.node->start([&](env::World& w) {
    auto p = std::make_unique<LogProgram>(w);
    open_local_metadata_log(w, m.log_options, Uuid{{5, 5}}, p->recorder,
                            [&](Result<std::unique_ptr<MetadataLog>> r) { error = r.error(); });
    return p;
  });
  m.sim.run_until_true(m.sim.now() + seconds(1), [&] { return error.has_value(); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, Errc::corrupt);
}

}  // namespace
}  // namespace bascule::controller

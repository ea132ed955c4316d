// The crash contract of src/env/disk.h, for worlds that can crash.
#include "tests/env/conformance_disk.h"

namespace bascule::env {
namespace {

// Restarts after a crash, or skips the test where the world has none.
#define BASCULE_CRASH(how)                                                     \
  do {                                                                         \
    if (!harness_->can_end(how)) GTEST_SKIP() << "this world cannot crash so"; \
    harness_->restart(how);                                                    \
  } while (false)

// A file whose name is durable, and whose bytes are not written yet.
std::unique_ptr<File> durable_file(DiskSteps& t, const std::string& path) {
  auto file = t.open(path, OpenMode::create_new);
  if (!file || !t.sync(**file) || !t.sync_dir("")) return nullptr;
  return std::move(*file);
}

TEST_P(DiskConformance, what_was_synced_survives_a_machine_crash) {
  DiskSteps t(*harness_);
  {
    auto file = durable_file(t, "f");
    ASSERT_TRUE(file);
    BASCULE_OK(t.write(*file, 0, {slice_of("synced")}));
    BASCULE_OK(t.sync(*file));
  }
  BASCULE_CRASH(Ending::machine_crash);
  EXPECT_EQ(t.text_at("f"), "synced");
}

TEST_P(DiskConformance, a_synced_write_survives_a_machine_crash_with_the_size_it_needs) {
  DiskSteps t(*harness_);
  const Slice block = pattern(9, k_block_bytes);
  {
    auto file = durable_file(t, "f");
    ASSERT_TRUE(file);
    BASCULE_OK(t.write(*file, 2 * k_block_bytes, {block}, Sync::yes));
  }
  BASCULE_CRASH(Ending::machine_crash);
  auto file = t.open("f", OpenMode::read_only);
  BASCULE_OK(file);
  const auto read = t.read(**file, 2 * k_block_bytes, k_block_bytes);
  BASCULE_OK(read);
  EXPECT_TRUE(equal(*read, block));
}

TEST_P(DiskConformance, what_was_not_synced_may_be_lost_in_a_machine_crash) {
  DiskSteps t(*harness_);
  {
    auto file = durable_file(t, "f");
    ASSERT_TRUE(file);
    BASCULE_OK(t.write(*file, 0, {slice_of("synced")}));
    BASCULE_OK(t.sync(*file));
    BASCULE_OK(t.write(*file, 0, {slice_of("dirty!, and longer")}));
  }
  BASCULE_CRASH(Ending::machine_crash);
  EXPECT_EQ(t.text_at("f"), "synced") << "the harshest crash keeps nothing that was not synced";
}

TEST_P(DiskConformance, a_process_crash_keeps_the_page_cache) {
  DiskSteps t(*harness_);
  const Uuid boot = disk().boot_id();
  t.put("f", "dirty");
  BASCULE_OK(t.rename("f", "g"));
  BASCULE_CRASH(Ending::process_crash);
  EXPECT_EQ(t.text_at("g"), "dirty");
  EXPECT_EQ(t.text_at("f"), "absent");
  EXPECT_EQ(disk().boot_id(), boot);
}

TEST_P(DiskConformance, a_machine_crash_changes_the_boot_id) {
  const Uuid boot = disk().boot_id();
  BASCULE_CRASH(Ending::machine_crash);
  EXPECT_NE(disk().boot_id(), boot);
}

TEST_P(DiskConformance, a_name_is_durable_only_after_sync_dir) {
  DiskSteps t(*harness_);
  {
    auto file = t.open("f", OpenMode::create_new);
    BASCULE_OK(file);
    BASCULE_OK(t.write(**file, 0, {slice_of("x")}));
    BASCULE_OK(t.sync(**file));
  }
  BASCULE_CRASH(Ending::machine_crash);
  EXPECT_EQ(t.text_at("f"), "absent") << "the harshest crash keeps no name that was not synced";
}

TEST_P(DiskConformance, a_rename_that_was_not_synced_shows_the_old_file_whole) {
  DiskSteps t(*harness_);
  BASCULE_OK(t.replace("", "f", "old"));
  {
    auto file = t.open("f.2", OpenMode::create_new);
    BASCULE_OK(file);
    BASCULE_OK(t.write(**file, 0, {slice_of("new")}));
    BASCULE_OK(t.sync(**file));
  }
  BASCULE_OK(t.sync_dir(""));
  BASCULE_OK(t.rename("f.2", "f"));
  BASCULE_CRASH(Ending::machine_crash);
  EXPECT_EQ(t.text_at("f"), "old");
  EXPECT_EQ(t.text_at("f.2"), "new");
}

TEST_P(DiskConformance, a_removal_that_was_not_synced_may_be_undone_and_a_synced_one_never) {
  DiskSteps t(*harness_);
  BASCULE_OK(t.replace("", "synced", "x"));
  BASCULE_OK(t.replace("", "not", "x"));
  BASCULE_OK(t.remove("synced"));
  BASCULE_OK(t.sync_dir(""));
  BASCULE_OK(t.remove("not"));
  BASCULE_CRASH(Ending::machine_crash);
  EXPECT_EQ(t.text_at("synced"), "absent");
  EXPECT_EQ(t.text_at("not"), "x");
}

TEST_P(DiskConformance, a_replaced_file_is_durable_when_its_completion_runs) {
  DiskSteps t(*harness_);
  BASCULE_OK(t.make_dir("d"));
  BASCULE_OK(t.sync_dir(""));
  BASCULE_OK(t.replace("d", "f", "first"));
  BASCULE_OK(t.replace("d", "f", "second"));
  BASCULE_CRASH(Ending::machine_crash);
  EXPECT_EQ(t.text_at("d/f"), "second");
}

TEST_P(DiskConformance, completions_of_a_crashed_life_never_run) {
  DiskSteps t(*harness_);
  auto called = std::make_shared<bool>(false);
  auto file = durable_file(t, "f");
  ASSERT_TRUE(file);
  file->write_at(0, {pattern(1, k_block_bytes)}, Sync::yes, [called](Status) { *called = true; });
  file->sync([called](Status) { *called = true; });
  disk().list("", [called](const auto&) { *called = true; });
  BASCULE_CRASH(Ending::process_crash);
  run_for(seconds(3));
  EXPECT_FALSE(*called);
}

TEST_P(DiskConformance, the_lock_of_a_crashed_process_is_free_for_the_next) {
  DiskSteps t(*harness_);
  BASCULE_OK(t.lock(disk()));
  BASCULE_CRASH(Ending::process_crash);
  BASCULE_OK(t.lock(disk()));
}

}  // namespace
}  // namespace bascule::env

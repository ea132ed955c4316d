// What every world's files and names keep, without a crash.
#include "tests/env/conformance_disk.h"

namespace bascule::env {
namespace {

using Names = std::vector<DirEntry>;

class Files : public DiskSteps {
 public:
  explicit Files(WorldHarness& harness) : DiskSteps(harness) {
    auto opened = open("file", OpenMode::create_new);
    if (opened) file = std::move(*opened);
  }
  std::unique_ptr<File> file;
};

TEST_P(DiskConformance, what_is_written_can_be_read_at_any_position) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  BASCULE_OK(t.write(*t.file, 0, {slice_of("hello "), Slice(), slice_of("world")}));
  EXPECT_EQ(t.read_text(*t.file, 0, 11), "hello world");
  EXPECT_EQ(t.read_text(*t.file, 6, 3), "wor");
  BASCULE_OK(t.write(*t.file, 3, {slice_of("p me")}));
  EXPECT_EQ(t.read_text(*t.file, 0, 100), "help meorld");
  EXPECT_EQ(*t.size(*t.file), 11u);
}

TEST_P(DiskConformance, a_read_is_short_at_the_end_and_empty_past_it) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  EXPECT_EQ(t.read_text(*t.file, 0, 10), "");
  BASCULE_OK(t.write(*t.file, 0, {slice_of("abc")}));
  EXPECT_EQ(t.read_text(*t.file, 1, 10), "bc");
  EXPECT_EQ(t.read_text(*t.file, 3, 10), "");
  EXPECT_EQ(t.read_text(*t.file, 1'000'000, 10), "");
  EXPECT_EQ(t.read_text(*t.file, 0, 0), "");
}

TEST_P(DiskConformance, a_gap_reads_as_zeros) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  BASCULE_OK(t.write(*t.file, 10'000, {slice_of("x")}));
  EXPECT_EQ(t.read_text(*t.file, 4'000, 6'001), std::string(6'000, '\0') + "x");
}

TEST_P(DiskConformance, a_synced_write_and_a_cached_one_see_each_other) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  const Slice blocks = pattern(1, 4 * k_block_bytes);
  BASCULE_OK(t.write(*t.file, 0, {slice_of(std::string(20'000, 'a'))}));
  BASCULE_OK(t.write(*t.file, k_block_bytes, {blocks.sub(0, k_block_bytes)}, Sync::yes));
  std::string expected(20'000, 'a');
  expected.replace(4096, 4096, text_of(blocks.sub(0, k_block_bytes)));
  EXPECT_TRUE(t.read_text(*t.file, 0, 30'000) == expected);
  BASCULE_OK(t.write(*t.file, 5'000, {slice_of("cached")}));
  expected.replace(5'000, 6, "cached");
  EXPECT_TRUE(t.read_text(*t.file, 0, 30'000) == expected);
  BASCULE_OK(t.write(*t.file, 0, {blocks}, Sync::yes));
  expected.replace(0, 16'384, text_of(blocks));
  EXPECT_TRUE(t.read_text(*t.file, 0, 30'000) == expected);
  EXPECT_TRUE(t.read_text(*t.file, 4'095, 3) == expected.substr(4'095, 3));
  EXPECT_EQ(*t.size(*t.file), 20'000u);
}

TEST_P(DiskConformance, another_handle_of_the_file_sees_synced_writes_at_once) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  auto reader = t.open("file", OpenMode::read_only);
  BASCULE_OK(reader);
  for (uint64_t i = 0; i < 20; ++i) {
    const Slice block = pattern(i, k_block_bytes);
    BASCULE_OK(t.write(*t.file, (i % 3) * k_block_bytes, {block}, Sync::yes));
    const auto seen = t.read(**reader, (i % 3) * k_block_bytes, k_block_bytes);
    BASCULE_OK(seen);
    EXPECT_TRUE(equal(*seen, block)) << "write " << i;
  }
}

TEST_P(DiskConformance, a_synced_write_that_is_not_aligned_is_refused) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  const Slice two = pattern(1, 2 * k_block_bytes);
  EXPECT_EQ(code_of(t.write(*t.file, 512, {two}, Sync::yes)), Errc::invalid);
  EXPECT_EQ(code_of(t.write(*t.file, 0, {two.sub(0, 512)}, Sync::yes)), Errc::invalid);
  EXPECT_EQ(code_of(t.write(*t.file, 0, {two.sub(512, k_block_bytes)}, Sync::yes)), Errc::invalid);
  EXPECT_EQ(*t.size(*t.file), 0u);
}

TEST_P(DiskConformance, many_synced_writes_in_flight_all_land) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  constexpr uint64_t k_writes = 200;
  constexpr size_t k_bytes = 2 * k_block_bytes;
  size_t done = 0;
  for (uint64_t i = 0; i < k_writes; ++i) {
    const Slice bytes = pattern(i, k_bytes);
    t.file->write_at(i * k_bytes,
                     {bytes.sub(0, k_block_bytes), bytes.sub(k_block_bytes, k_block_bytes)},
                     Sync::yes, [&done](Status s) {
                       EXPECT_TRUE(s.has_value());
                       ++done;
                     });
  }
  EXPECT_EQ(done, 0u) << "a completion ran inside the call";
  ASSERT_TRUE(run_until([&] { return done == k_writes; }));
  size_t right = 0;
  done = 0;
  for (uint64_t i = 0; i < k_writes; ++i) {
    t.file->read_at(i * k_bytes, k_bytes, [&, i](Result<Slice> r) {
      right += r && equal(*r, pattern(i, k_bytes));
      ++done;
    });
  }
  EXPECT_EQ(done, 0u) << "a completion ran inside the call";
  ASSERT_TRUE(run_until([&] { return done == k_writes; }));
  EXPECT_EQ(right, k_writes);
  EXPECT_EQ(*t.size(*t.file), k_writes * k_bytes);
}

TEST_P(DiskConformance, a_write_of_thousands_of_pieces_lands_whole) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  const Slice all = pattern(7, 3'000 * 7);
  std::vector<Slice> pieces;
  for (size_t i = 0; i < 3'000; ++i) pieces.push_back(all.sub(i * 7, 7));
  BASCULE_OK(t.write(*t.file, 5, std::move(pieces)));
  EXPECT_TRUE(t.read_text(*t.file, 5, all.size()) == text_of(all));
  const Slice blocks = pattern(8, 1'500 * k_block_bytes);
  for (size_t i = 0; i < 1'500; ++i) pieces.push_back(blocks.sub(i * k_block_bytes, k_block_bytes));
  BASCULE_OK(t.write(*t.file, 0, std::move(pieces), Sync::yes));
  EXPECT_TRUE(t.read_text(*t.file, 0, blocks.size()) == text_of(blocks));
}

TEST_P(DiskConformance, no_completion_runs_inside_the_call) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  bool inside = true;
  int done = 0;
  const auto note = [&](const auto&) {
    EXPECT_FALSE(inside);
    ++done;
  };
  loop().post([&] {
    t.file->write_at(0, {slice_of("x")}, Sync::no, note);
    t.file->write_at(0, {}, Sync::no, note);
    t.file->write_at(1, {slice_of("x")}, Sync::yes, note);  // refused
    t.file->read_at(0, 0, note);
    t.file->read_at(0, 1, note);
    t.file->sync(note);
    t.file->reserve(1, note);
    t.file->truncate(1, note);
    t.file->size(note);
    disk().open("other", OpenMode::create_new, note);
    disk().open("../bad", OpenMode::create_new, note);
    disk().make_dir("dir", note);
    disk().list("", note);
    disk().rename("absent", "b", note);
    disk().remove("absent", note);
    disk().sync_dir("", note);
    disk().free_bytes(note);
    disk().lock(note);
    inside = false;
  });
  EXPECT_TRUE(run_until([&] { return done == 18; })) << done;
}

TEST_P(DiskConformance, a_destroyed_file_drops_its_completions) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  bool called = false;
  const Slice block = pattern(1, k_block_bytes);
  t.file->write_at(0, {block}, Sync::yes, [&](Status) { called = true; });
  t.file->write_at(k_block_bytes, {block}, Sync::no, [&](Status) { called = true; });
  t.file->read_at(0, 10, [&](const Result<Slice>&) { called = true; });
  t.file->sync([&](Status) { called = true; });
  t.file->reserve(100'000, [&](Status) { called = true; });
  t.file->size([&](Result<uint64_t>) { called = true; });
  t.file.reset();
  run_for(milliseconds(100));
  EXPECT_FALSE(called);
}

TEST_P(DiskConformance, the_modes_of_opening) {
  DiskSteps t(*harness_);
  EXPECT_EQ(code_of(t.open("a", OpenMode::read_only)), Errc::not_found);
  EXPECT_EQ(code_of(t.open("a", OpenMode::read_write)), Errc::not_found);
  EXPECT_EQ(code_of(t.open("none/a", OpenMode::create_new)), Errc::not_found);
  BASCULE_OK(t.open("a", OpenMode::create_new));
  EXPECT_EQ(code_of(t.open("a", OpenMode::create_new)), Errc::already_exists);
  BASCULE_OK(t.open("a", OpenMode::create_or_open));
  BASCULE_OK(t.open("b", OpenMode::create_or_open));
  BASCULE_OK(t.open("b", OpenMode::read_write));
  auto reader = t.open("a", OpenMode::read_only);
  BASCULE_OK(reader);
  EXPECT_EQ(code_of(t.write(**reader, 0, {slice_of("x")})), Errc::invalid);
  EXPECT_EQ(code_of(t.truncate(**reader, 1)), Errc::invalid);
  EXPECT_EQ(code_of(t.reserve(**reader, 1)), Errc::invalid);
  BASCULE_OK(t.make_dir("d"));
  EXPECT_EQ(code_of(t.open("d", OpenMode::read_only)), Errc::invalid);
}

TEST_P(DiskConformance, paths_that_leave_the_data_directory_are_refused) {
  DiskSteps t(*harness_);
  const std::string too_long(256, 'n');
  for (const std::string path :
       {"..", "../x", "a/../../x", "/etc/passwd", ".", "a/./b", "a//b", "a/", too_long.c_str()}) {
    SCOPED_TRACE(path);
    EXPECT_EQ(code_of(t.open(path, OpenMode::create_or_open)), Errc::invalid);
    EXPECT_EQ(code_of(t.make_dir(path)), Errc::invalid);
    EXPECT_EQ(code_of(t.list(path)), Errc::invalid);
    EXPECT_EQ(code_of(t.remove(path)), Errc::invalid);
    EXPECT_EQ(code_of(t.sync_dir(path)), Errc::invalid);
    EXPECT_EQ(code_of(t.rename(path, "x")), Errc::invalid);
    EXPECT_EQ(code_of(t.rename("x", path)), Errc::invalid);
  }
  EXPECT_EQ(code_of(t.open("", OpenMode::create_or_open)), Errc::invalid);
  EXPECT_EQ(code_of(t.remove("")), Errc::invalid);
}

TEST_P(DiskConformance, a_listing_is_sorted_and_tells_sizes_and_directories) {
  DiskSteps t(*harness_);
  EXPECT_EQ(*t.list(""), Names{});
  BASCULE_OK(t.make_dir("m/deep/er"));
  BASCULE_OK(t.make_dir("m/deep"));
  t.put("z", "12345");
  t.put("a", "");
  t.put("m/b", "1");
  EXPECT_EQ(*t.list(""), (Names{{"a", false, 0}, {"m", true, 0}, {"z", false, 5}}));
  EXPECT_EQ(*t.list("m"), (Names{{"b", false, 1}, {"deep", true, 0}}));
  EXPECT_EQ(*t.list("m/deep/er"), Names{});
  EXPECT_EQ(code_of(t.list("none")), Errc::not_found);
  EXPECT_EQ(code_of(t.list("z")), Errc::invalid);
  EXPECT_EQ(code_of(t.make_dir("z")), Errc::already_exists);
}

TEST_P(DiskConformance, a_rename_replaces_the_target_and_open_files_live_on) {
  DiskSteps t(*harness_);
  t.put("old", "old");
  t.put("new", "new");
  auto old_file = t.open("old", OpenMode::read_only);
  BASCULE_OK(old_file);
  BASCULE_OK(t.rename("new", "old"));
  EXPECT_EQ(t.text_at("old"), "new");
  EXPECT_EQ(t.text_at("new"), "absent");
  EXPECT_EQ(t.read_text(**old_file, 0, 10), "old");
  EXPECT_EQ(code_of(t.rename("new", "x")), Errc::not_found);
  EXPECT_EQ(code_of(t.rename("old", "none/x")), Errc::not_found);
}

TEST_P(DiskConformance, directories_are_renamed_onto_absent_or_empty_ones_alone) {
  DiskSteps t(*harness_);
  BASCULE_OK(t.make_dir("a/b"));
  BASCULE_OK(t.make_dir("empty"));
  BASCULE_OK(t.make_dir("full/x"));
  t.put("a/b/f", "f");
  EXPECT_EQ(code_of(t.rename("a", "full")), Errc::already_exists);
  EXPECT_EQ(code_of(t.rename("a", "a/b/c")), Errc::invalid);
  BASCULE_OK(t.rename("a", "empty"));
  EXPECT_EQ(t.text_at("empty/b/f"), "f");
  BASCULE_OK(t.rename("empty", "absent"));
  EXPECT_EQ(t.text_at("absent/b/f"), "f");
}

TEST_P(DiskConformance, files_and_empty_directories_are_removed) {
  DiskSteps t(*harness_);
  BASCULE_OK(t.make_dir("d"));
  t.put("d/f", "data");
  auto open_file = t.open("d/f", OpenMode::read_only);
  BASCULE_OK(open_file);
  EXPECT_EQ(code_of(t.remove("d")), Errc::already_exists);
  BASCULE_OK(t.remove("d/f"));
  EXPECT_EQ(code_of(t.remove("d/f")), Errc::not_found);
  EXPECT_EQ(t.read_text(**open_file, 0, 10), "data");
  BASCULE_OK(t.remove("d"));
  EXPECT_EQ(*t.list(""), Names{});
}

TEST_P(DiskConformance, a_directory_can_be_synced_and_an_absent_one_cannot) {
  DiskSteps t(*harness_);
  BASCULE_OK(t.make_dir("d"));
  t.put("d/f", "x");
  BASCULE_OK(t.sync_dir("d"));
  BASCULE_OK(t.sync_dir(""));
  EXPECT_EQ(code_of(t.sync_dir("none")), Errc::not_found);
}

TEST_P(DiskConformance, a_file_is_cut_and_extended) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  BASCULE_OK(t.write(*t.file, 0, {slice_of("abcdef")}));
  BASCULE_OK(t.truncate(*t.file, 3));
  EXPECT_EQ(t.read_text(*t.file, 0, 10), "abc");
  BASCULE_OK(t.truncate(*t.file, 5));
  EXPECT_EQ(t.read_text(*t.file, 0, 10), std::string("abc\0\0", 5));
  BASCULE_OK(t.sync(*t.file));
  BASCULE_OK(t.write(*t.file, 0, {pattern(1, 4 * k_block_bytes)}, Sync::yes));
  BASCULE_OK(t.truncate(*t.file, k_block_bytes + 1));
  EXPECT_EQ(t.read(*t.file, k_block_bytes, 100)->size(), 1u);
}

TEST_P(DiskConformance, reserving_makes_the_file_longer_and_never_shorter) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  BASCULE_OK(t.write(*t.file, 0, {slice_of("abc")}));
  BASCULE_OK(t.reserve(*t.file, 1 << 20));
  EXPECT_EQ(*t.size(*t.file), uint64_t{1} << 20);
  EXPECT_EQ(t.read_text(*t.file, 0, 5), std::string("abc\0\0", 5));
  BASCULE_OK(t.reserve(*t.file, 100));
  EXPECT_EQ(*t.size(*t.file), uint64_t{1} << 20);
  BASCULE_OK(t.write(*t.file, 512 << 10, {pattern(1, k_block_bytes)}, Sync::yes));
  EXPECT_EQ(t.read(*t.file, (512 << 10) - 1, 5)->view()[0], 0);
}

TEST_P(DiskConformance, reserving_more_than_there_is_answers_no_space_and_keeps_nothing) {
  Files t(*harness_);
  ASSERT_TRUE(t.file);
  BASCULE_OK(t.write(*t.file, 0, {slice_of("abc")}));
  const auto before = t.free_bytes();
  BASCULE_OK(before);
  EXPECT_GT(*before, 0u);
  EXPECT_EQ(code_of(t.reserve(*t.file, *before + (uint64_t{1} << 40))), Errc::no_space);
  EXPECT_EQ(*t.size(*t.file), 3u);
  EXPECT_EQ(t.read_text(*t.file, 0, 10), "abc");
  // Others use the disk too: what counts is that it is not gone.
  EXPECT_GT(*t.free_bytes(), *before / 2);
  BASCULE_OK(t.write(*t.file, 3, {slice_of("def")}));
}

TEST_P(DiskConformance, the_lock_excludes_another_process_until_its_holder_is_gone) {
  if (disk().kind() == "io_uring direct")
    GTEST_SKIP() << "ten seconds of waiting once: the thread pool's disk locks by the same code";
  DiskSteps t(*harness_);
  std::unique_ptr<Disk> second = harness_->second_disk();
  if (!second) GTEST_SKIP() << "this world cannot make a second process";
  BASCULE_OK(t.lock(*second));
  const MonotonicTime start = loop().now();
  EXPECT_EQ(code_of(t.lock(disk())), Errc::busy);
  EXPECT_GE(loop().now() - start, seconds(10));
  second.reset();
  BASCULE_OK(t.lock(disk()));
}

TEST_P(DiskConformance, a_lock_that_gets_free_meanwhile_is_taken) {
  DiskSteps t(*harness_);
  std::unique_ptr<Disk> second = harness_->second_disk();
  if (!second) GTEST_SKIP() << "this world cannot make a second process";
  BASCULE_OK(t.lock(*second));
  loop().after(milliseconds(200), [&] { second.reset(); });
  BASCULE_OK(t.lock(disk()));
  EXPECT_FALSE(second);
}

TEST_P(DiskConformance, a_whole_file_is_replaced_and_read) {
  DiskSteps t(*harness_);
  BASCULE_OK(t.make_dir("d"));
  BASCULE_OK(t.replace("d", "f", "first, which is long"));
  EXPECT_EQ(t.text_at("d/f"), "first, which is long");
  BASCULE_OK(t.replace("d", "f", "second"));
  EXPECT_EQ(t.text_at("d/f"), "second");
  t.put("d/f.new", "what a dead life has left, longer than what follows");
  BASCULE_OK(t.replace("d", "f", "third"));
  EXPECT_EQ(t.text_at("d/f"), "third");
  BASCULE_OK(t.replace("", "top", ""));
  EXPECT_EQ(t.text_at("top"), "");
  EXPECT_EQ(code_of(t.replace("none", "f", "x")), Errc::not_found);
  EXPECT_EQ(code_of(t.read_whole("d/f", 4)), Errc::too_large);
  EXPECT_EQ(code_of(t.read_whole("d/g")), Errc::not_found);
}

TEST_P(DiskConformance, the_disk_says_what_it_is_and_which_boot_this_is) {
  EXPECT_FALSE(disk().kind().empty());
  EXPECT_TRUE(disk().boot_id());
}

TEST_P(DiskConformance, after_a_clean_stop_everything_is_there) {
  if (!harness_->can_end(Ending::stop)) GTEST_SKIP() << "this world cannot stop cleanly";
  DiskSteps t(*harness_);
  const Uuid boot = disk().boot_id();
  t.put("f", "text");
  {
    auto file = t.open("g", OpenMode::create_new);
    BASCULE_OK(file);
    BASCULE_OK(t.write(**file, k_block_bytes, {pattern(3, k_block_bytes)}, Sync::yes));
  }
  harness_->restart(Ending::stop);
  EXPECT_EQ(t.text_at("f"), "text");
  EXPECT_EQ(t.text_at("g"), std::string(4096, '\0') + text_of(pattern(3, k_block_bytes)));
  EXPECT_EQ(disk().boot_id(), boot);
}

}  // namespace
}  // namespace bascule::env

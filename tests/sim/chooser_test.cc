#include "sim/world/chooser.h"

#include <gtest/gtest.h>

#include <set>

#include "sim/world/storage.h"

namespace bascule::sim {
namespace {

TEST(SystematicChooser, walks_every_path_once) {
  SystematicChooser chooser;
  std::set<std::vector<uint32_t>> paths;
  do {
    std::vector<uint32_t> path;
    path.push_back(chooser.choose({}, 3));
    if (path[0] == 1) path.push_back(chooser.choose({}, 2));
    path.push_back(chooser.choose({}, 2));
    EXPECT_TRUE(paths.insert(path).second);
  } while (chooser.advance());
  EXPECT_EQ(paths.size(), 2u + 4u + 2u);
}

TEST(SystematicChooser, replays_a_prefix_and_walks_what_lies_below_it) {
  SystematicChooser chooser;
  chooser.start_with({2});
  int runs = 0;
  do {
    EXPECT_EQ(chooser.choose({}, 3), 2u);
    (void)chooser.choose({}, 4);
    ++runs;
  } while (chooser.advance());
  EXPECT_EQ(runs, 4);
}

TEST(Storage, every_legal_image_of_two_writes_is_found) {
  // Two unsynced writes of one sector each: lost or kept, each by itself.
  SystematicChooser chooser;
  std::set<std::string> images;
  do {
    Storage storage;
    const InodeId file = *storage.open("f", env::OpenMode::create_new);
    ASSERT_TRUE(storage.sync_dir("", UINT64_MAX).has_value());
    ASSERT_TRUE(storage.write_cached(file, 0, Bytes(512, 'x')).has_value());
    storage.sync(file, UINT64_MAX);
    ASSERT_TRUE(storage.write_cached(file, 0, Bytes(512, 'a')).has_value());
    ASSERT_TRUE(storage.write_cached(file, 512, Bytes(512, 'b')).has_value());
    storage.crash(chooser, 0);
    std::string image;
    const Slice bytes = storage.read(*storage.find("f"), 0, 4096);
    for (size_t at = 0; at < bytes.size(); at += 512) {
      image += static_cast<char>(bytes.view()[at] == 0 ? '0' : bytes.view()[at]);
    }
    images.insert(image);
  } while (chooser.advance());
  EXPECT_EQ(images, (std::set<std::string>{"x", "a", "xb", "ab"}));
}

TEST(Storage, a_rename_that_is_lost_leaves_the_old_name_to_its_file) {
  SystematicChooser chooser;
  std::set<std::string> images;
  do {
    Storage storage;
    const InodeId file = *storage.open("a", env::OpenMode::create_new);
    ASSERT_TRUE(storage.write_cached(file, 0, Bytes(1, '1')).has_value());
    storage.sync(file, UINT64_MAX);
    ASSERT_TRUE(storage.sync_dir("", UINT64_MAX).has_value());
    ASSERT_TRUE(storage.rename("a", "b").has_value());
    const InodeId second = *storage.open("a", env::OpenMode::create_new);
    ASSERT_TRUE(storage.write_cached(second, 0, Bytes(1, '2')).has_value());
    storage.sync(second, UINT64_MAX);
    storage.crash(chooser, 0);
    std::string image;
    for (const std::string& path : storage.files())
      image += path + static_cast<char>(storage.read(*storage.find(path), 0, 1).view()[0]);
    images.insert(image);
  } while (chooser.advance());
  EXPECT_EQ(images, (std::set<std::string>{"a1", "b1", "a2b1"}));
}

TEST(Storage, a_shrunk_file_that_grows_again_never_shows_what_was_cut_once_synced) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Storage storage;
    SeededChooser chooser(seed);
    const InodeId file = *storage.open("f", env::OpenMode::create_new);
    ASSERT_TRUE(storage.sync_dir("", UINT64_MAX).has_value());
    ASSERT_TRUE(storage.write_cached(file, 0, Bytes(9000, 'x')).has_value());
    storage.sync(file, UINT64_MAX);
    storage.truncate(file, 100);
    ASSERT_TRUE(storage.reserve(file, 9000).has_value());
    storage.sync(file, UINT64_MAX);
    storage.crash(chooser, seed);
    const Slice bytes = storage.read(*storage.find("f"), 0, 9000);
    ASSERT_EQ(bytes.size(), 9000u);
    for (size_t i = 0; i < 9000; ++i) ASSERT_EQ(bytes.view()[i], i < 100 ? 'x' : 0) << i;
  }
}

TEST(Storage, space_is_counted_and_comes_back) {
  Storage storage(64 << 10);
  const InodeId file = *storage.open("f", env::OpenMode::create_new);
  EXPECT_TRUE(storage.reserve(file, 60 << 10).has_value());
  EXPECT_EQ(storage.free_bytes(), uint64_t{4} << 10);
  EXPECT_FALSE(storage.write_cached(file, 70 << 10, Bytes(1, 'x')).has_value());
  EXPECT_FALSE(storage.reserve(file, 80 << 10).has_value());
  storage.truncate(file, 4096);
  EXPECT_EQ(storage.free_bytes(), uint64_t{60} << 10);
  ASSERT_TRUE(storage.remove("f").has_value());
  EXPECT_EQ(storage.free_bytes(), uint64_t{64} << 10);
}

}  // namespace
}  // namespace bascule::sim

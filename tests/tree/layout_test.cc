// How the tree is laid out: files stay small enough to read, and each folder says what it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/tree/source_tree.h"

namespace bascule::tree {
namespace {

constexpr size_t k_lines_max = 700;

std::vector<std::string> long_files(const SourceTree& tree) {
  std::vector<std::string> found;
  for (const auto& [path, text] : tree) {
    const size_t lines = lines_of(text).size();
    if (lines > k_lines_max) found.push_back(path + ": " + std::to_string(lines) + " lines");
  }
  return found;
}

// Folders that hold code and no README.md. The one of tests/ speaks for all below it, which mirror the tree.
std::vector<std::string> folders_unexplained(const SourceTree& tree) {
  std::set<std::string> folders;
  for (const auto& [path, text] : tree) {
    if (path.ends_with(".md")) continue;
    const size_t end = path.starts_with("tests/") ? path.find('/') : path.rfind('/');
    folders.insert(path.substr(0, end + 1));
  }
  std::vector<std::string> found;
  for (const std::string& folder : folders) {
    if (!tree.contains(folder + "README.md")) found.push_back(folder);
  }
  return found;
}

TEST(layout, every_folder_says_what_it_is) {
  std::vector<std::string> found = folders_unexplained(read_source_tree(BASCULE_SOURCE_DIR));
  // Its README comes with its first implementation: it holds declarations alone.
  std::erase(found, "src/raft/");
  EXPECT_THAT(found, testing::IsEmpty());
}

TEST(layout, no_source_is_longer_than_700_lines) {
  EXPECT_THAT(long_files(read_source_tree(BASCULE_SOURCE_DIR)), testing::IsEmpty());
}

TEST(layout, a_long_file_and_an_unexplained_folder_are_found) {
  std::string text;
  for (size_t i = 0; i <= k_lines_max; ++i) text += "x\n";
  const SourceTree sample{{"src/log/log.cc", text},        {"src/log/README.md", ""},
                          {"src/raft/raft.cc", ""},        {"tests/README.md", ""},
                          {"tests/raft/raft_test.cc", ""}, {"sim/README.md", ""},
                          {"sim/world/disk.cc", ""}};
  EXPECT_THAT(long_files(sample), testing::ElementsAre("src/log/log.cc: 701 lines"));
  EXPECT_THAT(folders_unexplained(sample), testing::ElementsAre("sim/world/", "src/raft/"));
}

}  // namespace
}  // namespace bascule::tree

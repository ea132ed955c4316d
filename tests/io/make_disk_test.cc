#include "io/make_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <liburing.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "io/data_directory.h"
#include "io/entropy.h"
#include "src/base/prng.h"

namespace bascule::io {
namespace {

class MakeDisk : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = BASCULE_BINARY_DIR "/test_data/";
    directory_ += Prng(random_seed()).uuid().to_string();
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // What the kernel and the file system say themselves, asked past our code.
  bool machine_can_do_direct_uring() const {
    io_uring ring{};
    if (io_uring_queue_init(4, &ring, 0) != 0) return false;
    io_uring_queue_exit(&ring);
    const std::string path = directory_ + "/direct";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_DIRECT, 0600);
    if (fd >= 0) ::close(fd);
    std::filesystem::remove(path);
    return fd >= 0;
  }

  std::string directory_;
  AsioLoop loop_;
};

TEST_F(MakeDisk, takes_io_uring_wherever_the_machine_can) {
  const bool can = machine_can_do_direct_uring();
  auto made = make_disk(loop_, directory_, DiskChoice::automatic);
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_EQ(made->disk->kind(), can ? "io_uring direct" : "thread pool");
  EXPECT_EQ(made->fallback_reason.empty(), can) << made->fallback_reason;
}

TEST_F(MakeDisk, takes_the_thread_pool_where_it_is_asked_for) {
  auto made = make_disk(loop_, directory_, DiskChoice::thread_pool);
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->disk->kind(), "thread pool");
  EXPECT_EQ(made->fallback_reason, "");
}

TEST_F(MakeDisk, makes_the_data_directory_and_leaves_nothing_of_its_trial_in_it) {
  const std::string path = directory_ + "/a/b/data";
  auto made = make_disk(loop_, path, DiskChoice::automatic);
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_TRUE(std::filesystem::is_empty(path));
}

TEST_F(MakeDisk, a_file_in_the_place_of_the_data_directory_is_an_error) {
  std::ofstream(directory_ + "/file") << "x";
  for (const DiskChoice choice : {DiskChoice::automatic, DiskChoice::thread_pool}) {
    auto made = make_disk(loop_, directory_ + "/file", choice);
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().code, Errc::already_exists);
  }
  EXPECT_FALSE(make_disk(loop_, "", DiskChoice::automatic).has_value());
}

TEST_F(MakeDisk, the_boot_id_is_the_machines) {
  std::string text;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> text;
  std::erase(text, '-');
  if (text.size() != 32) GTEST_SKIP() << "this machine tells no boot id";
  EXPECT_EQ(read_boot_id().to_string(), text);
}

class EachDisk : public MakeDisk, public testing::WithParamInterface<DiskChoice> {
 protected:
  void SetUp() override {
    MakeDisk::SetUp();
    auto made = make_disk(loop_, directory_, GetParam());
    if (!made) GTEST_SKIP() << made.error().to_string();
    disk_ = std::move(made->disk);
  }
  std::unique_ptr<env::File> open(std::string path) {
    std::unique_ptr<env::File> file;
    disk_->open(std::move(path), env::OpenMode::create_or_open,
                [&](Result<std::unique_ptr<env::File>> r) {
                  if (r) file = std::move(*r);
                });
    loop_.run_until([&] { return file != nullptr; }, seconds(20));
    return file;
  }
  static Slice block() {
    BufferRef buffer = BufferRef::allocate(4096, 4096);
    std::fill_n(buffer.mutable_bytes().data(), 4096, uint8_t{7});
    return buffer;
  }

  std::unique_ptr<env::Disk> disk_;
};

TEST_P(EachDisk, more_writes_than_the_queue_is_deep_all_complete) {
  auto file = open("f");
  ASSERT_TRUE(file);
  constexpr int k_writes = 1'500;
  int done = 0;
  for (int i = 0; i < k_writes; ++i) {
    file->write_at(static_cast<uint64_t>(i % 50) * 4096, {block()},
                   i % 3 == 0 ? env::Sync::yes : env::Sync::no, [&](Status s) {
                     ++done;
                     EXPECT_TRUE(s.has_value()) << s.error().to_string();
                   });
  }
  EXPECT_TRUE(loop_.run_until([&] { return done == k_writes; }, seconds(20))) << done;
}

TEST_P(EachDisk, a_disk_destroyed_with_operations_in_flight_calls_nobody) {
  auto file = open("f");
  ASSERT_TRUE(file);
  int called = 0;
  for (uint64_t i = 0; i < 600; ++i) {
    file->write_at(i * 4096, {block()}, env::Sync::yes, [&](Status) { ++called; });
    file->read_at(i * 4096, 4096, [&](const Result<Slice>&) { ++called; });
  }
  disk_->list("", [&](const auto&) { ++called; });
  // One burst: some are with the kernel now, some wait, some may have ended.
  loop_.post([] {});
  loop_.run_until([&] { return true; }, seconds(1));
  bool turned = false;
  loop_.post([&] { turned = true; });
  loop_.run_until([&] { return turned; }, seconds(1));
  file.reset();
  disk_.reset();
  called = 0;
  loop_.run_until([] { return false; }, milliseconds(50));
  EXPECT_EQ(called, 0);
}

INSTANTIATE_TEST_SUITE_P(Disks, EachDisk,
                         testing::Values(DiskChoice::uring, DiskChoice::thread_pool),
                         [](const auto& chosen) {
                           return chosen.param == DiskChoice::uring ? "io_uring" : "thread_pool";
                         });

}  // namespace
}  // namespace bascule::io

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sim/world/network.h"
#include "sim/world/node.h"

namespace bascule::sim {
namespace {

Slice pattern(uint8_t byte, size_t size) {
  BufferRef buffer = BufferRef::allocate(size, 4096);
  std::memset(buffer.mutable_bytes().data(), byte, size);
  return buffer;
}

// A program that only holds what a test gives it.
struct Holder : Program {
  std::unique_ptr<env::File> file;
};

Node::Boot idle() {
  return [](env::World&) { return std::make_unique<Holder>(); };
}

// Runs the world until the completion has been called; nothing if it never is.
template <class T, class F>
std::optional<Result<T>> wait(Simulation& sim, F start) {
  auto result = std::make_shared<std::optional<Result<T>>>();
  start([result](Result<T> r) { result->emplace(std::move(r)); });
  sim.run_until_true(sim.now() + seconds(20), [&] { return result->has_value(); });
  return std::move(*result);
}

std::unique_ptr<env::File> open_file(Simulation& sim, Node& node, std::string path) {
  auto r = wait<std::unique_ptr<env::File>>(sim, [&](auto done) {
    node.world().disk.open(std::move(path), env::OpenMode::create_or_open, std::move(done));
  });
  return std::move(**r);
}

TEST(Loop, posted_tasks_run_in_order_and_not_inside_post) {
  Simulation sim(1);
  Node& node = sim.add_node({});
  std::vector<int> seen;
  node.start([&](env::World& w) {
    for (int i = 0; i < 5; ++i) w.loop.post([&seen, i] { seen.push_back(i); });
    EXPECT_TRUE(seen.empty());
    return std::make_unique<Holder>();
  });
  sim.run_until(milliseconds(1));
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(Loop, a_timer_follows_the_clock_of_its_node) {
  Simulation sim(1);
  NodeOptions fast;
  fast.drift_ppm = 100'000;
  Node& node = sim.add_node(fast);
  SimTime fired;
  node.start([&](env::World& w) {
    w.loop.after(seconds(11), [&] { fired = sim.now(); });
    return std::make_unique<Holder>();
  });
  sim.run_until(seconds(20));
  EXPECT_NEAR(static_cast<double>(fired.ns), 10e9, 1e4);
}

TEST(Loop, a_jump_of_the_monotonic_clock_makes_timers_due) {
  Simulation sim(1);
  Node& node = sim.add_node({});
  SimTime fired;
  node.start([&](env::World& w) {
    w.loop.after(seconds(11), [&] { fired = sim.now(); });
    return std::make_unique<Holder>();
  });
  sim.run_until(seconds(1));
  node.jump_monotonic(seconds(60));
  sim.run_until(seconds(20));
  EXPECT_LT(fired, seconds(2));
}

TEST(Loop, a_paused_process_runs_no_turn_and_then_goes_on) {
  Simulation sim(1);
  Node& node = sim.add_node({});
  SimTime fired;
  node.start([&](env::World& w) {
    w.loop.after(milliseconds(10), [&] { fired = sim.now(); });
    return std::make_unique<Holder>();
  });
  node.pause();
  sim.run_until(seconds(1));
  EXPECT_EQ(fired.ns, 0);
  node.resume();
  sim.run_until(seconds(2));
  EXPECT_GE(fired, seconds(1));
}

TEST(Life, nothing_runs_after_fail_stop) {
  Simulation sim(1);
  Node& node = sim.add_node({});
  int after = 0;
  std::optional<Death> death;
  node.on_death([&](const Death& d) { death = d; });
  node.start([&](env::World& w) {
    w.loop.post([&w] { w.loop.fail_stop({Errc::io_error, "test"}); });
    w.loop.post([&] { ++after; });
    w.loop.after(milliseconds(1), [&] { ++after; });
    return std::make_unique<Holder>();
  });
  sim.run_until(seconds(1));
  EXPECT_EQ(after, 0);
  ASSERT_TRUE(death.has_value());
  EXPECT_EQ(death->cause, DeathCause::fail_stop);
  EXPECT_FALSE(node.alive());
}

TEST(Life, a_node_restarts_from_its_death) {
  Simulation sim(1);
  Node& node = sim.add_node({});
  node.on_death([&](const Death&) { sim.after(milliseconds(5), [&] { node.start(idle()); }); });
  node.start(idle());
  for (int i = 0; i < 10; ++i) {
    node.crash_process();
    sim.run_until(sim.now() + milliseconds(10));
    EXPECT_TRUE(node.alive());
  }
  EXPECT_EQ(node.lives(), 11u);
}

TEST(Disk, synced_bytes_survive_every_machine_crash) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Simulation sim(seed);
    Node& node = sim.add_node({});
    node.start(idle());
    {
      auto file = open_file(sim, node, "a");
      ASSERT_TRUE(wait<void>(sim, [&](auto d) {
                    node.world().disk.sync_dir("", std::move(d));
                  })->has_value());
      ASSERT_TRUE(wait<void>(sim, [&](auto d) {
                    file->write_at(0, {pattern(1, 10000)}, env::Sync::no, std::move(d));
                  })->has_value());
      ASSERT_TRUE(wait<void>(sim, [&](auto d) { file->sync(std::move(d)); })->has_value());
      ASSERT_TRUE(wait<void>(sim, [&](auto d) {
                    file->write_at(5000, {pattern(2, 9000)}, env::Sync::no, std::move(d));
                  })->has_value());
    }
    const Uuid boot = node.world().disk.boot_id();
    node.crash_machine();
    node.start(idle());
    EXPECT_NE(boot, node.world().disk.boot_id());
    auto file = open_file(sim, node, "a");
    const auto r = wait<Slice>(sim, [&](auto d) { file->read_at(0, 20000, std::move(d)); });
    const ByteView bytes = (**r).view();
    ASSERT_GE(bytes.size(), 10000u);
    for (size_t i = 0; i < 10000; ++i) {
      const bool may_be_new = i >= 5000;
      ASSERT_TRUE(bytes[i] == 1 || (may_be_new && bytes[i] == 2)) << i;
      // Sectors are old or new as a whole, where the write covered them.
      if (i % 512 != 0 && i > 5120) {
        ASSERT_EQ(bytes[i], bytes[i - 1]) << i;
      }
    }
  }
}

TEST(Disk, a_process_crash_keeps_the_page_cache) {
  Simulation sim(3);
  Node& node = sim.add_node({});
  node.start(idle());
  {
    auto file = open_file(sim, node, "a");
    (void)wait<void>(
        sim, [&](auto d) { file->write_at(0, {pattern(7, 3000)}, env::Sync::no, std::move(d)); });
  }
  const Uuid boot = node.world().disk.boot_id();
  node.crash_process();
  node.start(idle());
  EXPECT_EQ(boot, node.world().disk.boot_id());
  auto file = open_file(sim, node, "a");
  const auto r = wait<Slice>(sim, [&](auto d) { file->read_at(0, 9000, std::move(d)); });
  EXPECT_TRUE(equal((**r).view(), pattern(7, 3000).view()));
}

TEST(Disk, a_file_without_a_synced_name_is_sometimes_lost) {
  int lost = 0, kept = 0;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    Simulation sim(seed);
    Node& node = sim.add_node({});
    node.start(idle());
    {
      auto file = open_file(sim, node, "a");
      (void)wait<void>(sim, [&](auto d) {
        file->write_at(0, {pattern(7, 4096)}, env::Sync::yes, std::move(d));
      });
    }
    node.crash_machine();
    (node.device().storage().find("a") ? kept : lost)++;
  }
  EXPECT_GT(lost, 5);
  EXPECT_GT(kept, 5);
}

TEST(Disk, a_direct_write_of_a_dead_life_may_land_in_the_next) {
  int later = 0, whole = 0, never = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Simulation sim(seed);
    Node& node = sim.add_node({});
    node.start(idle());
    auto file = open_file(sim, node, "a");
    node.world().disk.sync_dir("", [](Status) {});
    sim.run_until(sim.now() + milliseconds(100));
    file->write_at(0, {pattern(9, 8192)}, env::Sync::yes, [](Status) { FAIL(); });
    file.reset();
    node.crash_process();
    node.start(idle());
    const auto bytes = [&] {
      const auto id = node.device().storage().find("a");
      return id ? node.device().storage().read(*id, 0, 8192) : Slice{};
    };
    const bool at_once = !bytes().empty();
    sim.run_until(sim.now() + seconds(30));
    if (bytes().empty()) ++never;
    if (!at_once && !bytes().empty()) ++later;
    if (bytes().size() == 8192 && bytes().view()[0] == 9 && bytes().view()[8191] == 9) ++whole;
  }
  EXPECT_GT(later, 10);
  EXPECT_GT(whole, 10);
  EXPECT_GT(never, 10);
}

TEST(Disk, pages_marked_clean_by_a_failed_sync_are_read_back_until_the_machine_crashes) {
  int lost = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Simulation sim(seed);
    Node& node = sim.add_node({});
    node.start(idle());
    auto file = open_file(sim, node, "a");
    (void)wait<void>(sim, [&](auto d) { node.world().disk.sync_dir("", std::move(d)); });
    (void)wait<void>(
        sim, [&](auto d) { file->write_at(0, {pattern(5, 4096)}, env::Sync::no, std::move(d)); });
    node.device().arm(DiskFault::sync_marked_clean);
    EXPECT_FALSE(wait<void>(sim, [&](auto d) { file->sync(std::move(d)); })->has_value());
    EXPECT_TRUE(wait<void>(sim, [&](auto d) { file->sync(std::move(d)); })->has_value());
    const auto r = wait<Slice>(sim, [&](auto d) { file->read_at(0, 4096, std::move(d)); });
    EXPECT_TRUE(equal((**r).view(), pattern(5, 4096).view()));
    file.reset();
    node.crash_machine();
    const InodeId id = *node.device().storage().find("a");
    if (!equal(node.device().storage().read(id, 0, 4096), pattern(5, 4096))) ++lost;
  }
  EXPECT_GT(lost, 10);
}

TEST(Disk, a_reservation_holds_when_the_disk_is_full) {
  Simulation sim(1);
  Node& node = sim.add_node({});
  node.start(idle());
  auto file = open_file(sim, node, "a");
  ASSERT_TRUE(wait<void>(sim, [&](auto d) { file->reserve(65536, std::move(d)); })->has_value());
  node.device().set_full(true);
  EXPECT_TRUE(wait<void>(sim, [&](auto d) {
                file->write_at(0, {pattern(5, 65536)}, env::Sync::yes, std::move(d));
              })->has_value());
  const auto more = wait<void>(sim, [&](auto d) { file->reserve(131072, std::move(d)); });
  EXPECT_EQ(more->error().code, Errc::no_space);
  EXPECT_EQ((*wait<uint64_t>(sim, [&](auto d) { file->size(std::move(d)); })), 65536u);
}

TEST(Disk, a_replaced_file_is_the_old_or_the_new_one_after_any_crash) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Simulation sim(seed);
    Node& node = sim.add_node({});
    node.start(idle());
    (void)wait<void>(sim, [&](auto d) {
      env::replace_file(node.world().disk, "", "m", pattern(1, 700), std::move(d));
    });
    env::replace_file(node.world().disk, "", "m", pattern(2, 1400), [](Status) {});
    sim.run_until(sim.now() + microseconds(static_cast<int64_t>(seed * 20)));
    node.crash_machine();
    const auto id = node.device().storage().find("m");
    ASSERT_TRUE(id.has_value());
    const Slice bytes = node.device().storage().read(*id, 0, 4096);
    ASSERT_TRUE(equal(bytes, pattern(1, 700)) || equal(bytes, pattern(2, 1400))) << seed;
  }
}

TEST(Disk, the_lock_is_exclusive_and_outlives_a_killed_process_for_a_moment) {
  Simulation sim(5);
  Node& node = sim.add_node({});
  node.start(idle());
  ASSERT_TRUE(wait<void>(sim, [&](auto d) { node.world().disk.lock(std::move(d)); })->has_value());
  node.crash_process();
  node.start(idle());
  EXPECT_TRUE(wait<void>(sim, [&](auto d) { node.world().disk.lock(std::move(d)); })->has_value());
}

// A random program of writes, syncs and crashes gives the same trace twice.
Uuid story(uint64_t seed) {
  Simulation sim(seed);
  Node& node = sim.add_node({});
  for (int life = 0; life < 6; ++life) {
    node.start(idle());
    auto file = open_file(sim, node, "f");
    env::World& w = node.world();
    for (int i = 0; i < 20; ++i) {
      const uint64_t n = w.random.next();
      file->write_at(n % 20000, {pattern(static_cast<uint8_t>(n >> 20), n % 3000)}, env::Sync::no,
                     [](Status) {});
      if (n % 5 == 0) file->sync([](Status) {});
      if (n % 7 == 0) w.disk.sync_dir("", [](Status) {});
      sim.run_until(sim.now() + microseconds(static_cast<int64_t>(n % 100)));
    }
    file.reset();
    if (seed % 2) {
      node.crash_machine();
    } else {
      node.crash_process();
    }
    sim.run_until(sim.now() + seconds(1));
  }
  for (const std::string& path : sim.node(0).device().storage().files()) {
    const InodeId id = *sim.node(0).device().storage().find(path);
    sim.trace().add_bytes(sim.node(0).device().storage().read(id, 0, 1 << 20));
  }
  return sim.trace().value();
}

TEST(Simulation, the_same_seed_gives_the_same_trace) {
  for (uint64_t seed = 0; seed < 30; ++seed) EXPECT_EQ(story(seed), story(seed)) << seed;
  EXPECT_NE(story(1), story(3));
}

TEST(Simulation, copies_of_storage_do_not_disturb_the_run) {
  Simulation sim(9);
  Node& node = sim.add_node({});
  node.start(idle());
  auto file = open_file(sim, node, "f");
  (void)wait<void>(
      sim, [&](auto d) { file->write_at(0, {pattern(3, 9000)}, env::Sync::no, std::move(d)); });
  const Storage before = node.device().snapshot();
  SeededChooser chooser(4);
  for (uint64_t i = 0; i < 20; ++i) (void)node.device().crash_image(chooser, i);
  EXPECT_TRUE(before.same_view(node.device().storage()));
  EXPECT_TRUE(node.device().storage().worst_image().files().empty());
}

}  // namespace
}  // namespace bascule::sim

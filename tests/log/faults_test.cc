// Faults of the disk that an operation meets: no room, unreadable sectors, damage, files nobody knows.
#include <gtest/gtest.h>

#include "src/log/format.h"
#include "src/log/inspect.h"
#include "tests/log/log_harness.h"

namespace bascule::log::testing {
namespace {

using Values = std::vector<std::string>;

LogStoreOptions no_memory() {
  LogStoreOptions o;
  o.extent_bytes_first = 16384;
  o.tail_bytes_max = 0;
  return o;
}

std::string segment_path(Bench& bench) {
  for (const std::string& path : bench.device().storage().files())
    if (path.starts_with("logs/7-1-3/") && path.ends_with(".log")) return path;
  return {};
}

void flip(Bench& bench, const std::string& path, uint64_t position) {
  sim::Storage& storage = bench.device().storage();
  storage.flip(*storage.find(path), position, 0x40);
}

TEST(faults, a_full_disk_is_an_answer_and_nothing_partial_stays) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  ASSERT_TRUE(bench.append_durably("one"));
  bench.run_for(seconds(2));
  bench.device().set_full(true);
  Values expected{"one"};
  bool refused = false;
  for (int i = 0; i < 50 && !refused; ++i) {
    const std::string value = "v" + std::to_string(i);
    if (bench.append(value)) {
      ASSERT_TRUE(bench.durable());
      expected.push_back(value);
    } else {
      refused = true;
    }
  }
  ASSERT_TRUE(bench.alive());
  ASSERT_TRUE(refused);
  EXPECT_EQ(bench.error().code, Errc::no_space);
  EXPECT_EQ(bench.read_all(), expected);
  bench.device().set_full(false);
  ASSERT_TRUE(bench.append_durably("again"));
  expected.push_back("again");
  EXPECT_EQ(bench.read_all(), expected);
  bench.crash_machine();
  ASSERT_TRUE(bench.start());
  EXPECT_EQ(bench.read_all(), expected);
}

TEST(faults, the_limit_on_disk_use_is_kept) {
  LogStoreOptions o = no_memory();
  o.disk_bytes_max = 40 << 10;
  Bench bench(1, nullptr, o);
  ASSERT_TRUE(bench.start());
  bool refused = false;
  for (int i = 0; i < 50 && !refused; ++i) refused = !bench.append_durably("v");
  ASSERT_TRUE(refused);
  EXPECT_EQ(bench.error().code, Errc::no_space);
  EXPECT_LE(bench.store().disk_bytes(), o.disk_bytes_max);
}

TEST(faults, damaged_bytes_are_never_served_and_their_neighbours_are) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  for (const char* v : {"v0", "v1", "v2"}) ASSERT_TRUE(bench.append_durably(v));
  flip(bench, segment_path(bench), 4096 + 512 + 100);  // the body of the second batch
  EXPECT_EQ(bench.read_all(Offset(2)), (Values{"v2"}));
  auto read = bench.await<ReadResult>(
      [&](auto d) { bench.log().read({Offset(1), Offset(3), 1}, std::move(d)); });
  ASSERT_TRUE(read && !*read);
  EXPECT_EQ(read->error().code, Errc::corrupt);
  auto before = bench.await<ReadResult>(
      [&](auto d) { bench.log().read({Offset(0), Offset(3), 1 << 20}, std::move(d)); });
  ASSERT_TRUE(before && *before);
  EXPECT_EQ((*before)->next, Offset(1));
}

TEST(faults, rot_below_the_bound_is_damage_told_again_at_each_start_and_cuts_nothing) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  for (const char* v : {"v0", "v1", "v2"}) ASSERT_TRUE(bench.append_durably(v));
  bench.run_for(seconds(2));
  bench.crash_process();
  bench.run_for(seconds(1));
  flip(bench, segment_path(bench), 4096 + 512 + 100);
  for (int start = 0; start < 3; ++start) {
    ASSERT_TRUE(bench.start()) << bench.error().to_string();
    const RecoveryReport& report = bench.log().recovery();
    EXPECT_EQ(report.condition, Condition::damaged);
    EXPECT_EQ(report.damaged, (std::vector<OffsetRange>{{Offset(1), Offset(2)}}));
    EXPECT_EQ(bench.log().leo(), Offset(3 + uint64_t(start)));
    const auto rest = bench.read_all(Offset(2));
    ASSERT_TRUE(rest);
    EXPECT_EQ(rest->front(), "v2");
    ASSERT_TRUE(bench.append_durably("new"));
    if (start == 0)
      bench.crash_machine();
    else
      ASSERT_TRUE(bench.stop());
  }
}

TEST(faults, a_bad_frame_over_good_batches_below_the_bound_loses_nothing) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  for (const char* v : {"v0", "v1", "v2"}) ASSERT_TRUE(bench.append_durably(v));
  bench.run_for(seconds(2));
  bench.crash_process();
  bench.run_for(seconds(1));
  flip(bench, segment_path(bench), 4096 + 20);
  ASSERT_TRUE(bench.start());
  EXPECT_EQ(bench.log().recovery().condition, Condition::suspect);
  EXPECT_EQ(bench.read_all(), (Values{"v0", "v1", "v2"}));
}

TEST(faults, a_lost_directory_is_lost_storage_and_said_until_it_is_cleared) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  ASSERT_TRUE(bench.append_durably("v0"));
  bench.run_for(seconds(2));
  bench.crash_machine();
  ASSERT_TRUE(bench.device().storage().lose_directory("logs/7-1-3"));
  for (int start = 0; start < 2; ++start) {
    ASSERT_TRUE(bench.start());
    EXPECT_TRUE(bench.log().recovery().lost);
    EXPECT_EQ(bench.log().recovery().condition, Condition::damaged);
    EXPECT_EQ(bench.log().leo(), Offset(0));
    bench.crash_machine();
  }
}

TEST(faults, a_rotten_file_of_all_logs_means_an_unclean_start) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  ASSERT_TRUE(bench.append_durably("v0"));
  ASSERT_TRUE(bench.stop());
  flip(bench, "logs/logs", 20);
  ASSERT_TRUE(bench.start());
  EXPECT_FALSE(bench.store().clean_start());
  EXPECT_TRUE(bench.store().suspect(k_partition));
  EXPECT_EQ(bench.read_all(), (Values{"v0"}));
}

TEST(faults, files_that_nobody_knows_are_kept_in_quarantine) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  ASSERT_TRUE(bench.append_durably("v0"));
  ASSERT_TRUE(bench.stop());
  sim::Storage& storage = bench.device().storage();
  auto file = storage.open("logs/7-1-3/00000000000000ff.log", env::OpenMode::create_new);
  ASSERT_TRUE(file);
  ASSERT_TRUE(storage.write_cached(*file, 0, as_bytes("something")));
  ASSERT_TRUE(bench.start());
  EXPECT_EQ(bench.log().recovery().quarantined_bytes, 9u);
  auto seen = bench.await<InspectedStore>(
      [&](auto d) { inspect_store(bench.node().world(), "logs", std::move(d)); });
  ASSERT_TRUE(seen && *seen);
  ASSERT_EQ((*seen)->quarantine.size(), 1u);
  EXPECT_EQ((*seen)->quarantine[0].name, "0000000000000001-7-1-3-00000000000000ff.log");
}

std::vector<std::string> in_quarantine(Bench& bench) {
  std::vector<std::string> names;
  const auto listed = bench.device().storage().list("logs/quarantine");
  if (!listed) return {};
  for (const env::DirEntry& e : *listed)
    names.push_back(parse_quarantine_number(e.name) ? e.name.substr(17) : e.name);
  return names;
}

TEST(faults, quarantine_is_bounded_and_its_oldest_files_go_first) {
  for (const bool by_count : {true, false}) {
    LogStoreOptions o = no_memory();
    o.quarantine_files_max = by_count ? 3 : 1000;
    o.quarantine_bytes_max = by_count ? 1 << 20 : 35;
    Bench bench(1, nullptr, o);
    ASSERT_TRUE(bench.start());
    ASSERT_TRUE(bench.append_durably("v0"));
    ASSERT_TRUE(bench.stop());
    sim::Storage& storage = bench.device().storage();
    // Of a version that did not number them: older than all others.
    auto old = storage.open("logs/quarantine/7-1-3-old.log", env::OpenMode::create_new);
    ASSERT_TRUE(storage.write_cached(*old, 0, as_bytes("0123456789")));
    for (int i = 0; i < 5; ++i) {
      auto file = storage.open("logs/7-1-3/stray" + std::to_string(i), env::OpenMode::create_new);
      ASSERT_TRUE(storage.write_cached(*file, 0, as_bytes("0123456789")));
      ASSERT_TRUE(bench.start()) << bench.error().to_string();
      EXPECT_LE(in_quarantine(bench).size(), 3u);
      EXPECT_EQ(bench.read_all(), (Values{"v0"}));
      ASSERT_TRUE(bench.stop());
    }
    EXPECT_EQ(in_quarantine(bench), (Values{"7-1-3-stray2", "7-1-3-stray3", "7-1-3-stray4"}));
    EXPECT_EQ(bench.sim().counts().at("log.quarantine.dropped"), 3u);
    // The newest stays though it alone is more than the bound.
    auto file = storage.open("logs/7-1-3/great", env::OpenMode::create_new);
    ASSERT_TRUE(storage.write_cached(*file, 0, Bytes(2 << 20)));
    ASSERT_TRUE(bench.start());
    EXPECT_EQ(in_quarantine(bench), (Values{"7-1-3-great"}));
    ASSERT_TRUE(bench.stop());
    ASSERT_TRUE(bench.start());
    EXPECT_EQ(in_quarantine(bench), (Values{"7-1-3-great"}));
  }
}

TEST(faults, a_start_on_a_full_disk_has_its_reserve) {
  for (const bool clean : {true, false}) {
    Bench bench(1, nullptr, no_memory());
    ASSERT_TRUE(bench.start());
    ASSERT_TRUE(bench.append_durably("v0"));
    bench.run_for(seconds(3));
    ASSERT_TRUE(bench.append_durably("v1"));
    if (clean) {
      ASSERT_TRUE(bench.stop());
    } else {
      bench.crash_process();
    }
    sim::Storage& storage = bench.device().storage();
    bench.run_for(seconds(2));
    storage.set_bytes_max(storage.bytes_max() - storage.free_bytes());  // exactly full
    ASSERT_TRUE(bench.start()) << bench.error().to_string();
    EXPECT_EQ(bench.sim().counts().at("log.reserve.lent"), 1u);
    EXPECT_EQ(bench.read_all(), (Values{"v0", "v1"}));
    bench.device().set_full(false);
    bench.run_for(seconds(2));
    ASSERT_TRUE(bench.append_durably("v2"));
    bench.run_for(seconds(3));
    EXPECT_TRUE(storage.find("logs/reserve").has_value()) << "there is room again";
    EXPECT_EQ(bench.read_all(), (Values{"v0", "v1", "v2"}));
  }
}

TEST(faults, a_start_on_a_full_disk_without_a_reserve_reads_and_writes_later) {
  LogStoreOptions o = no_memory();
  o.reserve_bytes = 0;
  Bench bench(1, nullptr, o);
  ASSERT_TRUE(bench.start());
  ASSERT_TRUE(bench.append_durably("v0"));
  ASSERT_TRUE(bench.stop());
  for (int start = 0; start < 2; ++start) {
    bench.device().set_full(true);
    ASSERT_TRUE(bench.start()) << bench.error().to_string();
    EXPECT_EQ(bench.read_all(), (Values{"v0"}));
    EXPECT_FALSE(bench.append("refused"));
    EXPECT_EQ(bench.error().code, Errc::no_space);
    auto moved =
        bench.await<void>([&](auto d) { bench.log().set_log_start(Offset(1), std::move(d)); });
    ASSERT_TRUE(moved && !*moved);
    EXPECT_EQ(moved->error().code, Errc::no_space);
    bench.run_for(seconds(5));
    ASSERT_TRUE(bench.alive());
    // It has written nothing, so its end is no unclean one.
    if (start == 0) bench.crash_process();
  }
  EXPECT_EQ(bench.log().recovery().condition, Condition::clean);
  bench.device().set_full(false);
  bench.run_for(seconds(2));
  ASSERT_TRUE(bench.append_durably("v1")) << bench.error().to_string();
  EXPECT_EQ(bench.read_all(), (Values{"v0", "v1"}));
  bench.crash_machine();
  ASSERT_TRUE(bench.start());
  EXPECT_EQ(bench.log().recovery().condition, Condition::suspect);
  EXPECT_EQ(bench.read_all(), (Values{"v0", "v1"}));
}

TEST(faults, without_descriptors_nothing_is_damage_and_nothing_ends) {
  LogStoreOptions o = no_memory();
  o.segment_bytes = 200;
  Bench bench(1, nullptr, o);
  ASSERT_TRUE(bench.start());
  Values expected;
  for (int i = 0; i < 6; ++i) {
    expected.push_back("v" + std::to_string(i));
    ASSERT_TRUE(bench.append_durably(expected.back()));
  }
  bench.run_for(seconds(2));
  ASSERT_TRUE(bench.stop());
  // At an opening: an answer, and no word of damage afterwards.
  ASSERT_TRUE(bench.boot());
  bench.device().set_descriptors_out(true);
  EXPECT_FALSE(bench.open_log(Bench::log_options()));
  EXPECT_EQ(bench.error().code, Errc::overloaded);
  bench.device().set_descriptors_out(false);
  ASSERT_TRUE(bench.open_log(Bench::log_options())) << bench.error().to_string();
  EXPECT_EQ(bench.log().recovery().condition, Condition::clean);
  ASSERT_TRUE(bench.serve());
  // At a read of a segment whose file is closed, and at a roll.
  bench.device().set_descriptors_out(true);
  EXPECT_FALSE(bench.read_all(Offset(0)));
  EXPECT_EQ(bench.error().code, Errc::overloaded);
  bool refused = false;
  for (int i = 6; i < 60 && !refused; ++i) {
    const std::string value = "v" + std::to_string(i);
    if (bench.append(value)) {
      ASSERT_TRUE(bench.durable());
      expected.push_back(value);
    } else {
      refused = true;
    }
  }
  EXPECT_TRUE(refused);
  ASSERT_TRUE(bench.alive());
  EXPECT_EQ(bench.error().code, Errc::overloaded);
  bench.run_for(seconds(3));
  ASSERT_TRUE(bench.alive());
  bench.device().set_descriptors_out(false);
  EXPECT_EQ(bench.read_all(), expected);
  ASSERT_TRUE(bench.append_durably("more"));
  expected.push_back("more");
  bench.crash_machine();
  // A start that cannot read `logs` does not take it for none.
  bench.device().set_descriptors_out(true);
  EXPECT_FALSE(bench.boot());
  EXPECT_EQ(bench.error().code, Errc::overloaded);
  bench.crash_process();
  bench.device().set_descriptors_out(false);
  ASSERT_TRUE(bench.start()) << bench.error().to_string();
  EXPECT_EQ(bench.read_all(), expected);
}

TEST(faults, suspect_stays_over_clean_stops_until_it_is_cleared) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  ASSERT_TRUE(bench.append_durably("v0"));
  bench.crash_process();
  ASSERT_TRUE(bench.start());
  ASSERT_TRUE(bench.stop());
  ASSERT_TRUE(bench.start());
  EXPECT_TRUE(bench.store().clean_start());
  EXPECT_TRUE(bench.store().suspect(k_partition));
  auto cleared =
      bench.await<void>([&](auto d) { bench.store().clear_suspect(k_partition, std::move(d)); });
  ASSERT_TRUE(cleared && *cleared);
  ASSERT_TRUE(bench.stop());
  ASSERT_TRUE(bench.start());
  EXPECT_FALSE(bench.store().suspect(k_partition));
  EXPECT_EQ(bench.log().recovery().condition, Condition::clean);
}

TEST(faults, a_log_is_deleted_only_when_the_metadata_is_beyond_its_manifest) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  ASSERT_TRUE(bench.append_durably("v0"));
  const auto erase = [&](uint64_t applied) {
    return bench.await<void>([&](auto d) {
      bench.store().delete_log(k_partition, k_assignment, Index(applied), std::move(d));
    });
  };
  EXPECT_EQ(erase(9)->error().code, Errc::invalid) << "not stopped";
  auto stopped = bench.await<void>([&](auto d) { bench.log().stop(std::move(d)); });
  ASSERT_TRUE(stopped && *stopped);
  EXPECT_EQ(erase(5)->error().code, Errc::invalid) << "the manifest says 5";
  EXPECT_TRUE(erase(6)->has_value());
  bench.run_for(seconds(3));
  EXPECT_EQ(segment_path(bench), "");
  bench.crash_machine();
  ASSERT_TRUE(bench.boot());
  EXPECT_TRUE(bench.store().found().empty());
}

TEST(inspect, tells_what_a_log_holds_and_changes_nothing) {
  Bench bench(1, nullptr, no_memory());
  ASSERT_TRUE(bench.start());
  for (const char* v : {"v0", "v1", "v2"}) ASSERT_TRUE(bench.append_durably(v));
  bench.run_for(seconds(2));
  const sim::Storage before = bench.device().snapshot();
  std::vector<uint64_t> offsets;
  const auto look = [&] {
    offsets.clear();
    return bench.await<InspectedLog>([&](auto d) {
      inspect_log(
          bench.node().world(), "logs", {k_partition, k_assignment},
          [&](const model::BatchHeader& h, ByteView, uint64_t, uint64_t) {
            offsets.push_back(h.base_offset.value);
          },
          std::move(d));
    });
  };
  auto seen = look();
  ASSERT_TRUE(seen && *seen);
  EXPECT_EQ(offsets, (std::vector<uint64_t>{0, 1, 2}));
  EXPECT_EQ((*seen)->end, Offset(3));
  EXPECT_EQ((*seen)->segments.at(0).groups, 3u);
  EXPECT_TRUE((*seen)->damaged.empty());
  EXPECT_TRUE(bench.device().storage().same_view(before));
  flip(bench, segment_path(bench), 4096 + 512 + 100);
  seen = look();
  ASSERT_TRUE(seen && *seen);
  EXPECT_EQ((*seen)->damaged, (std::vector<OffsetRange>{{Offset(1), Offset(2)}}));
  EXPECT_EQ((*seen)->segments.at(0).groups_broken, 1u);
}

}  // namespace
}  // namespace bascule::log::testing

#include "src/log/log.h"

#include <gtest/gtest.h>

#include "tests/log/log_harness.h"

namespace bascule::log::testing {
namespace {

using Values = std::vector<std::string>;

LogStoreOptions small_segments() {
  LogStoreOptions o;
  o.segment_bytes = 600;
  o.extent_bytes_first = 8192;
  o.tail_bytes_max = 0;
  return o;
}

TEST(log, appends_are_read_back_from_memory) {
  Bench bench;
  ASSERT_TRUE(bench.start());
  EXPECT_TRUE(bench.log().recovery().created);
  ASSERT_TRUE(bench.append_durably("one"));
  ASSERT_TRUE(bench.append_durably("two", Epoch(2), 3));
  EXPECT_EQ(bench.log().leo(), Offset(4));
  EXPECT_EQ(bench.log().durable_leo(), Offset(4));
  EXPECT_EQ(bench.read_all(), (Values{"one", "two"}));
  EXPECT_EQ(bench.log().epochs(),
            (std::vector<EpochStart>{{Epoch(1), Offset(0)}, {Epoch(2), Offset(1)}}));
  bench.log().check_invariants();
}

TEST(log, what_memory_has_forgotten_is_read_from_disk) {
  Bench bench(1, nullptr, small_segments());
  ASSERT_TRUE(bench.start());
  Values expected;
  for (int i = 0; i < 40; ++i) {
    expected.push_back("v" + std::to_string(i));
    ASSERT_TRUE(bench.append_durably(expected.back()));
  }
  EXPECT_GT(bench.log().segments().size(), 5u);
  EXPECT_EQ(bench.read_all(), expected);
  EXPECT_EQ(bench.read_all(Offset(17)), Values(expected.begin() + 17, expected.end()));
  bench.log().check_invariants();
}

TEST(log, clean_stop_and_start_keep_everything_and_are_clean) {
  Bench bench(1, nullptr, small_segments());
  ASSERT_TRUE(bench.start());
  Values expected;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 7; ++i) {
      expected.push_back("v" + std::to_string(expected.size()));
      ASSERT_TRUE(bench.append_durably(expected.back()));
    }
    ASSERT_TRUE(bench.stop());
    ASSERT_TRUE(bench.start()) << bench.error().to_string();
    EXPECT_TRUE(bench.store().clean_start());
    EXPECT_EQ(bench.log().recovery().condition, Condition::clean);
    EXPECT_EQ(bench.read_all(), expected);
  }
}

TEST(log, durable_batches_survive_crashes_of_process_and_machine) {
  for (const bool machine : {false, true})
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      Bench bench(seed, nullptr, small_segments());
      ASSERT_TRUE(bench.start());
      Values expected;
      for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 5; ++i) {
          expected.push_back("v" + std::to_string(expected.size()));
          ASSERT_TRUE(bench.append_durably(expected.back()));
        }
        (void)bench.append("perhaps");
        if (machine)
          bench.crash_machine();
        else
          bench.crash_process();
        ASSERT_TRUE(bench.start()) << bench.error().to_string();
        EXPECT_EQ(bench.log().recovery().condition, Condition::suspect);
        auto found = bench.read_all();
        ASSERT_TRUE(found.has_value()) << bench.error().to_string();
        if (found->size() > expected.size()) {
          ASSERT_EQ(found->size(), expected.size() + 1);
          expected.push_back("perhaps");
        }
        EXPECT_EQ(*found, expected) << seed << " " << machine;
      }
    }
}

TEST(log, truncation_is_durable_and_new_batches_take_its_place) {
  Bench bench(1, nullptr, small_segments());
  ASSERT_TRUE(bench.start());
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(bench.append_durably("v" + std::to_string(i), Epoch(uint64_t(1 + i / 4))));
  auto cut =
      bench.await<void>([&](auto done) { bench.log().truncate(Offset(6), std::move(done)); });
  ASSERT_TRUE(cut && *cut);
  EXPECT_EQ(bench.log().leo(), Offset(6));
  EXPECT_EQ(bench.log().epochs().size(), 2u);
  ASSERT_TRUE(bench.append_durably("new", Epoch(9)));
  const Values expected{"v0", "v1", "v2", "v3", "v4", "v5", "new"};
  EXPECT_EQ(bench.read_all(), expected);
  bench.crash_machine();
  ASSERT_TRUE(bench.start());
  EXPECT_EQ(bench.read_all(), expected);
}

TEST(log, a_log_that_begins_anew_is_empty_there_and_goes_on) {
  Bench bench(1, nullptr, small_segments());
  ASSERT_TRUE(bench.start());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(bench.append_durably("v" + std::to_string(i), Epoch(7)));
  auto begun =
      bench.await<void>([&](auto done) { bench.log().restart_at(Offset(50), std::move(done)); });
  ASSERT_TRUE(begun && *begun);
  EXPECT_EQ(bench.log().log_start(), Offset(50));
  EXPECT_EQ(bench.log().leo(), Offset(50));
  EXPECT_EQ(bench.log().durable_leo(), Offset(50));
  EXPECT_TRUE(bench.log().epochs().empty());
  EXPECT_EQ(bench.log().stats().bytes, 0u);
  bench.log().check_invariants();
  bench.crash_machine();
  ASSERT_TRUE(bench.start());
  EXPECT_EQ(bench.log().log_start(), Offset(50));
  EXPECT_EQ(bench.log().leo(), Offset(50));
  ASSERT_TRUE(bench.append_durably("new", Epoch(3)));
  EXPECT_EQ(bench.log().leo(), Offset(51));
  bench.crash_process();
  ASSERT_TRUE(bench.start());
  EXPECT_EQ(bench.read_all(), Values{"new"});
}

TEST(log, retention_drops_whole_segments_and_recycles_them) {
  Bench bench(1, nullptr, small_segments());
  ASSERT_TRUE(bench.start());
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(bench.append_durably("v" + std::to_string(i)));
  auto moved =
      bench.await<void>([&](auto done) { bench.log().set_log_start(Offset(30), std::move(done)); });
  ASSERT_TRUE(moved && *moved);
  EXPECT_EQ(bench.log().log_start(), Offset(30));
  for (int i = 40; i < 60; ++i) ASSERT_TRUE(bench.append_durably("v" + std::to_string(i)));
  EXPECT_GT(bench.sim().counts().at("log.segment.recycled"), 0u);
  bench.crash_machine();
  ASSERT_TRUE(bench.start());
  auto found = bench.read_all();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->size(), 30u);
  EXPECT_EQ(found->front(), "v30");
}

TEST(log, space_that_was_granted_is_there_in_that_turn_whoever_appends_meanwhile) {
  LogStoreOptions o;
  o.extent_bytes_first = 8192;
  o.segment_bytes = 1 << 20;
  Bench bench(1, nullptr, o);
  ASSERT_TRUE(bench.start());
  const BufferRef bytes = make_batch("v", 1, 3000);
  auto header = *model::decode_batch_header(bytes.view(), 0);
  int appended = 0;
  const auto append = [&] {
    header.base_offset = bench.log().leo();
    header.append_time = bench.log().last_append_time();
    (void)bench.log().append(header, bytes.view().subspan(limits::k_batch_header_bytes));
    ++appended;
  };
  bench.in_turn([&] {
    for (int i = 0; i < 40; ++i) {
      // As a leader does: at once where there is room, else when there is.
      if (bench.log().has_space(header.total_bytes)) {
        append();
      } else {
        bench.log().make_space(header.total_bytes, [&](Status s) {
          if (s) append();
          while (appended < 60 && bench.log().has_space(header.total_bytes)) append();
        });
      }
    }
  });
  bench.run_for(seconds(1));
  EXPECT_GE(appended, 40);
  EXPECT_EQ(bench.log().durable_leo(), bench.log().leo());
}

TEST(log, time_is_found) {
  Bench bench(1, nullptr, small_segments());
  ASSERT_TRUE(bench.start());
  std::vector<WallTime> times;
  for (int i = 0; i < 20; ++i) {
    bench.run_for(milliseconds(10));
    ASSERT_TRUE(bench.append_durably("v" + std::to_string(i)));
    times.push_back(bench.log().last_append_time());
  }
  for (int i = 0; i < 20; ++i) {
    auto at =
        bench.await<Offset>([&](auto d) { bench.log().find_time(times[size_t(i)], std::move(d)); });
    ASSERT_TRUE(at && *at) << i;
    EXPECT_EQ(**at, Offset(uint64_t(i)));
  }
  auto end = bench.await<Offset>(
      [&](auto d) { bench.log().find_time(times.back() + seconds(1), std::move(d)); });
  EXPECT_EQ(**end, Offset(20));
}

TEST(log, memory_mode_is_written_at_once_and_durable_within_the_interval) {
  Bench bench;
  ASSERT_TRUE(bench.start(model::DurabilityMode::memory));
  ASSERT_TRUE(bench.append("one"));
  bench.run_for(milliseconds(20));
  EXPECT_EQ(bench.log().written_leo(), Offset(1));
  EXPECT_EQ(bench.log().durable_leo(), Offset(0));
  ASSERT_TRUE(bench.durable());
  EXPECT_EQ(bench.log().durable_leo(), Offset(1));
  ASSERT_TRUE(bench.append("two"));
  bench.run_for(milliseconds(20));
  bench.crash_process();
  ASSERT_TRUE(bench.start(model::DurabilityMode::memory));
  EXPECT_EQ(bench.log().recovery().condition, Condition::suspect);
  EXPECT_FALSE(bench.log().recovery().page_cache_lost);
  EXPECT_EQ(bench.read_all(), (Values{"one", "two"}));
}

TEST(log, thin_segments_are_rewritten_densely) {
  LogStoreOptions o = small_segments();
  o.segment_bytes = 2000;
  o.pool_bytes_max = 0;
  Bench bench(1, nullptr, o);
  ASSERT_TRUE(bench.start());
  Values expected;
  for (int i = 0; i < 60; ++i) {
    expected.push_back("v" + std::to_string(i));
    ASSERT_TRUE(bench.append_durably(expected.back()));
  }
  const uint64_t before = bench.store().disk_bytes();
  auto done = bench.await<void>([&](auto d) { bench.log().compact_thin_segments(std::move(d)); });
  ASSERT_TRUE(done && *done);
  bench.run_for(seconds(1));
  EXPECT_GT(bench.sim().counts().at("log.thin.rewritten"), 0u);
  EXPECT_LE(bench.store().disk_bytes(), before);
  EXPECT_EQ(bench.read_all(), expected);
  bench.crash_machine();
  ASSERT_TRUE(bench.start());
  EXPECT_EQ(bench.read_all(), expected);
}

}  // namespace
}  // namespace bascule::log::testing

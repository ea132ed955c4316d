#include "src/controller/election_waits.h"

#include <gtest/gtest.h>

#include "tests/controller/table_cluster.h"

namespace bascule::controller {
namespace {

MonotonicTime at(int64_t s) { return MonotonicTime{} + seconds(s); }

TEST(ElectionWaits, rule_11c_ten_seconds_after_the_first_report_enough_of_them_elect) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  c.fence({1, 2, 3});
  ElectionWaits waits;
  EXPECT_TRUE(waits.tick(at(0), c.table).partitions.empty());
  EXPECT_EQ(waits.next_deadline(), MonotonicTime::never());
  c.start(1, {c.suspect(s, 1, 1, 10)});
  EXPECT_TRUE(waits.tick(at(1), c.table).partitions.empty());
  EXPECT_EQ(waits.next_deadline(), at(11));
  EXPECT_TRUE(waits.tick(at(12), c.table).partitions.empty()) << "one report of two needed";
  c.start(2, {c.suspect(s, 2, 1, 12)});
  const EndElectionWait over = waits.tick(at(12), c.table);
  ASSERT_EQ(over.partitions.size(), 1u);
  EXPECT_EQ(waits.tick(at(12), c.table), over) << "until it was applied";
  c.must(over);
  EXPECT_EQ(c.p(s).leader, NodeId(2));
  EXPECT_TRUE(waits.tick(at(13), c.table).partitions.empty());
}

TEST(ElectionWaits, another_leaderless_epoch_is_another_wait) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("orders", 1, 3, 2));
  c.fence({1, 2, 3});
  ElectionWaits waits;
  c.start(1, {c.suspect(s, 1, 1, 10)});
  (void)waits.tick(at(0), c.table);
  c.start(2);  // clean: it leads
  ASSERT_EQ(c.p(s).leader, NodeId(2));
  c.fence({2});
  c.must(ReportReplica{NodeId(1), c.recorded(1), c.p(s).id, c.p(s).epoch, Epoch(1), Offset(10)});
  c.start(3, {c.suspect(s, 3, 1, 10)});
  EXPECT_TRUE(waits.tick(at(11), c.table).partitions.empty());
  EXPECT_EQ(waits.tick(at(21), c.table).partitions.size(), 1u);
}

TEST(ElectionWaits, rule_10_memory_partitions_wait_thirty_seconds_and_record_the_loss) {
  Cluster c;
  for (uint32_t n : {1, 2}) c.start(n);
  model::StreamConfig config = stream_config("fast", 1, 2, 1);
  config.durability = model::DurabilityMode::memory;
  const StreamId s = c.create(config);
  c.fence({1, 2});
  c.start(1, {c.suspect(s, 1, 1, 7)});
  ElectionWaits waits;
  EXPECT_TRUE(waits.tick(at(0), c.table).partitions.empty());
  EXPECT_TRUE(waits.tick(at(29), c.table).partitions.empty());
  c.must(waits.tick(at(30), c.table));
  EXPECT_EQ(c.p(s).leader, NodeId(1));
  EXPECT_EQ(c.table.state().events.kept.back().kind, EventKind::leader_changed);
  EXPECT_TRUE(c.p(s).loss.has_value());
}

}  // namespace
}  // namespace bascule::controller

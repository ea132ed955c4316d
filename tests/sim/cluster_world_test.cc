// World `cluster`: its seeds are clean and repeat themselves, and its own oracles fire.
#include <gtest/gtest.h>

#include "sim/oracles/equal_tables.h"
#include "sim/oracles/partition_leaders.h"
#include "sim/worlds/cluster/cluster_world.h"
#include "sim/worlds/cluster/watched_store.h"

namespace bascule::sim {
namespace {

TEST(ClusterWorld, seeds_are_clean_and_repeat_themselves) {
  const ClusterWorld world;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Plan plan = world.expand(seed);
    const Outcome first = world.run(plan, {});
    EXPECT_FALSE(first.failure.has_value()) << seed << ": " << first.failure->text;
    EXPECT_GT(first.simulated, seconds(5));
    if (seed % 5 == 0) {
      EXPECT_EQ(first.trace, world.run(plan, {}).trace) << seed;
    }
  }
}

// A table with broker 1, and a stream on it, by commands.
struct Court {
  Simulation sim{1};
  Verdict verdict{sim};
  controller::MetadataTable table{Uuid{{1, 1}}};
  PartitionLeaders leaders{verdict};

  std::string oracle() const { return verdict.fired() ? verdict.failure()->oracle : ""; }
  void apply(const controller::Command& command) {
    ASSERT_TRUE(table.apply(table.applied().next(), command).outcome.has_value());
    leaders.table_moved(table);
  }
  void start(uint64_t incarnation, uint64_t storage) {
    controller::RegisterBroker command;
    command.node = NodeId(1);
    command.storage = Uuid{{storage, storage}};
    command.incarnation = Incarnation(incarnation);
    command.replaces = table.recorded_incarnation(NodeId(1));
    command.features = controller::k_feature_range;
    apply(command);
    apply(controller::UnfenceBroker{NodeId(1), Incarnation(incarnation)});
  }
  PartitionId create() {
    controller::CreateStream command;
    command.config.name = "s";
    command.config.subjects = {"s.>"};
    command.log_seed = Uuid{{7, 7}};
    apply(command);
    return {StreamId(1), PartitionIndex(0)};
  }
};

TEST(ClusterOracles, an_ack_of_an_epoch_that_another_life_leads) {
  Court court;
  court.start(1, 1);
  const PartitionId partition = court.create();
  const Epoch epoch = court.table.partition(partition)->epoch;
  court.leaders.acked(partition, epoch, NodeId(1), Incarnation(1));
  EXPECT_EQ(court.oracle(), "");
  court.leaders.acked(partition, epoch, NodeId(1), Incarnation(2));
  EXPECT_EQ(court.oracle(), "O4");
}

TEST(ClusterOracles, an_ack_of_a_life_that_was_replaced) {
  Court court;
  court.start(1, 1);
  const PartitionId partition = court.create();
  const Epoch epoch = court.table.partition(partition)->epoch;
  court.start(2, 1);
  EXPECT_EQ(court.oracle(), "");
  court.leaders.acked(partition, epoch, NodeId(1), Incarnation(1));
  EXPECT_EQ(court.oracle(), "O4");
}

TEST(ClusterOracles, an_empty_disk_that_leads) {
  Court court;
  court.start(1, 1);
  const PartitionId partition = court.create();
  court.start(2, 2);
  EXPECT_FALSE(court.table.partition(partition)->leader);
  EXPECT_EQ(court.oracle(), "");
  // As a table would say that forgot whose storage it was.
  controller::MetadataState state = court.table.state();
  controller::PartitionEntry& entry = state.streams.at(StreamId(1)).partitions[0];
  entry.data_lost = false;
  entry.leader = NodeId(1);
  entry.leader_incarnation = Incarnation(2);
  entry.epoch = entry.epoch.next();
  const auto wrong = controller::MetadataTable::restore(std::move(state));
  ASSERT_TRUE(wrong.has_value());
  court.leaders.table_moved(*wrong);
  EXPECT_EQ(court.oracle(), "O7");
}

TEST(ClusterOracles, two_tables_at_one_index) {
  Court court;
  court.start(1, 1);
  EqualTables oracle(court.verdict);
  oracle.look("a", court.table);
  oracle.look("b", court.table);
  EXPECT_EQ(court.oracle(), "");
  controller::MetadataState state = court.table.state();
  state.cluster = Uuid{{2, 2}};
  oracle.look("c", *controller::MetadataTable::restore(std::move(state)));
  EXPECT_EQ(court.oracle(), "O8");
}

TEST(EntryMirror, follows_cuts_and_snapshots) {
  const auto entry = [](uint64_t term) {
    raft::Entry e;
    e.term = Term(term);
    return e;
  };
  EntryMirror mirror;
  raft::StoredState stored;
  stored.entries = {entry(1), entry(1)};
  mirror.open(stored);
  raft::Persist cut;
  cut.first = Index(2);
  cut.entries = {entry(2), entry(2)};
  mirror.take(cut);
  EXPECT_EQ(mirror.at(Index(1))->term, Term(1));
  EXPECT_EQ(mirror.at(Index(2))->term, Term(2));
  EXPECT_EQ(mirror.at(Index(3))->term, Term(2));
  EXPECT_EQ(mirror.at(Index(4)), nullptr);
  raft::Persist install;
  install.snapshot.emplace();
  install.snapshot->meta.index = Index(9);
  install.first = Index(10);
  mirror.take(install);
  EXPECT_EQ(mirror.base(), Index(9));
  EXPECT_EQ(mirror.at(Index(9)), nullptr);
}

}  // namespace
}  // namespace bascule::sim

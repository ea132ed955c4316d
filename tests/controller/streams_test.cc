#include "src/controller/metadata_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/controller/table_cluster.h"

namespace bascule::controller {
namespace {

// --- Streams ---------------------------------------------------------------------------------------

TEST(MetadataTable, an_equal_stream_is_the_existing_one_and_a_different_one_is_refused) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders"));
  const Applied again = c.apply(CreateStream{stream_config("orders"), Uuid{{4, 4}}, WallTime{8}});
  const auto& outcome = std::get<CreateStreamOutcome>(*again.outcome);
  EXPECT_TRUE(outcome.existed);
  EXPECT_EQ(outcome.stream, s);
  EXPECT_TRUE(again.changes.empty());
  EXPECT_EQ(c.refused(CreateStream{stream_config("orders", 2), Uuid{{4, 4}}, WallTime{8}}),
            Errc::stream_exists);
}

TEST(MetadataTable, ids_of_streams_and_assignments_are_never_given_twice) {
  Cluster c;
  c.start(1);
  const StreamId s = c.create(stream_config("orders"));
  const AssignmentId a = c.p(s).replicas[0].assignment;
  const Applied gone = c.apply(DeleteStream{s});
  ASSERT_EQ(gone.changes.size(), 1u);
  EXPECT_EQ(std::get<StreamDeleted>(gone.changes[0]).stream.id, s);
  EXPECT_EQ(c.table.stream_named("orders"), nullptr);
  EXPECT_EQ(c.refused(DeleteStream{s}), Errc::unknown_stream);
  const StreamId t = c.create(stream_config("orders"));
  EXPECT_GT(t, s);
  EXPECT_GT(c.p(t).replicas[0].assignment, a);
}

TEST(MetadataTable, more_replicas_than_brokers_are_invalid_and_than_brokers_up_are_retryable) {
  Cluster c;
  c.start(1);
  EXPECT_EQ(c.refused(CreateStream{stream_config("a", 1, 2), Uuid{{1, 1}}, {}}), Errc::invalid);
  c.register_only(2);
  EXPECT_EQ(c.refused(CreateStream{stream_config("a", 1, 2), Uuid{{1, 1}}, {}}),
            Errc::not_enough_replicas);
  c.unfence(2);
  c.create(stream_config("a", 4, 2));
}

TEST(MetadataTable, replicas_and_leaders_are_spread_over_the_brokers) {
  Cluster c;
  for (uint32_t n : {1, 2, 3}) c.start(n);
  const StreamId s = c.create(stream_config("wide", 6, 2));
  std::map<NodeId, int> led;
  std::map<NodeId, int> held;
  for (uint32_t i = 0; i < 6; ++i) {
    ++led[c.p(s, i).leader];
    for (NodeId n : c.p(s, i).isr) ++held[n];
  }
  for (uint32_t n : {1, 2, 3}) {
    EXPECT_EQ(led[NodeId(n)], 2);
    EXPECT_EQ(held[NodeId(n)], 4);
  }
}

TEST(MetadataTable, two_streams_that_would_answer_one_publisher_are_refused) {
  Cluster c;
  c.start(1);
  model::StreamConfig a = stream_config("a");
  a.answers = model::AnswerMode::on;
  a.subjects = {"x.>"};
  c.create(a);
  model::StreamConfig b = stream_config("b");
  b.answers = model::AnswerMode::on;
  b.subjects = {"x.y"};
  EXPECT_EQ(c.refused(CreateStream{b, Uuid{{1, 1}}, {}}), Errc::invalid);
}

}  // namespace
}  // namespace bascule::controller

#include "io/cli/event_format.h"

#include <gtest/gtest.h>

namespace bascule::cli {
namespace {

using model::Event;
using model::EventKind;
using model::EventPosition;

TEST(event_format, every_form_of_a_beginning_is_read_and_no_other) {
  EXPECT_TRUE(std::holds_alternative<broker::EventsFromKept>(*parse_events_start("earliest")));
  EXPECT_TRUE(std::holds_alternative<broker::EventsFromNow>(*parse_events_start("now")));
  EXPECT_EQ(std::get<EventPosition>(*parse_events_start("12.3")), (EventPosition{Index(12), 3}));
  EXPECT_EQ(std::get<EventPosition>(*parse_events_start("12")), (EventPosition{Index(12), 0}));
  for (const char* bad : {"", "latest", "12.", ".3", "x", "-1"})
    EXPECT_EQ(parse_events_start(bad).error().code, Errc::invalid) << bad;
}

TEST(event_format, an_event_shows_the_fields_that_its_kind_fills) {
  const Event leader{.position = {Index(12), 3},
                     .kind = EventKind::leader_changed,
                     .node = NodeId(2),
                     .incarnation = Incarnation(9),
                     .partition = {StreamId(4), PartitionIndex(0)},
                     .epoch = Epoch(5)};
  EXPECT_EQ(event_line(leader),
            "12.3 leader_changed partition 4/0, node 2, incarnation 9, epoch 5");
  EXPECT_EQ(event_json(leader),
            R"({"position":"12.3","index":12,"ordinal":3,"event":"leader_changed","stream":4,)"
            R"("partition":0,"node":2,"incarnation":9,"epoch":5})");
  Event nobody = leader;
  nobody.node = {};
  nobody.incarnation = {};
  EXPECT_NE(event_line(nobody).find("nobody"), std::string::npos);
  EXPECT_NE(event_json(nobody).find(R"("node":0)"), std::string::npos);
  const Event set{.position = {Index(1), 1},
                  .kind = EventKind::setting_changed,
                  .name = "session_timeout",
                  .detail = "2s"};
  EXPECT_EQ(event_line(set), "1.1 setting_changed session_timeout, 2s");
  EXPECT_EQ(event_json(set), R"({"position":"1.1","index":1,"ordinal":1,"event":"setting_changed",)"
                             R"("name":"session_timeout","detail":"2s"})");
}

TEST(event_format, a_loss_names_the_first_event_that_is_left) {
  EXPECT_EQ(lost_json({{Index(7), 1}, EventPosition{Index(8), 1}}),
            R"({"event":"events_lost","first_kept":"8.1"})");
  EXPECT_EQ(lost_json({{Index(7), 1}, std::nullopt}), R"({"event":"events_lost"})");
}

}  // namespace
}  // namespace bascule::cli

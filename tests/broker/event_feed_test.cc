#include "src/broker/event_feed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/broker/broker_harness.h"

namespace bascule::broker {
namespace {

using model::Event;
using model::EventKind;
using model::EventPosition;

class EventFeedTest : public ::testing::Test {
 protected:
  using Answer = std::shared_ptr<std::optional<Result<EventsPage>>>;

  EventFeedTest() { h_.start_well(); }

  MonotonicTime in(Duration d) { return h_.program().world().loop.now() + d; }
  // Asks, and does not wait for the answer.
  Answer ask(EventsStart from, Duration wait = {}, uint32_t max = 1000) {
    auto answer = std::make_shared<std::optional<Result<EventsPage>>>();
    h_.in_turn([&] {
      h_.broker().read_events({}, {from, max, Duration{}, in(wait)},
                              [answer](Result<EventsPage> page) { *answer = std::move(page); });
    });
    return answer;
  }
  EventsPage page(EventsStart from, Duration wait = {}, uint32_t max = 1000) {
    const Answer answer = ask(from, wait, max);
    h_.run_until([&] { return answer->has_value(); });
    EXPECT_TRUE((*answer)->has_value());
    return std::move(***answer);
  }
  void set(const std::string& value) {
    const auto set = h_.call<void>([&](Done<void> done) {
      h_.broker().decide_cluster({}, SetSetting{"session_timeout", value}, std::move(done));
    });
    ASSERT_TRUE(set.has_value()) << set.error().to_string();
  }

  BrokerHarness h_;
};

TEST_F(EventFeedTest, pages_that_follow_one_another_give_each_event_once_and_in_order) {
  h_.create_well(h_.config("orders", 3));
  const EventsPage all = page(EventsFromKept{});
  ASSERT_GE(all.events.size(), 3u);
  EXPECT_EQ(all.events[0].kind, EventKind::broker_registered);
  std::vector<Event> read;
  EventsStart from = EventsFromKept{};
  for (;;) {
    const EventsPage next = page(from, {}, 1);
    if (next.events.empty()) break;
    ASSERT_EQ(next.events.size(), 1u);
    EXPECT_EQ(next.next, next.events[0].position);
    read.push_back(next.events[0]);
    from = next.next;
  }
  EXPECT_EQ(read, all.events);
}

TEST_F(EventFeedTest, from_now_on_only_what_comes_is_told_as_soon_as_it_comes) {
  const EventsPage now = page(EventsFromNow{}, seconds(30));
  EXPECT_TRUE(now.events.empty());
  const Answer waiting = ask(now.next, seconds(30));
  h_.settle(seconds(10));
  EXPECT_FALSE(waiting->has_value());
  set("2s");
  h_.settle(milliseconds(50));
  ASSERT_TRUE(waiting->has_value());
  ASSERT_EQ((**waiting)->events.size(), 1u);
  EXPECT_EQ((**waiting)->events[0].kind, EventKind::setting_changed);
  EXPECT_EQ((**waiting)->events[0].detail, "2s");
}

TEST_F(EventFeedTest, a_wait_ends_at_its_deadline_with_nothing_and_where_to_go_on) {
  const EventPosition now = page(EventsFromNow{}).next;
  const Answer waiting = ask(now, seconds(3));
  h_.settle(milliseconds(2900));
  EXPECT_FALSE(waiting->has_value());
  h_.settle(milliseconds(200));
  ASSERT_TRUE(waiting->has_value());
  EXPECT_TRUE((**waiting)->events.empty());
  EXPECT_EQ((**waiting)->next, now);
  EXPECT_FALSE((**waiting)->lost.has_value());
}

TEST_F(EventFeedTest, what_is_no_longer_kept_is_told_by_name_and_reading_goes_on_from_there) {
  const EventPosition first = page(EventsFromKept{}, {}, 1).next;
  // More than is kept: settings are the smallest change that has an event.
  const std::string name = "session_timeout";
  const size_t changes = controller::k_event_bytes_kept / (controller::k_event_cost_min + 17) + 100;
  size_t done = 0;
  for (size_t i = 0; i < changes;) {
    h_.in_turn([&] {
      for (size_t n = 0; n < 2000 && i < changes; ++n, ++i)
        h_.broker().decide_cluster({}, SetSetting{name, i % 2 == 0 ? "2s" : "4s"},
                                   [&done](const Result<void>& r) { done += r.has_value(); });
    });
    h_.run_until([&] { return done == i; });
  }
  const EventsPage lost = page(first);
  ASSERT_TRUE(lost.lost.has_value());
  EXPECT_TRUE(lost.events.empty());
  EXPECT_GT(lost.next, first);
  EXPECT_EQ(lost.lost->after, lost.next);
  const EventsPage on = page(lost.next, {}, 1);
  EXPECT_FALSE(on.lost.has_value());
  ASSERT_EQ(on.events.size(), 1u);
  EXPECT_EQ(on.events[0].position, lost.lost->first_kept);
  EXPECT_EQ(page(EventsFromKept{}, {}, 1).events[0].position, lost.lost->first_kept);
}

TEST_F(EventFeedTest, a_stop_answers_whoever_waits) {
  const Answer waiting = ask(page(EventsFromNow{}).next, seconds(1000));
  h_.in_turn([&] { h_.program().stop([](const Status&) {}); });
  h_.run_until([&] { return waiting->has_value(); });
  EXPECT_EQ((*waiting)->error().code, Errc::stopping);
}

// --- Reads that may be old ------------------------------------------------------------------------

TEST_F(EventFeedTest, an_answer_is_as_new_as_was_asked_and_tells_its_age) {
  const auto list = [&](Duration max_age) {
    auto got = h_.call<StreamList>([&](Done<StreamList> done) {
      h_.broker().list_streams({}, {max_age, MonotonicTime::never()}, std::move(done));
    });
    EXPECT_TRUE(got.has_value());
    return got ? *got : StreamList{};
  };
  EXPECT_FALSE(list(Duration::max()).as_of.age.has_value()) << "nobody was asked yet";
  const StreamList now = list({});
  ASSERT_TRUE(now.as_of.age.has_value());
  EXPECT_LT(*now.as_of.age, milliseconds(100));
  h_.settle(seconds(4));
  const StreamList old = list(seconds(5));
  EXPECT_GE(*old.as_of.age, seconds(4)) << "it was new enough, and nobody was asked";
  h_.settle(seconds(4));
  EXPECT_LT(*list(seconds(5)).as_of.age, milliseconds(100));
  h_.create_well(h_.config("orders"));
  const StreamList after = list({});
  EXPECT_EQ(after.streams.size(), 1u);
  EXPECT_GT(after.as_of.index, now.as_of.index);
}

// --- Decisions and producer ids -------------------------------------------------------------------

TEST_F(EventFeedTest, settings_and_the_level_are_decided_and_shown) {
  const auto status = [&] {
    auto got = h_.call<ClusterStatus>(
        [&](Done<ClusterStatus> done) { h_.broker().cluster_status({}, {}, std::move(done)); });
    EXPECT_TRUE(got.has_value());
    return got ? *got : ClusterStatus{};
  };
  const auto setting = [&](const std::string& name) {
    const ClusterStatus got = status();
    const auto at = std::ranges::find(got.settings, name, &SettingStatus::name);
    return at == got.settings.end() ? SettingStatus{} : *at;
  };
  EXPECT_EQ(setting("session_timeout"), (SettingStatus{"session_timeout", "3s", true}));
  set("2500ms");
  EXPECT_EQ(setting("session_timeout"), (SettingStatus{"session_timeout", "2s500ms", false}));
  set("");
  EXPECT_EQ(setting("session_timeout"), (SettingStatus{"session_timeout", "3s", true}));
  const auto decide = [&](ClusterDecision decision) {
    return h_.call<void>([&](Done<void> done) {
      h_.broker().decide_cluster({}, std::move(decision), std::move(done));
    });
  };
  EXPECT_EQ(decide(SetSetting{"nonsense", "1"}).error().code, Errc::invalid);
  EXPECT_TRUE(decide(FinalizeFeatureLevel{}).has_value());
  EXPECT_EQ(status().feature_level, controller::k_feature_level);
  EXPECT_EQ(decide(FinalizeFeatureLevel{controller::k_feature_level + 1}).error().code,
            Errc::unsupported);
  const Uuid own = status().members.at(0).storage;
  EXPECT_EQ(decide(DeclareStorageLost{own}).error().code, Errc::busy) << "it is in use";
  EXPECT_EQ(decide(DeclareStorageLost{Uuid{{5, 5}}}).error().code, Errc::not_found);
}

TEST_F(EventFeedTest, a_producer_id_is_given_once_whatever_lives_and_blocks_lie_between) {
  std::set<ProducerId> seen;
  for (int life = 0; life < 3; ++life) {
    size_t answered = 0;
    h_.in_turn([&] {
      for (int i = 0; i < 2500; ++i)
        h_.broker().allocate_producer({}, MonotonicTime::never(), [&](Result<ProducerId> id) {
          ++answered;
          ASSERT_TRUE(id.has_value()) << id.error().to_string();
          EXPECT_TRUE(static_cast<bool>(*id));
          EXPECT_TRUE(seen.insert(*id).second) << id->to_string();
        });
    });
    h_.run_until([&] { return answered == 2500; });
    h_.restart_after_kill();
  }
  EXPECT_EQ(seen.size(), 7500u);
}

TEST_F(EventFeedTest, a_producer_id_that_cannot_be_had_in_time_is_refused) {
  h_.node.device().set_stuck(true);
  std::optional<Result<ProducerId>> answer;
  h_.in_turn([&] {
    h_.broker().allocate_producer({}, in(seconds(1)),
                                  [&](Result<ProducerId> id) { answer = std::move(id); });
  });
  h_.settle(seconds(2));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->error().code, Errc::deadline_exceeded);
  h_.node.device().set_stuck(false);
}

TEST_F(EventFeedTest, a_stuck_disk_shows_in_the_clusters_status) {
  const StreamId stream = h_.create_well(h_.config("orders"));
  h_.node.device().set_stuck(true);
  const BufferRef batch = h_.batch({"a"});
  h_.in_turn([&] {
    h_.broker().publish({}, {.stream = stream, .partition = {}, .epoch = {}, .batch = batch.view()},
                        [](const Result<PublishAck>&) {});
  });
  h_.settle(seconds(3));
  EXPECT_GE(h_.broker().logs().oldest_write(), seconds(2));
  auto got = h_.call<ClusterStatus>(
      [&](Done<ClusterStatus> done) { h_.broker().cluster_status({}, {}, std::move(done)); });
  ASSERT_TRUE(got.has_value());
  EXPECT_GE(got->members.at(0).oldest_unsynced, seconds(2));
  ASSERT_FALSE(got->problems.empty());
  EXPECT_NE(got->problems[0].find("a write to its disk"), std::string::npos) << got->problems[0];
  h_.node.device().set_stuck(false);
  h_.settle(seconds(1));
  EXPECT_EQ(h_.broker().logs().oldest_write(), Duration{});
}

}  // namespace
}  // namespace bascule::broker

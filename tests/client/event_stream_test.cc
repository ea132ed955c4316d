// How the client follows the activity of the metadata over brokers that come and go.
#include <gtest/gtest.h>

#include "tests/client/client_world.h"

namespace bascule::client {
namespace {

using broker::EventsPage;
using model::Event;
using model::EventKind;
using model::EventPosition;

struct Following final : EventReceiver {
  void events(std::span<const Event> events) override {
    for (const Event& e : events) positions.push_back(e.position.to_string());
    if (on_events) on_events();
  }
  void events_lost(const broker::EventsLost& lost) override { losses.push_back(lost); }
  void ended(const Error& why) override { end = why; }

  std::vector<std::string> positions;
  std::vector<broker::EventsLost> losses;
  std::optional<Error> end;
  std::function<void()> on_events;
};

EventsPage page(uint64_t index, uint32_t count) {
  EventsPage out;
  for (uint32_t i = 1; i <= count; ++i)
    out.events.push_back({.position = {Index(index), i}, .kind = EventKind::broker_fenced});
  out.next = {Index(index), count};
  return out;
}

EventsCall next_read(ClientWorld& world) {
  EXPECT_TRUE(world.until([&] { return !world.transport->event_reads.empty(); }));
  EventsCall call = std::move(world.transport->event_reads.front());
  world.transport->event_reads.pop_front();
  return call;
}

EventPosition asked(const EventsCall& call) { return std::get<EventPosition>(call.request.from); }

TEST(EventStream, goes_on_after_the_last_event_wherever_it_has_to_ask) {
  ClientWorld world({.servers = {k_first, k_second}});
  Following following;
  const auto stream = world.client->follow_events(broker::EventsFromNow{}, following);
  EventsCall call = next_read(world);
  EXPECT_TRUE(std::holds_alternative<broker::EventsFromNow>(call.request.from));
  EXPECT_GT(call.request.deadline, world.world().loop.now());
  EventsPage now;
  now.next = {Index(4), 2};
  call.done(now);
  call = next_read(world);
  EXPECT_EQ(asked(call), (EventPosition{Index(4), 2}));
  call.done(page(5, 2));
  call = next_read(world);
  EXPECT_EQ(asked(call), (EventPosition{Index(5), 2}));
  // The broker dies: the same is asked of the next one.
  world.transport->refuse(k_first, Errc::connection_refused, 100);
  world.transport->break_off(k_first);
  call.done(std::unexpected(Failure{{Errc::outcome_unknown, ""}, {}}));
  call = next_read(world);
  EXPECT_EQ(call.to, k_second);
  EXPECT_EQ(asked(call), (EventPosition{Index(5), 2}));
  call.done(page(6, 1));
  (void)next_read(world);
  EXPECT_EQ(following.positions, (std::vector<std::string>{"5.1", "5.2", "6.1"}));
  EXPECT_TRUE(following.losses.empty());
}

TEST(EventStream, a_broker_that_may_be_behind_is_left_for_another) {
  ClientWorld world({.servers = {k_first, k_second}});
  Following following;
  const auto stream = world.client->follow_events(EventPosition{Index(1), 1}, following);
  EventsCall call = next_read(world);
  EXPECT_EQ(call.to, k_first);
  call.done(std::unexpected(Failure{{Errc::not_leader, "cut off"}, {}}));
  call = next_read(world);
  EXPECT_EQ(call.to, k_second);
  EXPECT_EQ(asked(call), (EventPosition{Index(1), 1}));
}

TEST(EventStream, what_was_lost_is_told_and_the_rest_follows) {
  ClientWorld world;
  Following following;
  const auto stream = world.client->follow_events(EventPosition{Index(1), 1}, following);
  EventsPage lost;
  lost.next = {Index(40), 3};
  lost.lost = broker::EventsLost{{Index(40), 3}, EventPosition{Index(41), 1}};
  next_read(world).done(lost);
  EventsCall call = next_read(world);
  ASSERT_EQ(following.losses.size(), 1u);
  EXPECT_EQ(following.losses[0].first_kept, (EventPosition{Index(41), 1}));
  EXPECT_EQ(asked(call), (EventPosition{Index(40), 3}));
  call.done(page(41, 1));
  (void)next_read(world);
  EXPECT_EQ(following.positions, (std::vector<std::string>{"41.1"}));
}

TEST(EventStream, what_no_broker_will_answer_ends_it) {
  ClientWorld world;
  Following following;
  const auto stream = world.client->follow_events(broker::EventsFromKept{}, following);
  next_read(world).done(std::unexpected(Failure{{Errc::permission_denied, ""}, {}}));
  ASSERT_TRUE(world.until([&] { return following.end.has_value(); }));
  EXPECT_EQ(following.end->code, Errc::permission_denied);
}

TEST(EventStream, the_receiver_may_end_it_inside_its_own_call) {
  ClientWorld world;
  Following following;
  auto stream = world.client->follow_events(broker::EventsFromKept{}, following);
  following.on_events = [&] { stream.reset(); };
  next_read(world).done(page(3, 2));
  ASSERT_TRUE(world.until([&] { return !following.positions.empty(); }));
  world.run(seconds(60));
  EXPECT_TRUE(world.transport->event_reads.empty());
  EXPECT_FALSE(following.end.has_value());
}

TEST(Client, a_request_that_ran_out_of_time_tells_the_last_refusal) {
  ClientWorld world({.servers = {k_first}, .request_timeout = seconds(3)});
  std::optional<Result<EventsPage>> answer;
  world.client->read_events(broker::EventsFromKept{}, {},
                            [&](Result<EventsPage> page) { answer = std::move(page); });
  while (!answer) {
    if (!world.until([&] { return answer || !world.transport->event_reads.empty(); })) break;
    if (answer) break;
    EventsCall call = std::move(world.transport->event_reads.front());
    world.transport->event_reads.pop_front();
    call.done(std::unexpected(Failure{{Errc::not_leader, "no majority"}, {}}));
  }
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->error().code, Errc::deadline_exceeded);
  EXPECT_NE(answer->error().context.find("no majority"), std::string::npos)
      << answer->error().context;
}

}  // namespace
}  // namespace bascule::client

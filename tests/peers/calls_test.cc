// What goes over the connections: requests, notices, Raft messages, attachments; and what is bounded.
#include <gtest/gtest.h>

#include "tests/peers/test_broker.h"

namespace bascule::peers {
namespace {

Slice pattern(size_t size, uint64_t seed) {
  BufferRef buffer = BufferRef::allocate(size);
  MutableBytes bytes = buffer.mutable_bytes();
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(mix64(seed + i / 8) >> (i % 8));
  return buffer;
}

struct Pair {
  explicit Pair(uint64_t seed, BrokerSetup first = {}, BrokerSetup second = {}) : cluster(seed) {
    first.node = 1;
    second.node = 2;
    first.start = second.start = false;
    a = &cluster.start(first, 2);
    b = &cluster.start(second, 2);
  }
  void connect() {
    for (Broker* broker : {a, b}) broker->peers.start([](Status) {});
    ASSERT_TRUE(cluster.until([&] { return a->all_open(2) && b->all_open(1); }));
  }
  // The outcome of a request of `a`.
  Result<Reply> ask(uint16_t kind, Slice body, std::vector<Slice> attachments = {},
                    Duration timeout = seconds(1)) {
    std::optional<Result<Reply>> result;
    a->peers.request(NodeId(2), Channel::control, {kind, std::move(body), std::move(attachments)},
                     timeout, [&](Result<Reply> reply) { result = std::move(reply); });
    EXPECT_FALSE(result.has_value());  // never inside the call
    cluster.until([&] { return result.has_value(); });
    return result ? std::move(*result) : Result<Reply>(fail(Errc::internal, "never"));
  }
  TestCluster cluster;
  Broker* a = nullptr;
  Broker* b = nullptr;
};

TEST(calls, a_request_is_answered) {
  Pair pair(1);
  Identity asker;
  pair.b->peers.handle_requests(
      9, [&](const Identity& from, Request request, env::Done<Reply> answer) {
        asker = from;
        answer(Reply{slice_of("re: " + to_string(request.body)), {request.attachments.at(1)}});
      });
  pair.connect();
  const auto reply = pair.ask(9, slice_of("hello"), {slice_of("x"), slice_of("y")});
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(as_text(reply->body), "re: hello");
  ASSERT_EQ(reply->attachments.size(), 1u);
  EXPECT_EQ(as_text(reply->attachments[0]), "y");
  EXPECT_EQ(asker.node, NodeId(1));
}

TEST(calls, an_error_comes_with_its_code_and_text) {
  Pair pair(1);
  pair.b->peers.handle_requests(9, [](const Identity&, Request, env::Done<Reply> answer) {
    answer(fail(Errc::not_leader, "node 3 is"));
  });
  pair.connect();
  EXPECT_EQ(pair.ask(9, {}).error(), (Error{Errc::not_leader, "node 3 is"}));
  EXPECT_EQ(pair.ask(10, {}).error().code, Errc::unsupported);
}

TEST(calls, an_answer_may_come_later_and_a_request_may_wait_no_longer) {
  Pair pair(1);
  std::vector<env::Done<Reply>> open;
  pair.b->peers.handle_requests(9, [&](const Identity&, Request, env::Done<Reply> answer) {
    open.push_back(std::move(answer));
  });
  pair.connect();
  EXPECT_EQ(pair.ask(9, {}, {}, milliseconds(300)).error().code, Errc::deadline_exceeded);
  ASSERT_EQ(open.size(), 1u);
  open[0](Reply{});
  pair.cluster.run(seconds(1));
  EXPECT_EQ(pair.a->peers.stats().answers_late, 1u);
}

TEST(calls, a_lost_connection_ends_its_requests) {
  Pair pair(1);
  std::vector<env::Done<Reply>> open;
  pair.b->peers.handle_requests(9, [&](const Identity&, Request, env::Done<Reply> answer) {
    open.push_back(std::move(answer));
  });
  pair.connect();
  std::optional<Errc> ended;
  pair.a->peers.request(NodeId(2), Channel::control, {9, {}, {}}, seconds(60),
                        [&](Result<Reply> reply) { ended = reply.error().code; });
  ASSERT_TRUE(pair.cluster.until([&] { return !open.empty(); }));
  pair.cluster.sim.network().reset(pair.cluster.id("n1"), pair.cluster.id("n2"));
  ASSERT_TRUE(pair.cluster.until([&] { return ended.has_value(); }, seconds(1)));
  EXPECT_EQ(*ended, Errc::connection_lost);
  ASSERT_TRUE(pair.cluster.until([&] { return pair.a->all_open(2); }));
  // An answer to a connection that is no more goes nowhere.
  open[0](Reply{});
  pair.cluster.run(seconds(1));
  EXPECT_EQ(pair.a->peers.stats().answers_late, 0u);
}

TEST(calls, to_nobody_is_a_definite_refusal) {
  Pair pair(1);
  EXPECT_EQ(pair.ask(9, {}).error().code, Errc::connection_refused);
  EXPECT_EQ(pair.a->peers.notify(NodeId(2), Channel::bulk, {1, {}, {}}).error().code,
            Errc::connection_refused);
  raft::Message message;
  message.to.node = NodeId(2);
  EXPECT_EQ(pair.a->peers.send(message).error().code, Errc::connection_refused);
}

TEST(calls, notices_come_in_order_and_unknown_ones_are_counted) {
  Pair pair(1);
  std::string got;
  pair.b->peers.handle_notices(
      3, [&](const Identity&, Notice notice) { got += as_text(notice.body); });
  pair.connect();
  for (const char* text : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(pair.a->peers.notify(NodeId(2), Channel::replication, {3, slice_of(text), {}}));
  }
  ASSERT_TRUE(pair.a->peers.notify(NodeId(2), Channel::replication, {4, slice_of("?"), {}}));
  pair.cluster.run(seconds(1));
  EXPECT_EQ(got, "abcd");
  EXPECT_EQ(pair.b->peers.stats().notices_dropped, 1u);
}

TEST(calls, requests_without_answers_are_bounded) {
  Pair pair(1, {.options = {.requests_max = 4}}, {.options = {.requests_max = 4}});
  pair.b->peers.handle_requests(9, [](const Identity&, Request, env::Done<Reply>) {});
  pair.connect();
  std::vector<Errc> ended;
  for (int i = 0; i < 5; ++i) {
    pair.a->peers.request(NodeId(2), Channel::control, {9, {}, {}}, seconds(1),
                          [&](Result<Reply> reply) { ended.push_back(reply.error().code); });
  }
  pair.cluster.run(milliseconds(100));
  EXPECT_EQ(ended, std::vector<Errc>{Errc::overloaded});
  pair.cluster.run(seconds(2));
  EXPECT_EQ(ended.size(), 5u);
  // b still holds the four that it never answered: the next is refused there, not kept.
  EXPECT_EQ(pair.ask(9, {}).error().code, Errc::overloaded);
}

TEST(calls, raft_messages_of_the_connections_broker_alone_come_through) {
  Pair pair(1);
  pair.connect();
  raft::Message message{
      {NodeId(1), storage_of({.node = 1})},
      {NodeId(2), storage_of({.node = 2})},
      Term(3),
      Incarnation(1),
      raft::AppendRequest{Index(1),
                          Term(2),
                          {{Term(3), raft::EntryKind::command, pattern(100, 1)},
                           {Term(3), raft::EntryKind::empty, {}},
                           {Term(3), raft::EntryKind::command, pattern(90'000, 2)}},
                          Index(1),
                          7}};
  ASSERT_TRUE(pair.a->peers.send(message).has_value());
  message.body = raft::SnapshotRequest{{}, 300'000, 0, pattern(300'000, 5), 1};
  ASSERT_TRUE(pair.a->peers.send(message).has_value());
  message.from.node = NodeId(3);
  ASSERT_TRUE(pair.a->peers.send(message).has_value());
  message.from = {NodeId(1), Uuid{{8, 8}}};
  ASSERT_TRUE(pair.a->peers.send(message).has_value());
  pair.cluster.run(seconds(2));
  ASSERT_EQ(pair.b->seen.raft.size(), 2u);
  EXPECT_EQ(pair.b->peers.stats().foreign_messages, 2u);
  const auto& append = std::get<raft::AppendRequest>(pair.b->seen.raft[0].body);
  ASSERT_EQ(append.entries.size(), 3u);
  EXPECT_TRUE(equal(append.entries[0].data, pattern(100, 1)));
  EXPECT_TRUE(append.entries[1].data.empty());
  EXPECT_TRUE(equal(append.entries[2].data, pattern(90'000, 2)));
  EXPECT_TRUE(
      equal(std::get<raft::SnapshotRequest>(pair.b->seen.raft[1].body).data, pattern(300'000, 5)));
}

TEST(calls, a_full_queue_is_told_and_so_is_room_in_it) {
  Pair pair(1, {.options = {.queue_bytes_max = 1 << 20}});
  size_t received = 0;
  pair.b->peers.handle_notices(3, [&](const Identity&, Notice notice) {
    EXPECT_TRUE(equal(notice.attachments.at(0), pattern(100'000, received)));
    ++received;
  });
  pair.connect();
  size_t sent = 0;
  const auto fill = [&] {
    while (true) {
      const Status status =
          pair.a->peers.notify(NodeId(2), Channel::bulk, {3, {}, {pattern(100'000, sent)}});
      if (!status) {
        EXPECT_EQ(status.error().code, Errc::overloaded);
        return;
      }
      ++sent;
    }
  };
  fill();
  EXPECT_LE(sent, (size_t{1} << 20) / 100'000);
  EXPECT_LE(pair.a->peers.status().at(0).channels[slot_of(Channel::bulk)].queued_bytes,
            size_t{1} << 20);
  pair.a->seen.on_writable = [&] {
    if (sent < 100) fill();
  };
  ASSERT_TRUE(pair.cluster.until([&] { return sent >= 100 && received == sent; }));
  EXPECT_GT(pair.a->seen.count("writable 2 bulk"), 5u);
  // Nothing was dropped, nothing was told that was not owed.
  EXPECT_EQ(received, sent);
}

TEST(calls, one_frame_larger_than_the_queue_still_goes) {
  Pair pair(1, {.options = {.queue_bytes_max = 1000}});
  size_t received = 0;
  pair.b->peers.handle_notices(
      3, [&](const Identity&, Notice notice) { received += notice.attachments.at(0).size(); });
  pair.connect();
  ASSERT_TRUE(pair.a->peers.notify(NodeId(2), Channel::bulk, {3, {}, {pattern(2'000'000, 1)}}));
  EXPECT_EQ(pair.a->peers.notify(NodeId(2), Channel::bulk, {3, {}, {}}).error().code,
            Errc::overloaded);
  pair.cluster.run(seconds(5));
  EXPECT_EQ(received, 2'000'000u);
  EXPECT_EQ(pair.a->peers
                .notify(NodeId(2), Channel::bulk,
                        {3, {}, {Slice(BufferRef::allocate(k_payload_bytes_max))}})
                .error()
                .code,
            Errc::too_large);
}

// A peer that reads nothing any more: the queue stays bounded, and the control channel is not held up by
// megabytes on another.
TEST(calls, megabytes_of_bulk_do_not_hold_up_control) {
  Pair pair(1);
  pair.b->peers.handle_requests(
      9, [](const Identity&, Request, env::Done<Reply> answer) { answer(Reply{}); });
  pair.connect();
  pair.cluster.sim.network().options().bytes_per_us = 10;  // 10 MB/s
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(pair.a->peers.notify(NodeId(2), Channel::bulk, {3, {}, {pattern(1'000'000, 1)}}));
  }
  const auto start = pair.cluster.sim.now();
  ASSERT_TRUE(pair.ask(9, {}).has_value());
  EXPECT_LT(pair.cluster.sim.now() - start, milliseconds(50));
}

}  // namespace
}  // namespace bascule::peers

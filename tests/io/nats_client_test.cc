// A real client library, nats.c, against the embedded server over real sockets.
#include <string>

#include "tests/io/running_nats_server.h"

namespace bascule {
namespace {

Connection connect(const std::string& url) {
  natsConnection* connection = nullptr;
  const natsStatus status = natsConnection_ConnectTo(&connection, url.c_str());
  EXPECT_EQ(status, NATS_OK) << natsStatus_GetText(status);
  return Connection(connection);
}

Subscription subscribe(Connection& connection, const char* subject, const char* queue = nullptr) {
  natsSubscription* subscription = nullptr;
  EXPECT_EQ(
      queue == nullptr
          ? natsConnection_SubscribeSync(&subscription, connection.get(), subject)
          : natsConnection_QueueSubscribeSync(&subscription, connection.get(), subject, queue),
      NATS_OK);
  EXPECT_EQ(natsConnection_Flush(connection.get()), NATS_OK);
  return Subscription(subscription);
}

Msg next(Subscription& subscription, int64_t wait_ms = k_wait_ms) {
  natsMsg* msg = nullptr;
  natsSubscription_NextMsg(&msg, subscription.get(), wait_ms);
  return Msg(msg);
}

std::string data(const Msg& msg) {
  return msg ? std::string(natsMsg_GetData(msg.get()),
                           static_cast<size_t>(natsMsg_GetDataLength(msg.get())))
             : "(nothing)";
}

JetStream jetstream(Connection& connection) {
  jsCtx* js = nullptr;
  EXPECT_EQ(natsConnection_JetStream(&js, connection.get(), nullptr), NATS_OK);
  return JetStream(js);
}

TEST(nats_client, publishes_and_subscribes_with_wildcards) {
  RunningServer server;
  Connection a = connect(server.url);
  Connection b = connect(server.url);
  Subscription star = subscribe(a, "orders.*.paid");
  Subscription tail = subscribe(a, "orders.>");
  ASSERT_EQ(natsConnection_PublishString(b.get(), "orders.eu.paid", "hello"), NATS_OK);
  ASSERT_EQ(natsConnection_Flush(b.get()), NATS_OK);
  const Msg msg = next(star);
  EXPECT_EQ(data(msg), "hello");
  EXPECT_STREQ(natsMsg_GetSubject(msg.get()), "orders.eu.paid");
  EXPECT_EQ(data(next(tail)), "hello");
}

TEST(nats_client, headers_and_large_payloads_arrive_as_sent) {
  RunningServer server;
  Connection connection = connect(server.url);
  Subscription subscription = subscribe(connection, "big");
  std::string payload(1'000'000, '\0');
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(i * 131 >> 5);
  natsMsg* raw = nullptr;
  ASSERT_EQ(natsMsg_Create(&raw, "big", nullptr, payload.data(), static_cast<int>(payload.size())),
            NATS_OK);
  const Msg sent(raw);
  ASSERT_EQ(natsMsgHeader_Set(sent.get(), "Colour", "blue"), NATS_OK);
  ASSERT_EQ(natsConnection_PublishMsg(connection.get(), sent.get()), NATS_OK);
  const Msg got = next(subscription);
  EXPECT_TRUE(data(got) == payload);
  const char* colour = nullptr;
  ASSERT_EQ(natsMsgHeader_Get(got.get(), "Colour", &colour), NATS_OK);
  EXPECT_STREQ(colour, "blue");
}

TEST(nats_client, a_responder_answers_requests_that_a_wildcard_stream_records) {
  RunningServer server;
  const StreamId all = server.add_stream("all", {">"}, model::AnswerMode::automatic);
  Connection responder = connect(server.url);
  Connection requester = connect(server.url);
  natsSubscription* raw = nullptr;
  ASSERT_EQ(natsConnection_Subscribe(
                &raw, responder.get(), "add.one",
                [](natsConnection* nc, natsSubscription*, natsMsg* msg, void*) {
                  natsConnection_PublishString(nc, natsMsg_GetReply(msg), "two");
                  natsMsg_Destroy(msg);
                },
                nullptr),
            NATS_OK);
  const Subscription service(raw);
  ASSERT_EQ(natsConnection_Flush(responder.get()), NATS_OK);
  for (int i = 0; i < 50; ++i) {
    natsMsg* reply = nullptr;
    ASSERT_EQ(natsConnection_RequestString(&reply, requester.get(), "add.one", "one", k_wait_ms),
              NATS_OK);
    EXPECT_EQ(data(Msg(reply)), "two");
  }
  const std::vector<model::Record> log = server.log(all, 50);
  ASSERT_EQ(log.size(), 50u);
  EXPECT_EQ(log[49].subject, "add.one");
  EXPECT_EQ(log[49].value, "one");
}

TEST(nats_client, a_request_without_responder_fails_at_once) {
  RunningServer server;
  Connection connection = connect(server.url);
  natsMsg* reply = nullptr;
  EXPECT_EQ(natsConnection_RequestString(&reply, connection.get(), "nobody", "?", k_wait_ms),
            NATS_NO_RESPONDERS);
}

TEST(nats_client, a_queue_group_shares_the_work) {
  RunningServer server;
  Connection a = connect(server.url);
  Connection b = connect(server.url);
  Subscription one = subscribe(a, "work", "group");
  Subscription two = subscribe(b, "work", "group");
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(natsConnection_PublishString(a.get(), "work", "x"), NATS_OK);
  ASSERT_EQ(natsConnection_Flush(a.get()), NATS_OK);
  ASSERT_EQ(natsConnection_Flush(b.get()), NATS_OK);
  uint64_t got_one = 0;
  uint64_t got_two = 0;
  ASSERT_EQ(natsSubscription_QueuedMsgs(one.get(), &got_one), NATS_OK);
  ASSERT_EQ(natsSubscription_QueuedMsgs(two.get(), &got_two), NATS_OK);
  EXPECT_EQ(got_one + got_two, 200u);
  EXPECT_GT(got_one, 50u);
  EXPECT_GT(got_two, 50u);
}

TEST(nats_client, a_jetstream_publish_is_acked_with_the_records_sequence) {
  RunningServer server;
  const StreamId orders = server.add_stream("ORDERS", {"orders.>"}, model::AnswerMode::automatic);
  Connection connection = connect(server.url);
  JetStream js = jetstream(connection);
  for (uint64_t i = 1; i <= 20; ++i) {
    jsPubAck* raw = nullptr;
    jsErrCode error{};
    const std::string payload = "order " + std::to_string(i);
    ASSERT_EQ(js_Publish(&raw, js.get(), "orders.new", payload.data(),
                         static_cast<int>(payload.size()), nullptr, &error),
              NATS_OK)
        << error;
    const PubAck ack(raw);
    EXPECT_STREQ(ack->Stream, "ORDERS");
    EXPECT_EQ(ack->Sequence, i);
    EXPECT_FALSE(ack->Duplicate);
  }
  EXPECT_EQ(server.log(orders, 20).size(), 20u);
}

TEST(nats_client, asynchronous_jetstream_publishes_all_complete) {
  RunningServer server;
  const StreamId orders = server.add_stream("ORDERS", {"orders.>"}, model::AnswerMode::on);
  Connection connection = connect(server.url);
  JetStream js = jetstream(connection);
  for (int i = 0; i < 5000; ++i) {
    const std::string payload = std::to_string(i);
    ASSERT_EQ(js_PublishAsync(js.get(), "orders.new", payload.data(),
                              static_cast<int>(payload.size()), nullptr),
              NATS_OK);
  }
  jsPubOptions wait;
  ASSERT_EQ(jsPubOptions_Init(&wait), NATS_OK);
  wait.MaxWait = k_wait_ms;
  EXPECT_EQ(js_PublishAsyncComplete(js.get(), &wait), NATS_OK);
  const std::vector<model::Record> log = server.log(orders, 5000);
  ASSERT_EQ(log.size(), 5000u);
  for (size_t i = 0; i < log.size(); ++i) ASSERT_EQ(log[i].value, std::to_string(i));
}

TEST(nats_client, a_jetstream_publish_that_asks_for_more_gets_an_error_and_is_not_recorded) {
  RunningServer server;
  const StreamId orders = server.add_stream("ORDERS", {"orders.>"}, model::AnswerMode::on);
  Connection connection = connect(server.url);
  JetStream js = jetstream(connection);
  jsPubOptions options;
  ASSERT_EQ(jsPubOptions_Init(&options), NATS_OK);
  options.MsgId = "17";
  jsPubAck* raw = nullptr;
  jsErrCode error{};
  EXPECT_EQ(js_Publish(&raw, js.get(), "orders.new", "x", 1, &options, &error), NATS_ERR);
  EXPECT_EQ(static_cast<int>(error), 10003);
  ASSERT_EQ(jsPubOptions_Init(&options), NATS_OK);
  options.ExpectStream = "ORDERS";
  ASSERT_EQ(js_Publish(&raw, js.get(), "orders.new", "y", 1, &options, &error), NATS_OK);
  const PubAck ack(raw);
  const std::vector<model::Record> log = server.log(orders, 1);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].value, "y");
}

TEST(nats_client, a_jetstream_publish_to_no_stream_fails_at_once) {
  RunningServer server;
  Connection connection = connect(server.url);
  JetStream js = jetstream(connection);
  jsPubAck* raw = nullptr;
  jsErrCode error{};
  EXPECT_EQ(js_Publish(&raw, js.get(), "orders.new", "x", 1, nullptr, &error), NATS_NO_RESPONDERS);
}

TEST(nats_client, drain_delivers_what_is_there_and_ends) {
  RunningServer server;
  Connection connection = connect(server.url);
  Subscription subscription = subscribe(connection, "a");
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(natsConnection_PublishString(connection.get(), "a", "x"), NATS_OK);
  ASSERT_EQ(natsConnection_Flush(connection.get()), NATS_OK);
  ASSERT_EQ(natsSubscription_Drain(subscription.get()), NATS_OK);
  int got = 0;
  while (next(subscription, got < 100 ? k_wait_ms : 50)) ++got;
  EXPECT_EQ(got, 100);
  EXPECT_EQ(natsSubscription_WaitForDrainCompletion(subscription.get(), k_wait_ms), NATS_OK);
}

TEST(nats_client, a_wrong_token_is_refused_as_an_authorization_violation) {
  RunningServer server({.auth_token = "right"});
  natsConnection* raw = nullptr;
  EXPECT_EQ(natsConnection_ConnectTo(&raw, server.url.c_str()), NATS_CONNECTION_AUTH_FAILED);
  natsOptions* options_raw = nullptr;
  ASSERT_EQ(natsOptions_Create(&options_raw), NATS_OK);
  const Options options(options_raw);
  ASSERT_EQ(natsOptions_SetURL(options.get(), server.url.c_str()), NATS_OK);
  ASSERT_EQ(natsOptions_SetToken(options.get(), "right"), NATS_OK);
  ASSERT_EQ(natsConnection_Connect(&raw, options.get()), NATS_OK);
  const Connection connection(raw);
  EXPECT_EQ(natsConnection_Flush(connection.get()), NATS_OK);
}

TEST(nats_client, nobody_hears_himself_who_does_not_want_to) {
  RunningServer server;
  natsOptions* options_raw = nullptr;
  ASSERT_EQ(natsOptions_Create(&options_raw), NATS_OK);
  const Options options(options_raw);
  ASSERT_EQ(natsOptions_SetURL(options.get(), server.url.c_str()), NATS_OK);
  ASSERT_EQ(natsOptions_SetNoEcho(options.get(), true), NATS_OK);
  natsConnection* raw = nullptr;
  ASSERT_EQ(natsConnection_Connect(&raw, options.get()), NATS_OK);
  Connection quiet(raw);
  Connection other = connect(server.url);
  Subscription own = subscribe(quiet, "a");
  Subscription others = subscribe(other, "a");
  ASSERT_EQ(natsConnection_PublishString(quiet.get(), "a", "x"), NATS_OK);
  // Two connections: only what the server has seen orders them.
  ASSERT_EQ(natsConnection_Flush(quiet.get()), NATS_OK);
  ASSERT_EQ(natsConnection_PublishString(other.get(), "a", "y"), NATS_OK);
  EXPECT_EQ(data(next(own)), "y");
  EXPECT_EQ(data(next(others)), "x");
  EXPECT_EQ(data(next(others)), "y");
}

}  // namespace
}  // namespace bascule

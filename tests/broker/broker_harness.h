// A broker on the simulated world, driven step by step: calls that run the simulation until they are
// answered.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/world/life.h"
#include "sim/world/node.h"
#include "sim/world/simulation.h"
#include "sim/worlds/broker_program.h"
#include "src/broker/broker.h"
#include "src/model/record.h"

namespace bascule::broker {

// What one subscription got, record by record.
class RecordingSubscriber final : public Subscriber {
 public:
  struct Got {
    Offset offset;
    Epoch epoch;
    model::Record record;
  };

  void deliver(Delivery delivery) override {
    EXPECT_FALSE(ended.has_value());
    EXPECT_LE(delivery.next_offset, delivery.hw);
    next = delivery.next_offset;
    for (const Slice& slice : delivery.batches) {
      for (size_t at = 0; at < slice.size();) {
        const auto header = model::decode_batch_header(slice.view().subspan(at), seed);
        ASSERT_TRUE(header.has_value()) << header.error().to_string();
        const ByteView batch = slice.view().subspan(at, header->total_bytes);
        at += header->total_bytes;
        ASSERT_TRUE(model::batch_body_matches(*header, batch));
        Bytes scratch;
        model::RecordReader reader(*model::batch_body(*header, batch, scratch),
                                   header->base_timestamp);
        model::RecordView record;
        while (reader.next(record))
          got.push_back(
              {header->base_offset + record.offset_delta, header->epoch, record.to_record()});
        EXPECT_TRUE(reader.status().has_value());
      }
    }
  }
  void end(SubscriptionEnd how) override {
    EXPECT_FALSE(ended.has_value());
    ended = std::move(how);
  }
  std::vector<std::string> values() const {
    std::vector<std::string> out;
    for (const Got& g : got) out.push_back(g.record.value.value_or("(none)"));
    return out;
  }

  uint32_t seed = 0;
  std::vector<Got> got;
  Offset next;
  std::optional<SubscriptionEnd> ended;
  std::unique_ptr<Subscription> subscription;
};

class BrokerHarness {
 public:
  explicit BrokerHarness(uint64_t seed = 1)
      : sim(seed), node(sim.add_node({.host = "n1", .disk = {}})) {}
  ~BrokerHarness() { node.shut_down(); }

  // Starts a life and waits until the broker is open.
  Status start() {
    auto opened = std::make_shared<std::optional<Status>>();
    node.start([this, opened](env::World& world) {
      return std::make_unique<sim::BrokerProgram>(
          world, options, [opened](sim::BrokerProgram&, Status s) { *opened = std::move(s); });
    });
    run_until([&] { return opened->has_value() || !node.alive(); });
    if (!opened->has_value()) return fail(Errc::internal, "the process died");
    return **opened;
  }
  void start_well() {
    const Status started = start();
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
  }
  void stop_cleanly() {
    bool stopped = false;
    in_turn([&] {
      program().stop([&](const Status& s) {
        EXPECT_TRUE(s.has_value()) << s.error().to_string();
        stopped = true;
      });
    });
    run_until([&] { return stopped; });
    node.exit();
    settle();
  }
  void kill() {
    node.crash_process();
    settle();
  }
  void power_loss() {
    node.crash_machine();
    settle();
  }
  void restart_after_kill() {
    kill();
    start_well();
  }

  sim::BrokerProgram& program() { return *static_cast<sim::BrokerProgram*>(node.program()); }
  Broker& broker() { return *program().broker(); }

  // Runs `f` in a turn of the process, as a request would come.
  void in_turn(std::function<void()> f) {
    bool ran = false;
    node.life().arrive([&] {
      f();
      ran = true;
    });
    run_until([&] { return ran; });
  }
  // Runs the world until `done` or for a simulated minute: then the test has failed.
  void run_until(std::function<bool()> done) {
    EXPECT_TRUE(sim.run_until_true(sim.now() + seconds(60), std::move(done)))
        << "not within a simulated minute";
  }
  void settle(Duration d = milliseconds(5)) { sim.run_until(sim.now() + d); }

  // Runs `begin(done)` in a turn and gives what done was called with.
  template <class T, class F>
  Result<T> call(F begin) {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    in_turn([&] { begin([answer](Result<T> r) { answer->emplace(std::move(r)); }); });
    run_until([&] { return answer->has_value() || !node.alive(); });
    if (!answer->has_value()) return fail(Errc::connection_lost, "the process died");
    return std::move(**answer);
  }

  static model::StreamConfig config(std::string name, uint32_t partitions = 1) {
    model::StreamConfig out;
    out.name = std::move(name);
    out.subjects = {"test.>"};
    out.answers = model::AnswerMode::off;
    out.partitions = partitions;
    return out;
  }
  Result<StreamStatus> create(model::StreamConfig c) {
    return call<StreamStatus>([&](Done<StreamStatus> done) {
      broker().create_stream({}, {.config = c}, std::move(done));
    });
  }
  StreamId create_well(model::StreamConfig c) {
    const auto created = create(std::move(c));
    EXPECT_TRUE(created.has_value()) << created.error().to_string();
    return created ? created->id : StreamId{};
  }

  static BufferRef batch(const std::vector<std::string>& values) {
    model::BatchBuilder builder;
    for (const std::string& value : values) {
      model::Record record;
      record.timestamp = WallTime{5};
      record.subject = "test." + value.substr(0, 1);
      record.value = value;
      EXPECT_TRUE(builder.add(model::view_of(record)).has_value());
    }
    return builder.finish();
  }
  struct PublishOptions {
    uint32_t partition = 0;
    model::Acks acks = model::Acks::all;
    Duration timeout{};  // 0: none
    Epoch epoch{};
  };
  Result<PublishAck> publish(StreamId stream, const std::vector<std::string>& values,
                             PublishOptions o) {
    const BufferRef bytes = batch(values);
    return call<PublishAck>([&](Done<PublishAck> done) {
      MonotonicTime deadline = MonotonicTime::never();
      if (o.timeout.ns != 0) deadline = program().world().loop.now() + o.timeout;
      broker().publish({},
                       {.stream = stream,
                        .partition = PartitionIndex(o.partition),
                        .epoch = o.epoch,
                        .acks = o.acks,
                        .deadline = deadline,
                        .batch = bytes.view()},
                       std::move(done));
    });
  }
  Result<PublishAck> publish(StreamId stream, const std::vector<std::string>& values) {
    return publish(stream, values, PublishOptions{});
  }

  // Begins a subscription; the subscriber lives with the life of the process.
  Result<Offset> subscribe(RecordingSubscriber& subscriber, Subscribe request) {
    if (request.credit_bytes == 0) request.credit_bytes = 1 << 20;
    auto started = call<SubscribeStarted>([&](Done<SubscribeStarted> done) {
      broker().subscribe({}, std::move(request), subscriber, std::move(done));
    });
    if (!started) return fail(started.error());
    subscriber.seed = model::batch_crc_seed(started->log_id);
    subscriber.next = started->first;
    subscriber.subscription = std::move(started->subscription);
    return started->first;
  }
  static Subscribe all_of(StreamId stream, uint32_t partition = 0) {
    return {.stream = stream,
            .partition = PartitionIndex(partition),
            .from = FromEarliest{},
            .until = UntilLatest{},
            .filter = {},
            .credit_bytes = 1 << 20,
            .deadline = MonotonicTime::never()};
  }
  // The values from earliest to latest.
  std::vector<std::string> read_all(StreamId stream, uint32_t partition = 0) {
    RecordingSubscriber subscriber;
    const auto started = subscribe(subscriber, all_of(stream, partition));
    EXPECT_TRUE(started.has_value()) << started.error().to_string();
    if (!started) return {};
    run_until([&] { return subscriber.ended.has_value(); });
    EXPECT_TRUE(subscriber.ended && subscriber.ended->complete);
    return subscriber.values();
  }

  BrokerOptions options;
  sim::Simulation sim;
  sim::Node& node;
};

}  // namespace bascule::broker

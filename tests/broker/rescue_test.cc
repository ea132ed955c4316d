#include "src/broker/rescue.h"

#include <gtest/gtest.h>

#include "capnp/command_codec.h"
#include "src/raft/raft.h"
#include "tests/broker/broker_harness.h"

namespace bascule::broker {
namespace {

const Uuid k_cluster{{1, 9}};

Uuid storage(uint32_t node) { return Uuid{{node, node + 100}}; }

// The directory of broker 3 of three voters, as it was left, and what is done with it offline.
class Directory {
 public:
  explicit Directory(BrokerHarness& h) : h_(h) { h_.options.controller.node = NodeId(3); }

  env::World& world() { return h_.node.world(); }
  void begin_life() {
    h_.node.start([](env::World&) { return std::make_unique<sim::Program>(); });
    h_.settle();
  }
  void end_life() {
    h_.node.exit();
    h_.settle();
  }
  template <class T, class F>
  Result<T> wait(F begin) {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    begin(env::Done<T>([answer](Result<T> r) { *answer = std::move(r); }));
    h_.run_until([&] { return answer->has_value(); });
    return std::move(**answer);
  }

  // A log of three voters: broker 3 is up and has a stream. Entry 1 is the configuration.
  void make() {
    raft::Configuration members;
    for (uint32_t n = 1; n <= 3; ++n)
      members.voters.push_back({{NodeId(n), storage(n)}, "n" + std::to_string(n) + ":9293"});
    raft::StoredState stored = raft::Raft::bootstrap(members);
    const auto add = [&](const controller::Command& c) {
      stored.entries.push_back({Term(4), raft::EntryKind::command, entry(c)});
    };
    controller::RegisterBroker r;
    r.node = NodeId(3);
    r.storage = storage(3);
    r.incarnation = Incarnation(1);
    add(r);
    add(controller::UnfenceBroker{NodeId(3), Incarnation(1)});
    add(controller::CreateStream{BrokerHarness::config("orders", 2), Uuid{{6, 7}}, WallTime{3}});
    stored.hard.term = Term(5);
    put("identity", controller::encode_identity({NodeId(3), storage(3), k_cluster}));
    put("incarnation",
        controller::encode_incarnation(storage(3), {Incarnation(1), false, Incarnation(1)}));
    const auto made = wait<void>([&](auto done) {
      raft::format_raft_store(world(), {}, storage(3), stored, std::move(done));
    });
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
    serve_once();
  }

  Result<Survivor> inspect() {
    return wait<Survivor>(
        [&](auto done) { inspect_survivor(world(), {}, codec_, std::move(done)); });
  }
  void begin_rescue(std::vector<NodeId> lost, env::Done<Uuid> done) {
    rescue(world(), {}, codec_, {std::move(lost), WallTime{8}}, std::move(done));
  }
  Result<Uuid> rescue_without(std::vector<NodeId> lost) {
    return wait<Uuid>([&](auto done) { begin_rescue(std::move(lost), std::move(done)); });
  }

 private:
  // It was up, so its logs have been served.
  void serve_once() {
    const auto opened = wait<std::unique_ptr<log::LogStore>>(
        [&](auto done) { log::open_log_store(world(), h_.options.logs, std::move(done)); });
    ASSERT_TRUE(opened.has_value());
    ASSERT_TRUE(
        wait<void>([&](auto done) { (*opened)->start_serving(std::move(done)); }).has_value());
    ASSERT_TRUE(wait<void>([&](auto done) { (*opened)->stop(std::move(done)); }).has_value());
  }
  void put(const std::string& name, const Bytes& bytes) {
    const auto put = wait<void>([&](auto done) {
      env::replace_file(world().disk, "", name, Slice::copy_of(bytes), std::move(done));
    });
    ASSERT_TRUE(put.has_value());
  }
  Slice entry(const controller::Command& command) {
    const Bytes bytes = *codec_.encode_command(command);
    Bytes out(16, 0);  // of nobody who waits
    out.insert(out.end(), bytes.begin(), bytes.end());
    return Slice::copy_of(out);
  }

  BrokerHarness& h_;
  capnp_codec::MetadataCodec codec_;
};

class RescueTest : public ::testing::Test {
 protected:
  RescueTest() {
    d_.begin_life();
    d_.make();
  }

  BrokerHarness h_;
  Directory d_{h_};
};

TEST_F(RescueTest, a_survivor_tells_how_far_it_knows_and_is_not_changed_by_that) {
  for (int i = 0; i < 2; ++i) {
    const auto survivor = d_.inspect();
    ASSERT_TRUE(survivor.has_value()) << survivor.error().to_string();
    EXPECT_EQ(survivor->identity.node, NodeId(3));
    EXPECT_EQ(survivor->identity.cluster, k_cluster);
    EXPECT_EQ(survivor->last_term, Term(4));
    EXPECT_EQ(survivor->last_index, Index(4));
    EXPECT_EQ(survivor->configuration.voters.size(), 3u);
    EXPECT_EQ(survivor->streams, 1u);
    EXPECT_EQ(survivor->partitions, 2u);
  }
}

TEST_F(RescueTest, the_rescued_one_goes_on_alone_with_all_that_it_knew_under_another_cluster_id) {
  const auto cluster = d_.rescue_without({NodeId(1), NodeId(2)});
  ASSERT_TRUE(cluster.has_value()) << cluster.error().to_string();
  EXPECT_NE(*cluster, k_cluster);
  d_.end_life();

  h_.start_well();
  EXPECT_EQ(h_.broker().identity().cluster, *cluster);
  EXPECT_EQ(h_.broker().identity().storage, storage(3));
  const controller::MetadataState& state = h_.broker().metadata().table().state();
  ASSERT_EQ(state.rescues.size(), 1u);
  EXPECT_EQ(state.rescues[0].last_known, Index(4));
  EXPECT_EQ(state.rescues[0].cluster_before, k_cluster);
  const StreamId stream = h_.broker().metadata().table().stream_named("orders")->id;
  ASSERT_TRUE(h_.publish(stream, {"a", "b"}).has_value());
  EXPECT_EQ(h_.read_all(stream), (std::vector<std::string>{"a", "b"}));
  const auto events = h_.call<EventsPage>([&](Done<EventsPage> done) {
    h_.broker().read_events({}, {EventsFromKept{}, 1000, {}, MonotonicTime{}}, std::move(done));
  });
  ASSERT_TRUE(events.has_value());
  EXPECT_TRUE(std::ranges::any_of(events->events, [](const model::Event& e) {
    return e.kind == model::EventKind::rescued && e.node == NodeId(3);
  }));
  // Ids and streams go on, and nothing is given twice.
  EXPECT_GT(h_.create_well(h_.config("next")), StreamId(1'000'000));
  h_.restart_after_kill();
  EXPECT_EQ(h_.read_all(stream), (std::vector<std::string>{"a", "b"}));
}

TEST_F(RescueTest, it_is_refused_while_a_majority_is_not_named_as_lost) {
  for (const std::vector<NodeId>& lost :
       {std::vector<NodeId>{NodeId(1)}, {}, {NodeId(1), NodeId(3)}, {NodeId(1), NodeId(7)}}) {
    const auto refused = d_.rescue_without(lost);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::invalid) << refused.error().to_string();
  }
  EXPECT_EQ(d_.inspect()->identity.cluster, k_cluster) << "nothing was changed";
}

TEST_F(RescueTest, it_is_refused_where_one_that_is_named_as_lost_answers) {
  sim::Node& other = h_.sim.add_node({.host = "n2", .disk = {}});
  std::unique_ptr<env::Listener> listener;
  other.start([](env::World&) { return std::make_unique<sim::Program>(); });
  h_.settle();
  other.world().network.listen(
      {"n2", 9293}, [](std::unique_ptr<env::Stream>) {},
      [&](Result<std::unique_ptr<env::Listener>> made) { listener = std::move(*made); });
  h_.settle();
  ASSERT_NE(listener, nullptr);
  const auto refused = d_.rescue_without({NodeId(1), NodeId(2)});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::busy);
  EXPECT_NE(refused.error().context.find("node 2 answers"), std::string::npos);
  listener.reset();
  other.exit();
  h_.settle();
  EXPECT_TRUE(d_.rescue_without({NodeId(1), NodeId(2)}).has_value());
}

TEST_F(RescueTest, a_damaged_directory_is_refused_and_left_as_it_is) {
  d_.end_life();
  sim::Storage& storage = h_.node.device().storage();
  for (const char* place : {"metadata/a/manifest", "metadata/b/manifest"}) {
    const auto inode = storage.find(place);
    ASSERT_TRUE(inode.has_value()) << place;
    storage.flip(*inode, 40, 1);
  }
  d_.begin_life();
  EXPECT_EQ(d_.inspect().error().code, Errc::corrupt);
  EXPECT_EQ(d_.rescue_without({NodeId(1), NodeId(2)}).error().code, Errc::corrupt);
}

TEST_F(RescueTest, another_survivor_forgets_its_cluster_and_keeps_who_it_is) {
  const auto let = d_.wait<void>([&](auto done) { let_rejoin(d_.world(), {}, std::move(done)); });
  ASSERT_TRUE(let.has_value()) << let.error().to_string();
  const auto file = d_.wait<Slice>(
      [&](auto done) { env::read_file(d_.world().disk, "identity", 1 << 20, std::move(done)); });
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(controller::decode_identity(*file), (controller::Identity{NodeId(3), storage(3), {}}));
  EXPECT_EQ(d_.inspect().error().code, Errc::invalid) << "it belongs to no cluster";
  // It is not started as if it were a cluster by itself.
  d_.end_life();
  const Status started = h_.start();
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().code, Errc::invalid) << started.error().to_string();
}

TEST(Rescue, one_that_is_cut_anywhere_is_finished_or_made_again) {
  for (uint64_t cut = 1; cut < 2000; cut += 1 + cut / 40) {
    BrokerHarness h(cut);
    Directory d(h);
    d.begin_life();
    d.make();
    auto ended = std::make_shared<bool>(false);
    d.begin_rescue({NodeId(1), NodeId(2)}, [ended](const Result<Uuid>&) { *ended = true; });
    for (uint64_t i = 0; i < cut && !*ended && h.sim.step(); ++i) {
    }
    const bool whole = *ended;
    if (cut % 2 == 0) {
      h.power_loss();
    } else {
      h.kill();
    }
    d.begin_life();
    const auto survivor = d.inspect();
    ASSERT_TRUE(survivor.has_value()) << "cut at " << cut << ": " << survivor.error().to_string();
    if (survivor->rescues.empty()) {
      ASSERT_FALSE(whole) << "cut at " << cut;
      ASSERT_TRUE(d.rescue_without({NodeId(1), NodeId(2)}).has_value()) << "cut at " << cut;
    } else {
      EXPECT_NE(survivor->identity.cluster, k_cluster) << "cut at " << cut;
    }
    d.end_life();
    h.start_well();
    ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "cut at " << cut;
    EXPECT_EQ(h.broker().metadata().table().state().rescues.size(), 1u) << "cut at " << cut;
    EXPECT_NE(h.broker().metadata().table().stream_named("orders"), nullptr);
    if (whole) return;
  }
  FAIL() << "it never ended";
}

}  // namespace
}  // namespace bascule::broker

#include "src/controller/controller.h"
#include "src/base/codec.h"
#include "src/base/crc32c.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "capnp/command_codec.h"
#include "sim/world/node.h"
#include "src/base/codec.h"
#include "src/base/crc32c.h"
#include "tests/controller/generators.h"

namespace bascule::controller {
namespace {

struct ControllerProgram final : sim::Program {
  explicit ControllerProgram(env::World& w) : world(w) {}
  env::World& world;
  std::optional<Error> error;
  std::unique_ptr<Controller> controller;
};

class Machine {
 public:
  explicit Machine(uint64_t seed) : sim(seed), node(&sim.add_node({})) {}

  bool start(NodeId id = NodeId(1)) {
    node->start([this, id](env::World& w) {
      auto p = std::make_unique<ControllerProgram>(w);
      ControllerOptions options = base;
      options.node = id;
      open_controller(w, options, codec, nullptr,
                      [program = p.get()](Result<std::unique_ptr<Controller>> r) {
                        if (r) {
                          program->controller = std::move(*r);
                        } else {
                          program->error = r.error();
                        }
                      });
      return p;
    });
    sim.run_until_true(sim.now() + seconds(60), [&] {
      return !node->alive() || program()->controller != nullptr || program()->error;
    });
    return node->alive() && program()->controller != nullptr;
  }
  ControllerProgram* program() { return static_cast<ControllerProgram*>(node->program()); }
  Controller& controller() { return *program()->controller; }

  template <class T, class F>
  Result<T> wait(F begin) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    begin(env::Done<T>([result](Result<T> r) { result->emplace(std::move(r)); }));
    sim.run_until_true(sim.now() + seconds(60), [&] { return result->has_value(); });
    if (!result->has_value()) return fail(Errc::internal, "never completed");
    return std::move(**result);
  }
  Result<Outcome> propose(Command c) {
    return wait<Outcome>([&](auto done) { controller().propose(std::move(c), std::move(done)); });
  }
  void join(std::vector<ReplicaReport> reports = {}) {
    auto incarnation = wait<Incarnation>(
        [&](auto done) { controller().register_broker(std::move(reports), std::move(done)); });
    ASSERT_TRUE(incarnation.has_value()) << incarnation.error().to_string();
    EXPECT_EQ(*incarnation, controller().incarnation());
    auto up = wait<void>([&](auto done) { controller().unfence(std::move(done)); });
    ASSERT_TRUE(up.has_value()) << up.error().to_string();
  }
  StreamId create(const std::string& name) {
    const auto outcome = propose(CreateStream{stream_config(name), Uuid{{1, 2}}, WallTime{3}});
    EXPECT_TRUE(outcome.has_value());
    return outcome ? std::get<CreateStreamOutcome>(*outcome).stream : StreamId{};
  }
  const PartitionEntry& partition(StreamId s) { return *controller().table().partition({s, {}}); }
  void stop() {
    ASSERT_TRUE(wait<void>([&](auto done) { controller().stop(std::move(done)); }).has_value());
    program()->controller.reset();
    node->exit();
  }

  sim::Simulation sim;
  sim::Node* node;
  capnp_codec::MetadataCodec codec;
  ControllerOptions base;
};

TEST(Controller, identity_is_made_once_and_the_metadata_outlives_every_end) {
  Machine m(1);
  ASSERT_TRUE(m.start());
  const Identity identity = m.controller().identity();
  m.join();
  const StreamId s = m.create("orders");
  for (int life = 0; life < 6; ++life) {
    const Uuid hash = m.controller().table().hash();
    if (life % 3 == 0) m.node->crash_machine();
    if (life % 3 == 1) m.node->crash_process();
    if (life % 3 == 2) m.stop();
    ASSERT_TRUE(m.start());
    EXPECT_EQ(m.controller().identity(), identity);
    EXPECT_EQ(m.controller().table().hash(), hash);
    EXPECT_EQ(m.controller().table().stream_named("orders")->id, s);
    m.join();
  }
}

TEST(Controller, each_start_raises_incarnation_and_epoch_by_the_registration_alone) {
  Machine m(2);
  ASSERT_TRUE(m.start());
  m.join();
  const StreamId s = m.create("orders");
  Incarnation last = m.controller().incarnation();
  Epoch epoch = m.partition(s).epoch;
  for (int life = 0; life < 3; ++life) {
    m.node->crash_process();
    ASSERT_TRUE(m.start());
    EXPECT_EQ(m.controller().incarnation(), Incarnation(0));
    EXPECT_EQ(m.partition(s).epoch, epoch) << "an opening changes nothing";
    m.join();
    EXPECT_GT(m.controller().incarnation(), last);
    EXPECT_GT(m.partition(s).epoch, epoch);
    EXPECT_EQ(m.partition(s).leader_incarnation, m.controller().incarnation());
    last = m.controller().incarnation();
    epoch = m.partition(s).epoch;
  }
}

TEST(Controller,
     an_incarnation_once_persisted_is_never_used_again_though_its_life_died_before_registering) {
  Machine m(3);
  ASSERT_TRUE(m.start());
  m.join();
  std::set<Incarnation> seen{m.controller().incarnation()};
  for (uint64_t cut = 1; cut < 60; ++cut) {
    m.node->crash_process();
    ASSERT_TRUE(m.start());
    m.controller().register_broker({}, [](Result<Incarnation>) {});
    for (uint64_t i = 0; i < cut; ++i) m.sim.step();
    m.node->crash_machine();
    ASSERT_TRUE(m.start());
    m.join();
    EXPECT_TRUE(seen.insert(m.controller().incarnation()).second);
  }
}

TEST(Controller, a_disk_that_remembers_less_than_the_metadata_registers_as_rolled_back) {
  Machine m(4);
  ASSERT_TRUE(m.start());
  m.join();
  const StreamId s = m.create("orders");
  m.node->crash_machine();
  ASSERT_TRUE(m.start());
  m.join();
  // The incarnation file comes from an older copy of the disk.
  const Bytes old = encode_incarnation(m.controller().identity().storage, {Incarnation(1), false});
  auto put = m.wait<void>([&](auto done) {
    env::replace_file(m.node->world().disk, "", "incarnation", Slice::copy_of(old),
                      std::move(done));
  });
  ASSERT_TRUE(put.has_value());
  m.node->crash_machine();
  ASSERT_TRUE(m.start());
  m.join();
  EXPECT_TRUE(m.partition(s).data_lost);
  EXPECT_FALSE(m.partition(s).leader);
  EXPECT_GT(m.controller().incarnation(), Incarnation(2));
  // Told once: the next registration is an ordinary one.
  auto elected =
      m.propose(ElectUnclean{m.partition(s).id, m.partition(s).epoch, NodeId(1), WallTime{1}});
  ASSERT_TRUE(elected.has_value());
  m.node->crash_machine();
  ASSERT_TRUE(m.start());
  m.join();
  EXPECT_FALSE(m.partition(s).data_lost);
  EXPECT_EQ(m.partition(s).leader, NodeId(1));
}

TEST(Controller, lives_that_never_registered_do_not_hide_that_a_disk_was_rolled_back) {
  Machine m(4);
  ASSERT_TRUE(m.start());
  m.join();
  const StreamId s = m.create("orders");
  const Bytes old = encode_incarnation(m.controller().identity().storage,
                                       {Incarnation(1), false, Incarnation(1)});
  for (int life = 2; life <= 3; ++life) {
    m.node->crash_machine();
    ASSERT_TRUE(m.start());
    m.join();
  }
  EXPECT_TRUE(m.partition(s).leader);
  auto put = m.wait<void>([&](auto done) {
    env::replace_file(m.node->world().disk, "", "incarnation", Slice::copy_of(old),
                      std::move(done));
  });
  ASSERT_TRUE(put.has_value());
  // Each of these has a number of its own, and some are above what is registered.
  for (int life = 0; life < 4; ++life) {
    m.node->crash_machine();
    ASSERT_TRUE(m.start());
  }
  m.join();
  EXPECT_TRUE(m.partition(s).data_lost);
  EXPECT_GT(m.controller().incarnation(), Incarnation(3));
}

TEST(Controller, an_incarnation_of_the_format_before_counts_as_registered) {
  const Uuid storage{{3, 4}};
  Bytes file = encode_incarnation(storage, {Incarnation(7), true, Incarnation(5)});
  EXPECT_EQ(decode_incarnation(storage, file)->registered, Incarnation(5));
  for (const size_t at : {size_t{0}, size_t{4096}}) {
    store_le<uint32_t>(file.data() + at + 8, 1);
    store_le<uint32_t>(file.data() + at + 60, crc32c(ByteView(file).subspan(at, 60)));
  }
  const auto before = decode_incarnation(storage, file);
  ASSERT_TRUE(before.has_value());
  EXPECT_EQ(*before, (PersistedIncarnation{Incarnation(7), true, Incarnation(7)}));
}

struct Told final : MetadataObserver {
  void metadata_changed(Index index, const std::vector<Change>& changes) override {
    EXPECT_GT(index, last);
    last = index;
    told += changes.size();
  }
  Index last;
  size_t told = 0;
};

TEST(Controller, observers_are_told_of_each_change_in_order_after_the_proposer) {
  Machine m(5);
  ASSERT_TRUE(m.start());
  m.join();
  Told observer;
  m.controller().observe(observer);
  size_t told_at_completion = 99;
  m.controller().propose(CreateStream{stream_config("a"), Uuid{{1, 2}}, WallTime{3}},
                         [&](Result<Outcome>) { told_at_completion = observer.told; });
  m.create("b");
  m.sim.run_until(m.sim.now() + milliseconds(1));
  EXPECT_EQ(told_at_completion, 0u);
  EXPECT_EQ(observer.told, 4u) << "two streams, two partitions";
  m.controller().forget_observer(observer);
  m.create("c");
  m.sim.run_until(m.sim.now() + milliseconds(1));
  EXPECT_EQ(observer.told, 4u);
}

TEST(Controller, refusals_come_back_as_errors_and_the_queue_is_bounded) {
  Machine m(6);
  m.base.queued_commands_max = 4;
  ASSERT_TRUE(m.start());
  m.join();
  const auto refused = m.propose(DeleteStream{StreamId(99)});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::unknown_stream);
  std::vector<Errc> codes;
  for (int i = 0; i < 7; ++i) {
    m.controller().propose(DeleteStream{StreamId(99)}, [&](Result<Outcome> r) {
      codes.push_back(r ? Errc::internal : r.error().code);
    });
  }
  EXPECT_TRUE(codes.empty()) << "never from inside the call";
  m.sim.run_until(m.sim.now() + milliseconds(10));
  EXPECT_EQ(std::ranges::count(codes, Errc::overloaded), 3);
  EXPECT_EQ(std::ranges::count(codes, Errc::unknown_stream), 4);
}

TEST(Controller, a_stop_completes_what_was_begun_and_refuses_the_rest) {
  Machine m(7);
  ASSERT_TRUE(m.start());
  m.join();
  std::vector<std::optional<Errc>> answers;
  const auto keep = [&](Result<Outcome> r) {
    answers.push_back(r ? std::nullopt : std::optional(r.error().code));
  };
  m.controller().propose(CreateStream{stream_config("a"), Uuid{{1, 2}}, WallTime{3}}, keep);
  m.sim.run_until(m.sim.now() + microseconds(40));  // its group is being written
  bool stopped = false;
  m.controller().stop([&](Status) {
    stopped = true;
    EXPECT_EQ(answers.size(), 2u);
  });
  m.controller().propose(DeleteStream{StreamId(1)}, keep);
  m.sim.run_until_true(m.sim.now() + seconds(1), [&] { return stopped; });
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(std::ranges::count(answers, std::optional(Errc::stopping)), 1);
  m.node->exit();
  ASSERT_TRUE(m.start());
  EXPECT_NE(m.controller().table().stream_named("a"), nullptr);
}

TEST(Controller, snapshots_bound_the_log_and_give_the_same_table) {
  Machine m(8);
  m.base.snapshot_entries = 16;
  ASSERT_TRUE(m.start());
  m.join();
  for (int i = 0; i < 100; ++i) m.create("s" + std::to_string(i));
  m.sim.run_until(m.sim.now() + milliseconds(50));
  EXPECT_GE(m.sim.counts().find("controller.snapshot")->second, 5u);
  const Uuid hash = m.controller().table().hash();
  m.node->crash_machine();
  ASSERT_TRUE(m.start());
  EXPECT_EQ(m.controller().table().hash(), hash);
  EXPECT_EQ(m.controller().table().state().streams.size(), 100u);
}

// --- What a start refuses --------------------------------------------------------------------------

TEST(Controller, a_directory_of_another_node_id_is_invalid) {
  Machine m(9);
  ASSERT_TRUE(m.start());
  m.node->crash_process();
  EXPECT_FALSE(m.start(NodeId(2)));
  EXPECT_EQ(m.program()->error->code, Errc::invalid);
}

TEST(Controller, a_lost_identity_metadata_or_incarnation_is_corrupt_and_never_formatted_over) {
  for (const std::string lost : {"identity", "incarnation", "metadata"}) {
    Machine m(10);
    ASSERT_TRUE(m.start());
    m.join();
    m.create("orders");
    m.stop();
    sim::Storage& storage = m.node->device().storage();
    if (lost == "metadata") {
      ASSERT_TRUE(storage.lose_directory("metadata").has_value());
    } else {
      ASSERT_TRUE(storage.remove(lost).has_value());
    }
    EXPECT_FALSE(m.start()) << lost;
    ASSERT_TRUE(m.program()->error.has_value()) << lost;
    EXPECT_EQ(m.program()->error->code, Errc::corrupt) << lost;
  }
}

TEST(Controller, directories_without_an_identity_are_not_formatted) {
  Machine m(11);
  ASSERT_TRUE(m.node->device().storage().make_dir("logs").has_value());
  EXPECT_FALSE(m.start());
  EXPECT_EQ(m.program()->error->code, Errc::corrupt);
}

TEST(Controller, one_rotten_record_of_the_identity_is_survived_and_two_are_corrupt) {
  for (const std::string name : {"identity", "incarnation"}) {
    Machine m(12);
    ASSERT_TRUE(m.start());
    m.join();
    m.node->crash_process();
    sim::Storage& storage = m.node->device().storage();
    storage.flip(*storage.find(name), 20, 1);
    ASSERT_TRUE(m.start()) << name;
    m.node->crash_process();
    storage.flip(*storage.find(name), 4096 + 20, 1);
    // Every start writes the incarnation anew.
    if (name == "incarnation") storage.flip(*storage.find(name), 20, 1);
    EXPECT_FALSE(m.start());
    EXPECT_EQ(m.program()->error->code, Errc::corrupt);
  }
}

TEST(Controller, formatting_that_is_cut_at_any_event_begins_anew_or_is_complete) {
  for (uint64_t cut = 1; cut < 400; ++cut) {
    Machine m(cut);
    m.node->start([&](env::World& w) {
      auto p = std::make_unique<ControllerProgram>(w);
      open_controller(w, m.base, m.codec, nullptr,
                      [program = p.get()](Result<std::unique_ptr<Controller>> r) {
                        if (r) program->controller = std::move(*r);
                      });
      return p;
    });
    for (uint64_t i = 0; i < cut && m.sim.step(); ++i) {
      if (m.program()->controller != nullptr) break;
    }
    const bool opened = m.program()->controller != nullptr;
    if (cut % 2 == 0) {
      m.node->crash_machine();
    } else {
      m.node->crash_process();
    }
    ASSERT_TRUE(m.start()) << "cut at " << cut << ": " << m.program()->error->to_string();
    m.join();
    if (opened) return;
  }
  FAIL() << "formatting never ended";
}

}  // namespace
}  // namespace bascule::controller

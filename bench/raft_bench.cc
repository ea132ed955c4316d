// Raft without a disk or a network of this machine's.
//
// step: three machines in memory, whose outputs are performed at once: what a command costs the machine
// alone, from propose to applied by all. The argument is the commands of one turn.
// propose_to_commit: three members of world `raft` on simulated disks and streams, healthy. The argument is
// the commands in flight. Time is the processor's; `sim_p50_us` and `sim_p99_us` are in virtual time, with
// the simulator's latencies (a synced write 110 us, a packet 150 us), so they compare designs, not machines.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "sim/world/life.h"
#include "sim/worlds/raft/raft_program.h"

namespace bascule {
namespace {

raft::MemberId member(uint32_t node) { return {NodeId(node), Uuid{{node, node}}}; }

raft::Configuration three() {
  raft::Configuration out;
  for (uint32_t i = 1; i <= 3; ++i)
    out.voters.push_back({member(i), "n" + std::to_string(i) + ":7000"});
  return out;
}

class Machines {
 public:
  Machines() {
    for (uint32_t i = 1; i <= 3; ++i) {
      raft::StoredState stored = raft::Raft::bootstrap(three());
      stored.incarnation = Incarnation(1);
      machines_.emplace_back(member(i), raft::RaftOptions{}, std::move(stored), now_, Prng(i));
    }
    while (machines_[0].role() != raft::Role::leader) {
      now_ = now_ + milliseconds(1);
      machines_[0].tick(now_);
      settle();
    }
  }

  void propose(size_t commands, const Slice& command) {
    for (size_t i = 0; i < commands; ++i) (void)machines_[0].propose(command);
    settle();
    // Followers hear of the commit with what comes next.
    if (applied_ - compacted_ > 10'000) compact();
  }
  uint64_t applied() const { return applied_; }
  uint64_t messages() const { return messages_; }

 private:
  void settle() {
    for (bool more = true; more;) {
      more = false;
      for (raft::Raft& machine : machines_) {
        raft::Output out = machine.take_output();
        if (out.persist_id != 0) machine.persisted(now_, out.persist_id);
        more = more || !out.empty();
        if (&machine == &machines_[0]) applied_ += out.apply.size();
        for (auto* messages : {&out.now, &out.after_persist}) {
          for (raft::Message& message : *messages) {
            ++messages_;
            machines_[message.to.node.value - 1].step(now_, std::move(message));
          }
        }
      }
    }
  }

  void compact() {
    for (raft::Raft& machine : machines_)
      machine.compact({{machine.applied(), *machine.term_at(machine.applied()), three()}, {}});
    compacted_ = applied_;
  }

  MonotonicTime now_;
  std::vector<raft::Raft> machines_;
  uint64_t applied_ = 0;
  uint64_t compacted_ = 0;
  uint64_t messages_ = 0;
};

void step(benchmark::State& state) {
  Machines machines;
  const auto commands = static_cast<size_t>(state.range(0));
  const Slice command = Slice::copy_of(Bytes(128, 'c'));
  const uint64_t before = machines.applied();
  for (auto _ : state) machines.propose(commands, command);
  const auto applied = static_cast<double>(machines.applied() - before);
  state.counters["commands"] = benchmark::Counter(applied, benchmark::Counter::kIsRate);
  state.counters["messages"] =
      benchmark::Counter(static_cast<double>(machines.messages()), benchmark::Counter::kIsRate);
}
BENCHMARK(step)->Arg(1)->Arg(64);

class Cluster final : public sim::RaftWatcher {
 public:
  Cluster() {
    for (uint32_t i = 1; i <= 3; ++i) {
      sim::NodeOptions options;
      options.host = "n" + std::to_string(i);
      sim_.add_node(options);
    }
    for (size_t i = 0; i < 3; ++i) {
      sim::Node& node = sim_.node(i);
      node.start([&](env::World& world) {
        return std::make_unique<sim::RaftProgram>(node, world, setup_, *this, i);
      });
    }
    sim_.run_until_true(seconds(10), [this] { return leader() != nullptr; });
    sim_.run_until(sim_.now() + seconds(1));
  }
  ~Cluster() override {
    for (size_t i = 0; i < 3; ++i) sim_.node(i).shut_down();
  }

  // `count` more are committed, `in_flight` at a time.
  void commit(size_t count, size_t in_flight) {
    const size_t goal = latencies_us.size() + count;
    for (size_t i = 0; i < in_flight; ++i) propose();
    sim_.run_until_true(sim_.now() + seconds(3600), [&] { return latencies_us.size() >= goal; });
    more_ = false;
    sim_.run_until(sim_.now() + milliseconds(50));
    more_ = true;
  }

  std::vector<double> latencies_us;

 private:
  std::optional<sim::Founding> founding(NodeId node) override {
    return sim::Founding{member(node.value).storage, three()};
  }
  void applied(sim::RaftProgram&, Index, Index, Term, raft::EntryKind, ByteView) override {}

  sim::RaftProgram* leader() {
    for (size_t i = 0; i < 3; ++i) {
      auto* program = static_cast<sim::RaftProgram*>(sim_.node(i).program());
      if (program != nullptr && program->driver() != nullptr && program->driver()->leads())
        return program;
    }
    return nullptr;
  }

  void propose() {
    sim::RaftProgram* program = leader();
    program->node().life().arrive(program->heard([this, program] {
      const Duration begin = sim_.now();
      program->driver()->propose(command_, program->heard([this, begin](const Result<Index>& done) {
        if (done) latencies_us.push_back(static_cast<double>((sim_.now() - begin).ns) / 1e3);
        if (more_) propose();
      }));
    }));
  }

  sim::Simulation sim_{1};
  sim::RaftSetup setup_;
  Slice command_ = sim::make_command(1, 120);
  bool more_ = true;
};

void propose_to_commit(benchmark::State& state) {
  Cluster cluster;
  constexpr size_t k_commands = 1000;
  for (auto _ : state) cluster.commit(k_commands, static_cast<size_t>(state.range(0)));
  std::vector<double>& all = cluster.latencies_us;
  std::ranges::sort(all);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * k_commands));
  if (all.empty()) return state.SkipWithError("nothing was committed");
  state.counters["sim_p50_us"] = all[all.size() / 2];
  state.counters["sim_p99_us"] = all[all.size() * 99 / 100];
}
BENCHMARK(propose_to_commit)->Arg(1)->Arg(16)->Arg(256)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace bascule

BENCHMARK_MAIN();

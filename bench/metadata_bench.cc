// The metadata of 10,000 partitions with 3 replicas: what its commands and its snapshot cost.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <utility>

#include "capnp/command_codec.h"
#include "src/base/prng.h"
#include "src/controller/metadata_table.h"

namespace {

using namespace bascule;
using namespace bascule::controller;

RegisterBroker registration(const MetadataTable& table, uint32_t node) {
  RegisterBroker r;
  r.node = NodeId(node);
  r.storage = Uuid{{9, node}};
  r.replaces = table.recorded_incarnation(r.node);
  r.incarnation = r.replaces.next();
  r.host = "host-" + std::to_string(node);
  return r;
}

void start(MetadataTable& table, uint32_t node) {
  (void)table.apply(table.applied().next(), registration(table, node));
  (void)table.apply(table.applied().next(),
                    UnfenceBroker{NodeId(node), table.recorded_incarnation(NodeId(node))});
}

MetadataTable cluster(uint32_t streams) {
  MetadataTable table(Uuid{{1, 1}});
  for (uint32_t n = 1; n <= 3; ++n) start(table, n);
  Prng random(1);
  for (uint32_t i = 0; i < streams; ++i) {
    CreateStream c;
    c.config.name = "stream-" + std::to_string(i);
    c.config.subjects = {c.config.name + ".*"};
    c.config.partitions = 10;
    c.config.replicas = 3;
    c.config.min_isr = 2;
    c.config.answers = model::AnswerMode::off;
    c.log_seed = random.uuid();
    if (!table.apply(table.applied().next(), c).outcome) std::abort();
  }
  return table;
}

void snapshot_encode(benchmark::State& state) {
  const MetadataTable table = cluster(1000);
  const capnp_codec::MetadataCodec codec;
  size_t bytes = 0;
  for (auto _ : state) bytes = codec.encode_snapshot(table.state())->size();
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(snapshot_encode)->Unit(benchmark::kMillisecond);

void snapshot_decode_and_restore(benchmark::State& state) {
  const capnp_codec::MetadataCodec codec;
  const Bytes bytes = *codec.encode_snapshot(cluster(1000).state());
  for (auto _ : state) {
    auto table = MetadataTable::restore(*codec.decode_snapshot(bytes));
    benchmark::DoNotOptimize(table);
  }
}
BENCHMARK(snapshot_decode_and_restore)->Unit(benchmark::kMillisecond);

// One broker leads all: the others were fenced, and it comes back after its death.
void registration_of_a_broker_that_led_all(benchmark::State& state) {
  MetadataTable table = cluster(1000);
  for (auto _ : state) {
    state.PauseTiming();
    for (const uint32_t n : {2u, 3u}) {
      (void)table.apply(table.applied().next(),
                        FenceBrokers{{{NodeId(n), table.recorded_incarnation(NodeId(n))}}});
    }
    if (table.led_by(NodeId(1)) != 10'000) std::abort();
    const RegisterBroker r = registration(table, 1);
    state.ResumeTiming();
    benchmark::DoNotOptimize(table.apply(table.applied().next(), r));
    state.PauseTiming();
    for (const uint32_t n : {1u, 2u, 3u}) {
      (void)table.apply(table.applied().next(),
                        UnfenceBroker{NodeId(n), table.recorded_incarnation(NodeId(n))});
    }
    state.ResumeTiming();
  }
}
BENCHMARK(registration_of_a_broker_that_led_all)->Unit(benchmark::kMillisecond);

void create_and_delete_a_stream(benchmark::State& state) {
  MetadataTable table = cluster(1000);
  CreateStream c;
  c.config.name = "one-more";
  c.config.subjects = {"one.more"};
  c.config.replicas = 3;
  c.config.min_isr = 2;
  c.config.answers = model::AnswerMode::off;
  c.log_seed = Uuid{{4, 4}};
  for (auto _ : state) {
    const Applied made = table.apply(table.applied().next(), c);
    (void)table.apply(table.applied().next(),
                      DeleteStream{std::get<CreateStreamOutcome>(*made.outcome).stream});
  }
  state.SetItemsProcessed(2 * static_cast<int64_t>(state.iterations()));
}
BENCHMARK(create_and_delete_a_stream);

void allocate_producer_ids(benchmark::State& state) {
  MetadataTable table = cluster(10);
  const AllocateProducerIds c{NodeId(1), table.recorded_incarnation(NodeId(1)), 1000};
  for (auto _ : state) benchmark::DoNotOptimize(table.apply(table.applied().next(), c));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(allocate_producer_ids);

}  // namespace

BENCHMARK_MAIN();

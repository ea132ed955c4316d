// What a NATS message costs on its way through the broker: reading it, finding who wants it, writing it
// out, recording it. Items are messages.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "src/base/prng.h"
#include "src/model/record.h"
#include "src/nats/output.h"
#include "src/nats/parser.h"
#include "src/nats/router.h"
#include "src/nats/subject_index.h"

namespace bascule::nats {
namespace {

std::string some_pubs(size_t payload_bytes) {
  std::string out;
  const std::string payload(payload_bytes, 'x');
  for (int i = 0; out.size() + payload_bytes + 64 < (64 << 10) || i == 0; ++i)
    out += "PUB orders.eu." + std::to_string(i % 10) + " " + std::to_string(payload_bytes) +
           "\r\n" + payload + "\r\n";
  return out;
}

// One buffer of messages, as a read gives it.
void parse_pub(benchmark::State& state) {
  const std::string bytes = some_pubs(static_cast<size_t>(state.range(0)));
  Parser parser({});
  int64_t messages = 0;
  for (auto _ : state) {
    ByteView rest = as_bytes(bytes);
    Command command;
    while (!rest.empty()) {
      const Parser::Step step = parser.parse(rest, command);
      benchmark::DoNotOptimize(command);
      rest = rest.subspan(step.consumed);
      ++messages;
    }
  }
  state.SetItemsProcessed(messages);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes.size()));
}
BENCHMARK(parse_pub)->Arg(16)->Arg(128)->Arg(1024)->Arg(16384);

struct Sink final : Receiver {
  Output out;
  bool receives() const override { return true; }
  bool echo() const override { return true; }
  void deliver(const Subscription& subscription, const Message& message) override {
    out.append(message.subject);
    out.append(subscription.sid);
    out.append(message.payload);
    out.append("\r\n");
    if (out.bytes() > (64 << 10)) benchmark::DoNotOptimize(out.take());
  }
  void exhausted(Subscription&) override {}
};

// `range(0)` subscriptions on subjects of three tokens, one in ten with a wildcard.
std::vector<std::string> some_filters(int64_t count) {
  Prng random(1);
  std::vector<std::string> out;
  for (int64_t i = 0; i < count; ++i) {
    std::string filter = "svc." + std::to_string(random.below(1000)) + ".";
    filter += random.chance(1, 10) ? "*" : std::to_string(random.below(100));
    out.push_back(filter);
  }
  return out;
}

std::vector<std::string> some_subjects(size_t count) {
  Prng random(2);
  std::vector<std::string> out;
  for (size_t i = 0; i < count; ++i)
    out.push_back("svc." + std::to_string(random.below(1000)) + "." +
                  std::to_string(random.below(100)));
  return out;
}

void index_match(benchmark::State& state) {
  SubjectIndex<int> index;
  int n = 0;
  for (const std::string& filter : some_filters(state.range(0))) index.insert(filter, n++);
  const std::vector<std::string> subjects = some_subjects(4096);
  size_t i = 0;
  for (auto _ : state) {
    index.match(subjects[i++ % subjects.size()],
                [](int value) { benchmark::DoNotOptimize(value); });
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(index_match)->Arg(100)->Arg(10'000)->Arg(100'000);

void index_insert_remove(benchmark::State& state) {
  SubjectIndex<int> index;
  int n = 0;
  for (const std::string& filter : some_filters(state.range(0))) index.insert(filter, n++);
  const std::vector<std::string> subjects = some_subjects(4096);
  size_t i = 0;
  for (auto _ : state) {
    const std::string& subject = subjects[i++ % subjects.size()];
    index.insert(subject, -1);
    benchmark::DoNotOptimize(index.remove(subject, -1));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(index_insert_remove)->Arg(10'000);

// To `range(1)` subscribers of each subject; `range(0)` subjects in turn (the cache has 4,096 places).
void route_and_write(benchmark::State& state) {
  Router router(1);
  Sink sink;
  std::vector<Subscription> subscriptions(static_cast<size_t>(state.range(1)));
  for (Subscription& subscription : subscriptions) {
    subscription.receiver = &sink;
    subscription.subject = "svc.>";
    subscription.sid = "1";
    router.add(subscription);
  }
  const std::vector<std::string> subjects = some_subjects(static_cast<size_t>(state.range(0)));
  const std::string payload(128, 'x');
  size_t i = 0;
  for (auto _ : state) {
    Message message;
    message.subject = subjects[i++ % subjects.size()];
    message.payload = as_bytes(payload);
    benchmark::DoNotOptimize(router.publish(message, nullptr));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(route_and_write)->Args({10, 0})->Args({10, 1})->Args({10, 10})->Args({50'000, 1});

// A message into the batch that is recorded.
void gather(benchmark::State& state) {
  model::BatchBuilder builder;
  const std::string payload(static_cast<size_t>(state.range(0)), 'x');
  model::RecordView record;
  record.subject = "orders.eu.1";
  record.value = payload;
  for (auto _ : state) {
    if (!builder.add(record) || builder.bytes() > (256 << 10))
      benchmark::DoNotOptimize(builder.finish());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(gather)->Arg(128)->Arg(1024);

}  // namespace
}  // namespace bascule::nats

BENCHMARK_MAIN();

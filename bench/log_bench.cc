// What the log gives on the disk below the build directory: appends until durable, by record size, batch
// size and number of busy partitions, and reading back from the files.
//
// append: arguments are bytes of a record's value, KiB of a batch, partitions; two batches per partition
// are under way at any time. Latency is from append to durable.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <vector>

#include "io/asio_loop.h"
#include "io/entropy.h"
#include "io/make_disk.h"
#include "src/env/network.h"
#include "src/log/log_store.h"
#include "src/model/record.h"

namespace bascule {
namespace {

constexpr Duration k_patience = seconds(120);

class NoNetwork final : public env::Network {
 public:
  void listen(env::Address, Accept, env::Done<std::unique_ptr<env::Listener>>) override {}
  void connect(env::Address, Duration, env::Done<std::unique_ptr<env::Stream>>) override {}
};

BufferRef batch_of(size_t value_bytes, size_t batch_bytes) {
  model::BatchBuilder builder;
  model::Record record;
  record.subject = "bench.a";
  record.value = std::string(value_bytes, 'v');
  while (builder.bytes() + value_bytes + 64 < batch_bytes)
    if (!builder.add(model::view_of(record))) break;
  return builder.finish();
}

class Bench {
 public:
  explicit Bench(size_t partitions, log::LogStoreOptions options) : random_(io::random_seed()) {
    directory_ = (std::filesystem::current_path() / "log_bench").string();
    directory_ += std::to_string(random_.next());
    auto made = io::make_disk(loop_, directory_, io::DiskChoice::automatic);
    if (!made) return;
    disk_ = std::move(made->disk);
    world_ = std::make_unique<env::World>(env::World{loop_, *disk_, network_, random_, tracer_});
    log::open_log_store(*world_, options, [this](auto r) {
      if (r) store_ = std::move(*r);
    });
    if (!loop_.run_until([this] { return store_ != nullptr; }, k_patience)) return;
    for (size_t i = 0; i < partitions; ++i) {
      log::LogOptions o;
      o.partition = {StreamId(1), PartitionIndex(static_cast<uint32_t>(i))};
      o.assignment = AssignmentId(1);
      o.log_id = random_.uuid();
      store_->open_log(o, [this](auto r) {
        if (r) logs_.push_back(std::move(*r));
      });
    }
    if (!loop_.run_until([&] { return logs_.size() == partitions; }, k_patience)) return;
    store_->start_serving([this](Status s) { ready_ = s.has_value(); });
    loop_.run_until([this] { return ready_; }, k_patience);
  }
  ~Bench() {
    logs_.clear();
    store_.reset();
    disk_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  bool ready() const { return ready_; }
  std::string kind() const { return std::string(disk_->kind()); }
  log::Log& log(size_t i) { return *logs_[i]; }
  io::AsioLoop& loop() { return loop_; }

  void append(size_t i, const BufferRef& batch, env::Task done) {
    log::Log& to = *logs_[i];
    auto header = *model::decode_batch_header(batch.view(), 0);
    auto go = [this, &to, header, batch, done = std::move(done)](Status room) mutable {
      if (!room) return fail_with(room.error());
      header.base_offset = to.leo();
      header.epoch = Epoch(1);
      header.append_time = std::max(to.last_append_time(), loop_.wall());
      const auto appended = to.append(header, batch.view().subspan(limits::k_batch_header_bytes));
      to.durable(appended.ticket, [done = std::move(done)](Status) mutable { done(); });
    };
    if (to.has_space(header.total_bytes)) {
      go({});
    } else {
      to.make_space(header.total_bytes, std::move(go));
    }
  }
  // Keeps `depth` batches under way on each log until `total` are durable.
  void run(const BufferRef& batch, size_t depth, uint64_t total, std::vector<double>& micros) {
    left_ = total;
    under_way_ = 0;
    loop_.post([this, &batch, depth, &micros] {
      for (size_t d = 0; d < depth; ++d)
        for (size_t i = 0; i < logs_.size(); ++i) next(i, batch, micros);
    });
    loop_.run_until([this] { return (left_ == 0 && under_way_ == 0) || failed_; }, k_patience);
  }
  bool failed() const { return failed_; }

 private:
  void next(size_t i, const BufferRef& batch, std::vector<double>& micros) {
    if (left_ == 0 || failed_) return;
    --left_;
    ++under_way_;
    const auto start = std::chrono::steady_clock::now();
    append(i, batch, [this, i, &batch, &micros, start] {
      --under_way_;
      micros.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
              .count());
      next(i, batch, micros);
    });
  }
  void fail_with(const Error&) { failed_ = true; }

  std::string directory_;
  io::AsioLoop loop_;
  NoNetwork network_;
  NullTracer tracer_;
  Prng random_;
  std::unique_ptr<env::Disk> disk_;
  std::unique_ptr<env::World> world_;
  std::unique_ptr<log::LogStore> store_;
  std::vector<std::unique_ptr<log::Log>> logs_;
  bool ready_ = false;
  bool failed_ = false;
  uint64_t left_ = 0;
  uint64_t under_way_ = 0;
};

double at_quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  const auto at = static_cast<size_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return values[at];
}

void append_durably(benchmark::State& state) {
  const auto value_bytes = static_cast<size_t>(state.range(0));
  const auto batch_bytes = static_cast<size_t>(state.range(1)) << 10;
  const auto partitions = static_cast<size_t>(state.range(2));
  log::LogStoreOptions options;
  if (partitions >= 1000) options.tail_bytes_max = 256 << 10;
  Bench bench(partitions, options);
  if (!bench.ready()) return state.SkipWithError("no store");
  const BufferRef batch = batch_of(value_bytes, batch_bytes);
  const auto records = model::decode_batch_header(batch.view(), 0)->record_count;
  const uint64_t total = std::max<uint64_t>(2 * partitions, (uint64_t{256} << 20) / batch_bytes);
  std::vector<double> micros;
  uint64_t batches = 0;
  for (auto _ : state) {
    bench.run(batch, partitions == 1 ? 8 : 2, total, micros);
    if (bench.failed()) return state.SkipWithError("the disk is full");
    batches += total;
  }
  state.SetBytesProcessed(static_cast<int64_t>(batches * records * value_bytes));
  state.counters["records/s"] =
      benchmark::Counter(static_cast<double>(batches * records), benchmark::Counter::kIsRate);
  state.counters["p50_us"] = at_quantile(micros, 0.5);
  state.counters["p99_us"] = at_quantile(micros, 0.99);
  state.SetLabel(bench.kind());
}
BENCHMARK(append_durably)
    ->ArgNames({"value", "batch_kib", "partitions"})
    ->Args({128, 64, 1})
    ->Args({128, 256, 1})
    ->Args({1024, 64, 1})
    ->Args({1024, 256, 1})
    ->Args({1024, 64, 100})
    ->Args({1024, 256, 100})
    ->Args({1024, 64, 1000})
    ->Iterations(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// One small batch at a time: the price of a durable acknowledgement.
void one_small_batch(benchmark::State& state) {
  Bench bench(1, {});
  if (!bench.ready()) return state.SkipWithError("no store");
  const BufferRef batch = batch_of(128, 300);
  std::vector<double> micros;
  for (auto _ : state) bench.run(batch, 1, 1, micros);
  state.counters["p50_us"] = at_quantile(micros, 0.5);
  state.counters["p99_us"] = at_quantile(micros, 0.99);
  state.SetLabel(bench.kind());
}
BENCHMARK(one_small_batch)->Iterations(3000)->Unit(benchmark::kMicrosecond)->UseRealTime();

// Reads everything back, 1 MiB at a time, from the files (their pages are in the cache).
void replay(benchmark::State& state) {
  log::LogStoreOptions options;
  options.tail_bytes_max = 0;
  Bench bench(1, options);
  if (!bench.ready()) return state.SkipWithError("no store");
  const auto value_bytes = static_cast<size_t>(state.range(0));
  const BufferRef batch = batch_of(value_bytes, 256 << 10);
  std::vector<double> micros;
  bench.run(batch, 8, 1024, micros);
  log::Log& from = bench.log(0);
  uint64_t bytes = 0;
  for (auto _ : state) {
    Offset at;
    bool ended = false;
    std::function<void()> step = [&] {
      from.read({at, from.leo(), 1 << 20}, [&](Result<log::ReadResult> r) {
        if (!r) {
          ended = true;
          return state.SkipWithError("a read failed");
        }
        for (const Slice& s : r->batches) bytes += s.size();
        at = r->next;
        ended = at == from.leo();
        if (!ended) step();
      });
    };
    bench.loop().post([&] { step(); });
    bench.loop().run_until([&] { return ended; }, k_patience);
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
}
BENCHMARK(replay)->Arg(128)->Arg(1024)->Iterations(3)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace bascule
BENCHMARK_MAIN();

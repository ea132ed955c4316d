// What synced writes cost on the disk below the build directory: the latency of one, and the throughput of
// many in flight, over written blocks (as a recycled segment has them) and past the end of the file.
//
// Arguments: bytes of a write, writes in flight, 1 for the thread pool (0: io_uring, where it can be).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <vector>

#include "io/entropy.h"
#include "io/make_disk.h"

namespace bascule {
namespace {

constexpr uint64_t k_file_bytes = uint64_t{64} << 20;
constexpr Duration k_patience = seconds(60);

Slice block_of(size_t size) {
  BufferRef buffer = BufferRef::allocate(size, env::k_block_bytes);
  std::ranges::fill(buffer.mutable_bytes(), uint8_t{0x5a});
  return buffer;
}

// One disk with one file, in a directory of its own that goes at the end.
class Bench {
 public:
  explicit Bench(io::DiskChoice choice) {
    directory_ = (std::filesystem::current_path() / "disk_bench").string();
    directory_ += std::to_string(io::random_seed());
    auto made = io::make_disk(loop_, directory_, choice);
    if (!made) return;
    disk_ = std::move(made->disk);
    disk_->open("f", env::OpenMode::create_new, [this](Result<std::unique_ptr<env::File>> r) {
      if (r) file_ = std::move(*r);
    });
    loop_.run_until([this] { return file_ != nullptr; }, k_patience);
  }
  ~Bench() {
    file_.reset();
    disk_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  bool ready() const { return file_ != nullptr; }
  std::string kind() const { return std::string(disk_->kind()); }

  void write_all_blocks() {
    const Slice chunk = block_of(1 << 20);
    for (uint64_t at = 0; at < k_file_bytes; at += chunk.size()) write(at, chunk);
    loop_.run_until([this] { return in_flight_ == 0; }, k_patience);
  }
  void write(uint64_t position, const Slice& bytes) {
    ++in_flight_;
    file_->write_at(position, {bytes}, env::Sync::yes, [this](Status s) {
      --in_flight_;
      failed_ = failed_ || !s;
    });
  }
  // Runs until fewer than `limit` are in flight.
  void wait_below(int limit) {
    loop_.run_until([this, limit] { return in_flight_ < limit; }, k_patience);
  }
  bool failed() const { return failed_; }

 private:
  std::string directory_;
  io::AsioLoop loop_;
  std::unique_ptr<env::Disk> disk_;
  std::unique_ptr<env::File> file_;
  int in_flight_ = 0;
  bool failed_ = false;
};

enum class Target : uint8_t { written_blocks, growing_file };

void synced_writes(benchmark::State& state, Target target) {
  const auto bytes = static_cast<size_t>(state.range(0));
  const int depth = static_cast<int>(state.range(1));
  Bench bench(state.range(2) == 1 ? io::DiskChoice::thread_pool : io::DiskChoice::automatic);
  if (!bench.ready()) return state.SkipWithError("no disk");
  if (target == Target::written_blocks) bench.write_all_blocks();
  const Slice data = block_of(bytes);
  uint64_t position = 0;
  std::vector<double> micros;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    bench.write(position, data);
    bench.wait_below(depth);
    micros.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
            .count());
    position += bytes;
    if (target == Target::written_blocks) position %= k_file_bytes;
  }
  bench.wait_below(1);
  if (bench.failed()) return state.SkipWithError("a write failed");
  std::ranges::sort(micros);
  // With one in flight each is a write's latency.
  if (depth == 1) {
    state.counters["p50_us"] = micros[micros.size() / 2];
    state.counters["p99_us"] = micros[micros.size() * 99 / 100];
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * state.iterations());
  state.SetItemsProcessed(state.iterations());
  state.SetLabel(bench.kind());
}

BENCHMARK_CAPTURE(synced_writes, written, Target::written_blocks)
    ->ArgNames({"bytes", "in_flight", "pool"})
    ->ArgsProduct({{4096, 65536, 262144}, {1, 16}, {0, 1}})
    ->UseRealTime();
BENCHMARK_CAPTURE(synced_writes, growing, Target::growing_file)
    ->ArgNames({"bytes", "in_flight", "pool"})
    ->Args({4096, 1, 0})
    ->Args({4096, 16, 0})
    ->Iterations(2'000)
    ->UseRealTime();

}  // namespace
}  // namespace bascule

BENCHMARK_MAIN();

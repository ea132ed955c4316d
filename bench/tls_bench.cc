// What TLS costs: bytes per second of one stream on loopback, plain and secured, client and server on one
// loop and so on one core. The cost per byte is the difference of the inverses, of both sides together.
//
// Arguments: bytes of a write, 1 for TLS.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "io/entropy.h"
#include "io/tls_authority.h"
#include "io/tls_context.h"

namespace bascule {
namespace {

constexpr Duration k_patience = seconds(60);
constexpr size_t k_queued_bytes_max = 1 << 20;

// Two ends of one connection.
class Bench {
 public:
  explicit Bench(bool secure) {
    std::unique_ptr<env::Listener> listener;
    network_.listen(
        {"127.0.0.1", 0}, [this](std::unique_ptr<env::Stream> s) { to_ = std::move(s); },
        [&](auto made) { listener = std::move(*made); });
    loop_.run_until([&] { return listener != nullptr; }, k_patience);
    network_.connect(listener->address(), seconds(5),
                     [this](auto made) { from_ = std::move(*made); });
    loop_.run_until([&] { return from_ != nullptr && to_ != nullptr; }, k_patience);
    if (secure) {
      secured_ = 0;
      upgrade();
    }
    ready_ = loop_.run_until([this] { return secured_ == 2; }, k_patience);
  }

  bool ready() const { return ready_; }
  void read() {
    to_->read(buffer_, [this](Result<size_t> result) {
      if (!result || *result == 0) return;
      received_ += *result;
      read();
    });
  }
  void write(const Slice& bytes) {
    sent_ += bytes.size();
    from_->write({bytes}, [](const Status&) {});
  }
  // Runs until little waits to be sent.
  void settle() {
    loop_.run_until([this] { return from_->queued_bytes() < k_queued_bytes_max; }, k_patience);
  }
  bool drain() {
    return loop_.run_until([this] { return received_ == sent_; }, k_patience);
  }
  size_t queued_bytes() const { return from_->queued_bytes(); }

 private:
  void upgrade() {
    const std::string directory = (std::filesystem::current_path() / "tls_bench").string() +
                                  std::to_string(io::random_seed());
    const auto files = io::make_tls_files(directory, {});
    if (!files) return;
    server_ =
        *io::TlsServerContext::open(loop_, {.certificate = files->certificate, .key = files->key});
    client_ = *io::TlsClientContext::open(loop_, {.ca = files->ca});
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
    const auto secured = [this](const Status& status) { secured_ += status ? 1 : 0; };
    to_ = server_->accept(std::move(to_), {}, secured);
    from_ = client_->connect(std::move(from_), "127.0.0.1", {}, secured);
  }

  io::AsioLoop loop_;
  io::AsioNetwork network_{loop_};
  std::unique_ptr<io::TlsServerContext> server_;
  std::unique_ptr<io::TlsClientContext> client_;
  std::unique_ptr<env::Stream> to_;
  std::unique_ptr<env::Stream> from_;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(256 << 10);
  int secured_ = 2;
  bool ready_ = false;
  size_t sent_ = 0;
  size_t received_ = 0;
};

void stream_bytes(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  Bench bench(state.range(1) == 1);
  if (!bench.ready()) return state.SkipWithError("no connection");
  bench.read();
  const Slice data = BufferRef::copy_of(Bytes(bytes, 0x5a));
  for (auto _ : state) {
    bench.write(data);
    if (bench.queued_bytes() >= k_queued_bytes_max) bench.settle();
  }
  if (!bench.drain()) return state.SkipWithError("bytes are missing");
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * state.iterations());
}

BENCHMARK(stream_bytes)
    ->ArgNames({"bytes", "tls"})
    ->ArgsProduct({{256, 16 << 10, 256 << 10}, {0, 1}})
    ->UseRealTime();

// A whole connection with client certificates: TCP and both sides of the handshake.
void handshakes(benchmark::State& state) {
  io::AsioLoop loop;
  io::AsioNetwork network(loop);
  const std::string directory =
      (std::filesystem::current_path() / "tls_bench").string() + std::to_string(io::random_seed());
  const auto files = io::make_tls_files(directory, {});
  if (!files) return state.SkipWithError("no certificates");
  const auto server = *io::TlsServerContext::open(
      loop, {files->certificate, files->key, files->ca, io::ClientCertificates::required});
  const auto client =
      *io::TlsClientContext::open(loop, {files->ca, files->client_certificate, files->client_key});
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  std::unique_ptr<env::Stream> accepted;
  std::unique_ptr<env::Listener> listener;
  int secured = 0;
  const auto count = [&](const Status& status) { secured += status ? 1 : 0; };
  network.listen(
      {"127.0.0.1", 0},
      [&](std::unique_ptr<env::Stream> s) { accepted = server->accept(std::move(s), {}, count); },
      [&](auto made) { listener = std::move(*made); });
  loop.run_until([&] { return listener != nullptr; }, k_patience);
  for (auto _ : state) {
    std::unique_ptr<env::Stream> connected;
    secured = 0;
    network.connect(listener->address(), seconds(5), [&](auto made) {
      connected = client->connect(std::move(*made), "127.0.0.1", {}, count);
    });
    if (!loop.run_until([&] { return secured == 2; }, k_patience))
      return state.SkipWithError("no handshake");
    accepted.reset();
  }
}
BENCHMARK(handshakes)->UseRealTime();

}  // namespace
}  // namespace bascule

BENCHMARK_MAIN();

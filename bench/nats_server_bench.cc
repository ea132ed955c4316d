// The embedded server over real sockets: how many messages a second one publisher gets through it, to
// nobody, to one subscriber, into a recorder whose broker takes everything. The publisher writes prepared
// bytes, so that a client library's costs are not measured; it shares the machine with the server.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "io/make_disk.h"
#include "src/nats/server.h"

namespace bascule {
namespace {

// Acknowledges every batch at once and keeps nothing.
class TakesAll final : public broker::Api {
 public:
  explicit TakesAll(env::Loop& loop) : loop_(loop) {}
  void create_stream(const broker::Principal&, broker::CreateStream,
                     env::Done<broker::StreamStatus>) override {
    std::abort();
  }
  void list_streams(const broker::Principal&, broker::MetadataRead,
                    env::Done<broker::StreamList>) override {
    std::abort();
  }
  void describe_stream(const broker::Principal&, broker::StreamRef, broker::MetadataRead,
                       env::Done<broker::DescribedStream>) override {
    std::abort();
  }
  void delete_stream(const broker::Principal&, StreamId, env::Done<void>) override { std::abort(); }
  void cluster_status(const broker::Principal&, broker::MetadataRead,
                      env::Done<broker::ClusterStatus>) override {
    std::abort();
  }
  void decide_cluster(const broker::Principal&, broker::ClusterDecision, env::Done<void>) override {
    std::abort();
  }
  void allocate_producer(const broker::Principal&, MonotonicTime, env::Done<ProducerId>) override {
    std::abort();
  }
  void read_events(const broker::Principal&, broker::ReadEvents,
                   env::Done<broker::EventsPage>) override {
    std::abort();
  }
  void change_cluster(const broker::Principal&, broker::ClusterChange, env::Done<void>) override {
    std::abort();
  }
  void publish(const broker::Principal&, broker::Publish request,
               env::Done<broker::PublishAck> done) override {
    const auto header = model::decode_batch_header(request.batch, 0);
    const uint32_t count = header ? header->record_count : 0;
    loop_.post([this, count, request, done = std::move(done)]() mutable {
      const Offset base = next_;
      next_ += count;
      done(broker::PublishAck{{request.stream, request.partition}, Epoch(1), base, count, false});
    });
  }
  void subscribe(const broker::Principal&, broker::Subscribe, broker::Subscriber&,
                 env::Done<broker::SubscribeStarted>) override {
    std::abort();
  }
  void observe_streams(broker::StreamObserver& observer) override {
    loop_.post([&observer] {
      model::StreamConfig config;
      config.name = "bench";
      config.subjects = {"recorded"};
      observer.stream_changed({StreamId(1), config});
    });
  }
  void forget_observer(broker::StreamObserver&) override {}
  bool accepting() const override { return true; }

 private:
  env::Loop& loop_;
  Offset next_;
};

// A blocking client.
class Socket {
 public:
  explicit Socket(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) std::abort();
    say("CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
    until("PONG\r\n");
  }
  ~Socket() { ::close(fd_); }
  void say(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n <= 0) std::abort();
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  // Reads until what came ends with `end`.
  void until(std::string_view end) {
    std::string last;
    while (!last.ends_with(end)) {
      const ssize_t n = ::read(fd_, buffer_, sizeof buffer_);
      if (n <= 0) std::abort();
      last.append(buffer_, static_cast<size_t>(n));
      if (last.size() > end.size()) last.erase(0, last.size() - end.size());
    }
  }
  // Reads `bytes`.
  void swallow(size_t bytes) {
    while (bytes > 0) {
      const ssize_t n = ::read(fd_, buffer_, std::min(bytes, sizeof buffer_));
      if (n <= 0) std::abort();
      bytes -= static_cast<size_t>(n);
    }
  }

 private:
  int fd_;
  char buffer_[256 << 10];
};

class RunningServer {
 public:
  RunningServer() {
    directory_ =
        std::filesystem::temp_directory_path() / ("nats_bench_" + std::to_string(getpid()));
    auto disk = io::make_disk(loop_, directory_, io::DiskChoice::thread_pool);
    if (!disk) std::abort();
    disk_ = std::move(disk->disk);
    const env::World world{loop_, *disk_, network_, random_, trace_};
    recorder_ = std::make_unique<nats::Recorder>(world, broker_, nats::RecorderOptions{});
    server_ = std::make_unique<nats::Server>(world, nats::ServerOptions{.listen = {"127.0.0.1", 0}},
                                             *recorder_);
    bool started = false;
    server_->start([&](Status status) { started = status.has_value(); });
    if (!loop_.run_until([&] { return started; }, seconds(10))) std::abort();
    port = server_->address().port;
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~RunningServer() {
    loop_.post_from_any_thread([this] { loop_.stop(); });
    thread_.join();
    server_.reset();
    recorder_.reset();
    disk_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  uint16_t port = 0;

 private:
  std::string directory_;
  io::AsioLoop loop_;
  std::unique_ptr<env::Disk> disk_;
  io::AsioNetwork network_{loop_};
  Prng random_{1};
  NullTracer trace_;
  TakesAll broker_{loop_};
  std::unique_ptr<nats::Recorder> recorder_;
  std::unique_ptr<nats::Server> server_;
  std::thread thread_;
};

void publish(benchmark::State& state, const std::string& subject, bool subscribed) {
  RunningServer server;
  Socket publisher(server.port);
  Socket subscriber(server.port);
  const size_t size = static_cast<size_t>(state.range(0));
  const std::string payload(size, 'x');
  const std::string head = subject + (subscribed ? " 1 " : " ") + std::to_string(size) + "\r\n";
  const std::string one = "PUB " + subject + " " + std::to_string(size) + "\r\n" + payload + "\r\n";
  constexpr size_t k_messages = 10'000;
  std::string many;
  for (size_t i = 0; i < k_messages; ++i) many += one;
  many += "PING\r\n";
  if (subscribed) {
    subscriber.say("SUB " + subject + " 1\r\nPING\r\n");
    subscriber.until("PONG\r\n");
  }
  for (auto _ : state) {
    std::thread reader;
    if (subscribed)
      reader = std::thread([&] { subscriber.swallow((4 + head.size() + size + 2) * k_messages); });
    publisher.say(many);
    publisher.until("PONG\r\n");
    if (subscribed) reader.join();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * k_messages));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * k_messages * size));
}

void to_nobody(benchmark::State& state) { publish(state, "nobody", false); }
void to_one_subscriber(benchmark::State& state) { publish(state, "someone", true); }
void into_the_recorder(benchmark::State& state) { publish(state, "recorded", false); }
BENCHMARK(to_nobody)->Arg(16)->Arg(128)->Arg(1024)->UseRealTime();
BENCHMARK(to_one_subscriber)->Arg(16)->Arg(128)->Arg(1024)->UseRealTime();
BENCHMARK(into_the_recorder)->Arg(128)->Arg(1024)->UseRealTime();

}  // namespace
}  // namespace bascule

BENCHMARK_MAIN();

// What the RPC path costs: publish at 1 KiB records over one connection to a sink that takes the one copy
// into an aligned buffer and answers. Client and server are two processes, as in production.
//
//   bench_rpc_publish [--seconds N] [--rounds N] [--batch BYTES] [--in-flight N] [--value BYTES]
//                     [--mode sealed|build|client]
//
// sealed: one batch, made once, is sent again and again: the transport alone. build: each batch is made
// from its records: what a client's own work adds. Prints the median and the best of the rounds.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "capnp/rpc_server.h"
#include "capnp/rpc_transport.h"
#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "src/model/record.h"

namespace bascule {
namespace {

struct Options {
  double seconds = 2;
  int rounds = 5;
  size_t batch_bytes = 256 << 10;
  uint32_t in_flight = 8;
  size_t value_bytes = 1 << 10;
  std::string mode = "sealed";
};

// Answers everything at once; keeps nothing.
class NullSink final : public broker::Api {
 public:
  explicit NullSink(env::Loop& loop) : loop_(loop) {
    for (BufferRef& buffer : ring_) buffer = BufferRef::allocate(limits::k_batch_bytes_max, 4096);
  }

  void publish(const broker::Principal&, broker::Publish in,
               env::Done<broker::PublishAck> done) override {
    BufferRef& buffer = ring_[next_++ % std::size(ring_)];
    std::memcpy(buffer.mutable_bytes().data(), in.batch.data(), in.batch.size());
    const broker::PublishAck ack{{in.stream, in.partition}, Epoch(1), Offset(next_), 1, false};
    loop_.post([ack, done = std::move(done)]() mutable { done(ack); });
  }
  void create_stream(const broker::Principal&, broker::CreateStream,
                     env::Done<broker::StreamStatus> done) override {
    refuse(std::move(done));
  }
  void list_streams(const broker::Principal&, broker::MetadataRead,
                    env::Done<broker::StreamList> done) override {
    refuse(std::move(done));
  }
  void describe_stream(const broker::Principal&, broker::StreamRef ref, broker::MetadataRead,
                       env::Done<broker::DescribedStream> done) override {
    broker::DescribedStream status;
    status.stream.id = StreamId(1);
    status.stream.config.name = ref.name;
    status.stream.partitions.emplace_back().leader = NodeId(1);
    loop_.post([status, done = std::move(done)]() mutable { done(std::move(status)); });
  }
  void delete_stream(const broker::Principal&, StreamId, env::Done<void> done) override {
    refuse(std::move(done));
  }
  void cluster_status(const broker::Principal&, broker::MetadataRead,
                      env::Done<broker::ClusterStatus> done) override {
    refuse(std::move(done));
  }
  void decide_cluster(const broker::Principal&, broker::ClusterDecision,
                      env::Done<void> done) override {
    refuse(std::move(done));
  }
  void allocate_producer(const broker::Principal&, MonotonicTime,
                         env::Done<ProducerId> done) override {
    refuse(std::move(done));
  }
  void read_events(const broker::Principal&, broker::ReadEvents,
                   env::Done<broker::EventsPage> done) override {
    refuse(std::move(done));
  }
  void change_cluster(const broker::Principal&, broker::ClusterChange,
                      env::Done<void> done) override {
    refuse(std::move(done));
  }
  void subscribe(const broker::Principal&, broker::Subscribe, broker::Subscriber&,
                 env::Done<broker::SubscribeStarted> done) override {
    refuse(std::move(done));
  }
  void observe_streams(broker::StreamObserver&) override {}
  void forget_observer(broker::StreamObserver&) override {}
  bool accepting() const override { return true; }

 private:
  template <class T>
  void refuse(env::Done<T> done) {
    loop_.post(
        [done = std::move(done)]() mutable { done(fail(Errc::unsupported, "a null sink")); });
  }

  env::Loop& loop_;
  BufferRef ring_[16];
  uint64_t next_ = 0;
};

// The server process: tells its port through the pipe, ends when its parent has gone.
[[noreturn]] void serve(int port_pipe) {
  io::AsioLoop loop;
  io::AsioNetwork network(loop);
  NullSink sink(loop);
  NullTracer trace;
  std::unique_ptr<rpc::RpcServer> server;
  rpc::start_rpc_server(loop, network, sink, trace, {.listen = {"127.0.0.1", 0}, .node = NodeId(1)},
                        [&](Result<std::unique_ptr<rpc::RpcServer>> result) {
                          if (!result) std::_Exit(1);
                          server = std::move(*result);
                          const uint16_t port = server->address().port;
                          if (write(port_pipe, &port, sizeof port) != sizeof port) std::_Exit(1);
                        });
  const pid_t parent = getppid();
  while (getppid() == parent) loop.run_until([] { return false; }, milliseconds(200));
  std::_Exit(0);
}

Slice make_batch(model::BatchBuilder& builder, const Options& options, const std::string& value) {
  model::RecordView record;
  record.subject = "bench.rpc";
  record.value = value;
  while (builder.bytes() + value.size() + 64 <= options.batch_bytes) {
    if (!builder.add(record)) std::abort();
  }
  return Slice(builder.finish());
}

class Flood {
 public:
  Flood(io::AsioLoop& loop, client::Connection& connection, const Options& options)
      : loop_(loop), connection_(connection), options_(options), value_(options.value_bytes, 'x') {
    batch_ = make_batch(builder_, options_, value_);
    model::BatchHeader header = *model::decode_batch_header(batch_, 0);
    values_per_batch_ = header.record_count;
  }

  // Value bytes per second.
  double run(double seconds_to_run) {
    batches_ = 0;
    sending_ = true;
    const auto begin = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < options_.in_flight; ++i) send();
    loop_.run_until([] { return false; }, {static_cast<int64_t>(seconds_to_run * 1e9)});
    sending_ = false;
    total_batches_ += batches_;
    const double elapsed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double bytes = static_cast<double>(batches_) * values_per_batch_ *
                         static_cast<double>(options_.value_bytes);
    if (!loop_.run_until([&] { return open_ == 0; }, seconds(10))) std::abort();
    return bytes / elapsed;
  }

  double total_gigabytes() const {
    return static_cast<double>(total_batches_) * values_per_batch_ *
           static_cast<double>(options_.value_bytes) / 1e9;
  }

 private:
  void send() {
    if (options_.mode == "build") batch_ = make_batch(builder_, options_, value_);
    ++open_;
    client::PublishRequest request;
    request.stream = StreamId(1);
    request.batch = batch_;
    connection_.publish(std::move(request),
                        [this](std::expected<broker::PublishAck, client::Failure> ack) {
                          if (!ack) {
                            std::fprintf(stderr, "%s\n", ack.error().error.to_string().c_str());
                            std::exit(1);
                          }
                          --open_;
                          ++batches_;
                          if (sending_) send();
                        });
  }

  io::AsioLoop& loop_;
  client::Connection& connection_;
  const Options& options_;
  std::string value_;
  model::BatchBuilder builder_;
  Slice batch_;
  uint32_t values_per_batch_ = 0;
  uint64_t batches_ = 0;
  uint64_t total_batches_ = 0;
  uint32_t open_ = 0;
  bool sending_ = false;
};

double cpu_seconds(const rusage& used) {
  const auto seconds_of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
}

// Gives the gigabytes of values that it sent.
double flood(uint16_t port, const Options& options) {
  io::AsioLoop loop;
  io::AsioNetwork network(loop);
  const auto transport = rpc::make_rpc_transport(loop, network);
  std::unique_ptr<client::Connection> connection;
  transport->connect({"127.0.0.1", port}, "", seconds(5),
                     [&](Result<std::unique_ptr<client::Connection>> result) {
                       if (!result) {
                         std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
                         std::exit(1);
                       }
                       connection = std::move(*result);
                     });
  if (!loop.run_until([&] { return connection != nullptr; }, seconds(10))) std::exit(1);
  Flood flood(loop, *connection, options);
  flood.run(0.3);
  std::vector<double> rates;
  for (int i = 0; i < options.rounds; ++i) rates.push_back(flood.run(options.seconds) / 1e6);
  std::ranges::sort(rates);
  std::printf(
      "%s batch=%zu value=%zu in_flight=%u: median %.0f MB/s, best %.0f, worst %.0f (of %d)\n",
      options.mode.c_str(), options.batch_bytes, options.value_bytes, options.in_flight,
      rates[rates.size() / 2], rates.back(), rates.front(), options.rounds);
  return flood.total_gigabytes();
}

int run(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--seconds") options.seconds = std::atof(argv[i + 1]);
    if (name == "--rounds") options.rounds = std::max(1, std::atoi(argv[i + 1]));
    if (name == "--batch") options.batch_bytes = static_cast<size_t>(std::atoll(argv[i + 1]));
    if (name == "--in-flight") options.in_flight = static_cast<uint32_t>(std::atoi(argv[i + 1]));
    if (name == "--value") options.value_bytes = static_cast<size_t>(std::atoll(argv[i + 1]));
    if (name == "--mode") options.mode = argv[i + 1];
  }
  int port_pipe[2];
  if (pipe(port_pipe) != 0) return 1;
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) serve(port_pipe[1]);
  uint16_t port = 0;
  if (read(port_pipe[0], &port, sizeof port) != sizeof port) return 1;
  const double gigabytes = flood(port, options);
  rusage client_used{};
  rusage server_used{};
  getrusage(RUSAGE_SELF, &client_used);
  kill(child, SIGTERM);
  wait4(child, nullptr, 0, &server_used);
  // What it costs does not depend on who else uses the machine: the rate that one processor for each
  // side would give is the inverse of the greater.
  std::printf("processor seconds per GB: client %.2f, server %.2f\n",
              cpu_seconds(client_used) / gigabytes, cpu_seconds(server_used) / gigabytes);
  return 0;
}

}  // namespace
}  // namespace bascule

int main(int argc, char** argv) { return bascule::run(argc, argv); }

// The embedded NATS server over real sockets, on a thread of its own, and owners for what nats.c makes.
#pragma once

#include <gtest/gtest.h>
#include <nats/nats.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "io/make_disk.h"
#include "src/nats/server.h"
#include "tests/nats/fake_broker.h"

namespace bascule {

using nats::FakeBroker;

template <class T, void (*Destroy)(T*)>
struct Destroyer {
  void operator()(T* object) const { Destroy(object); }
};
using Connection =
    std::unique_ptr<natsConnection, Destroyer<natsConnection, natsConnection_Destroy>>;
using Options = std::unique_ptr<natsOptions, Destroyer<natsOptions, natsOptions_Destroy>>;
using Subscription =
    std::unique_ptr<natsSubscription, Destroyer<natsSubscription, natsSubscription_Destroy>>;
using Msg = std::unique_ptr<natsMsg, Destroyer<natsMsg, natsMsg_Destroy>>;
using JetStream = std::unique_ptr<jsCtx, Destroyer<jsCtx, jsCtx_Destroy>>;
using PubAck = std::unique_ptr<jsPubAck, Destroyer<jsPubAck, jsPubAck_Destroy>>;

inline constexpr int64_t k_wait_ms = 10'000;

// The server on a thread of its own, as in a broker's process.
class RunningServer {
 public:
  // `prepare` may add to the options what belongs to the loop.
  explicit RunningServer(
      nats::ServerOptions options = {},
      const std::function<void(env::Loop&, nats::ServerOptions&)>& prepare = nullptr) {
    directory_ = std::string(BASCULE_BINARY_DIR) + "/test_data/nats_" +
                 std::to_string(reinterpret_cast<uintptr_t>(this)) + "_" + std::to_string(getpid());
    auto disk = io::make_disk(loop_, directory_, io::DiskChoice::thread_pool);
    EXPECT_TRUE(disk) << disk.error().to_string();
    disk_ = std::move(disk->disk);
    network_ = std::make_unique<io::AsioNetwork>(loop_);
    const env::World world{loop_, *disk_, *network_, random_, trace_};
    broker_ = std::make_unique<FakeBroker>(world);
    recorder_ = std::make_unique<nats::Recorder>(world, *broker_, nats::RecorderOptions{});
    options.listen = {"127.0.0.1", 0};
    if (prepare) prepare(loop_, options);
    server_ = std::make_unique<nats::Server>(world, options, *recorder_);
    bool started = false;
    server_->start([&](Status status) { started = status.has_value(); });
    EXPECT_TRUE(loop_.run_until([&] { return started; }, seconds(10)));
    url = "nats://" + server_->address().to_string();
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~RunningServer() {
    loop_.post_from_any_thread([this] { loop_.stop(); });
    thread_.join();
    server_.reset();
    recorder_.reset();
    broker_.reset();
    network_.reset();
    disk_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  // The result of `f`, run in a turn of the server's loop.
  template <class F>
  auto in_loop(F f) {
    auto promise = std::make_shared<std::promise<decltype(f())>>();
    auto future = promise->get_future();
    loop_.post_from_any_thread([promise, f = std::move(f)]() mutable { promise->set_value(f()); });
    return future.get();
  }
  StreamId add_stream(std::string name, std::vector<std::string> subjects,
                      model::AnswerMode answers) {
    return in_loop([=, this] {
      model::StreamConfig config;
      config.name = name;
      config.subjects = subjects;
      config.answers = answers;
      return broker_->add_stream(config);
    });
  }
  // The log once it has `count` records, or as it is after a while.
  std::vector<model::Record> log(StreamId stream, size_t count) {
    std::vector<model::Record> out;
    for (int i = 0; i < 1000 && out.size() < count; ++i) {
      if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      out = in_loop([this, stream] { return broker_->log(stream); });
    }
    return out;
  }
  nats::Server& server() { return *server_; }

  std::string url;

 private:
  std::string directory_;
  io::AsioLoop loop_;
  std::unique_ptr<env::Disk> disk_;
  std::unique_ptr<env::Network> network_;
  Prng random_{7};
  NullTracer trace_;
  std::unique_ptr<FakeBroker> broker_;
  std::unique_ptr<nats::Recorder> recorder_;
  std::unique_ptr<nats::Server> server_;
  std::thread thread_;
};

}  // namespace bascule

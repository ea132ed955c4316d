// The conformance suites on production's world: real sockets on the loopback, real files below the build
// directory.
#include <filesystem>

#include "io/asio_loop.h"
#include "io/asio_network.h"
#include "io/entropy.h"
#include "io/make_disk.h"
#include "io/tls_authority.h"
#include "io/tls_context.h"
#include "io/tls_network.h"
#include "tests/env/conformance.h"

namespace bascule::env {
namespace {

enum class Streams : uint8_t { plain, secured };

class RealWorld final : public WorldHarness {
 public:
  RealWorld(io::DiskChoice choice, Streams streams)
      : choice_(choice), streams_(streams), random_(io::random_seed()) {
    // Below the build directory: the file system of the sources is a real one, /tmp may not be.
    directory_ = BASCULE_BINARY_DIR "/test_data/";
    directory_ += random_.uuid().to_string();
  }
  ~RealWorld() override {
    end();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  Status begin() {
    loop_ = std::make_unique<io::AsioLoop>();
    auto made = io::make_disk(*loop_, directory_, choice_);
    if (!made) return fail(std::move(made.error()));
    disk_ = std::move(made->disk);
    network_ = std::make_unique<io::AsioNetwork>(*loop_);
    if (streams_ == Streams::plain) return {};
    // Both ends by one authority made for the purpose.
    BASCULE_TRY_ASSIGN(const io::TlsFiles files,
                       io::make_tls_files(directory_ + "/certificates", {}));
    BASCULE_TRY_ASSIGN(server_, io::TlsServerContext::open(*loop_, {files.certificate, files.key}));
    BASCULE_TRY_ASSIGN(client_, io::TlsClientContext::open(*loop_, {files.ca}));
    secured_ = std::make_unique<io::TlsNetwork>(*network_, *server_, *client_);
    return {};
  }

  World world() override {
    return {*loop_, *disk_, secured_ ? static_cast<Network&>(*secured_) : *network_, random_,
            trace_};
  }
  bool run_until(const std::function<bool()>& predicate, Duration limit) override {
    return loop_->run_until(predicate, limit);
  }
  bool can_end(Ending how) const override { return how == Ending::stop; }
  void restart(Ending how) override {
    REQUIRE(can_end(how));
    end();
    const Status begun = begin();
    REQUIRE(begun.has_value(), begun.error().to_string());
  }
  std::unique_ptr<Disk> second_disk() override {
    auto made = io::make_disk(*loop_, directory_, choice_);
    return made ? std::move(made->disk) : nullptr;
  }
  std::string host() const override { return "127.0.0.1"; }

 private:
  void end() {
    secured_.reset();
    client_.reset();
    server_.reset();
    network_.reset();
    disk_.reset();
    loop_.reset();
  }

  io::DiskChoice choice_;
  Streams streams_;
  std::string directory_;
  Prng random_;
  NullTracer trace_;
  std::unique_ptr<io::AsioLoop> loop_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<TlsServer> server_;
  std::unique_ptr<TlsClient> client_;
  std::unique_ptr<Network> secured_;  // null: in the open
};

WorldKind kind(std::string name, io::DiskChoice choice, Streams streams = Streams::plain) {
  return {std::move(name),
          [choice, streams](std::string& why_not) -> std::unique_ptr<WorldHarness> {
            auto world = std::make_unique<RealWorld>(choice, streams);
            if (Status s = world->begin(); !s) {
              why_not = s.error().to_string();
              return nullptr;
            }
            return world;
          }};
}

// Loop and network do not see the disk: one kind of world tells all about them.
std::vector<WorldKind> one_kind() { return {kind("asio", io::DiskChoice::thread_pool)}; }
// A secured stream keeps what a plain one keeps.
std::vector<WorldKind> each_stream() {
  return {kind("asio", io::DiskChoice::thread_pool),
          kind("tls", io::DiskChoice::thread_pool, Streams::secured)};
}
std::vector<WorldKind> each_disk() {
  return {kind("io_uring", io::DiskChoice::uring),
          kind("thread_pool", io::DiskChoice::thread_pool)};
}
std::string name_of(const testing::TestParamInfo<WorldKind>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Real, LoopConformance, testing::ValuesIn(one_kind()), name_of);
INSTANTIATE_TEST_SUITE_P(Real, NetworkConformance, testing::ValuesIn(each_stream()), name_of);
INSTANTIATE_TEST_SUITE_P(Real, DiskConformance, testing::ValuesIn(each_disk()), name_of);

}  // namespace
}  // namespace bascule::env

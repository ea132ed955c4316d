// bascule bench pub|latency|sub STREAM: load over the client library, with order and content verified.
//
// A payload begins with its number and goes on as a function of it, so that a replay can tell what is
// lost, reordered or altered. `pub` keeps the client's buffers full; `latency` sends one at a time.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "io/asio_loop.h"
#include "io/cli/app.h"
#include "io/cli/client_session.h"
#include "src/base/codec.h"

namespace bascule::cli {
namespace {

struct BenchOptions {
  ConnectOptions connect;
  std::string stream;
  std::string subject = "bench";
  uint64_t count = 100'000;
  size_t size = 128;
  std::string ack = "all";
};

constexpr size_t k_size_min = 8;

// `size` bytes (at least 8) that are a function of `number`.
void fill_payload(std::string& out, uint64_t number, size_t size) {
  out.resize(size, 'x');
  store_le(reinterpret_cast<uint8_t*>(out.data()), number);
}

struct Figures {
  uint64_t messages = 0;
  uint64_t bytes = 0;  // of values
  Duration elapsed;
  std::vector<int64_t> latencies_ns;  // from publish() to the answer
  uint64_t errors = 0;
  uint64_t lost = 0;
  uint64_t reordered = 0;
  std::string conditions;
};

double percentile_us(std::vector<int64_t>& values, double fraction) {
  if (values.empty()) return 0;
  const auto at = static_cast<size_t>(fraction * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, values.begin() + static_cast<ptrdiff_t>(at));
  return static_cast<double>(values[at]) / 1000;
}

ExitStatus print_figures(Figures& f, bool json) {
  const double s = std::max(1e-9, static_cast<double>(f.elapsed.ns) / 1e9);
  nlohmann::ordered_json out;
  out["msgs"] = f.messages;
  out["bytes"] = f.bytes;
  out["seconds"] = s;
  out["msgs_per_s"] = static_cast<uint64_t>(static_cast<double>(f.messages) / s);
  out["mb_per_s"] = static_cast<double>(f.bytes) / s / 1e6;
  out["p50_us"] = percentile_us(f.latencies_ns, 0.5);
  out["p99_us"] = percentile_us(f.latencies_ns, 0.99);
  out["p999_us"] = percentile_us(f.latencies_ns, 0.999);
  out["max_us"] = percentile_us(f.latencies_ns, 1);
  out["errors"] = f.errors;
  out["lost"] = f.lost;
  out["reordered"] = f.reordered;
  out["conditions"] = f.conditions;
  if (json) {
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf("%s\n", f.conditions.c_str());
    for (const auto& [key, value] : out.items()) {
      if (key != "conditions") std::printf("  %-10s %s\n", key.c_str(), value.dump().c_str());
    }
  }
  return f.errors + f.lost + f.reordered == 0 ? k_exit_done : k_exit_failed;
}

model::Acks acks_of(const std::string& name) {
  return name == "none"     ? model::Acks::none
         : name == "leader" ? model::Acks::leader
                            : model::Acks::all;
}

class PublishLoad {
 public:
  // `window`: most messages without an answer; 0: what the client's buffers hold.
  PublishLoad(const BenchOptions& options, ClientSession& session, uint64_t window)
      : options_(options), session_(session), window_(window), sent_at_(options.count) {
    client::PublisherOptions publisher;
    publisher.acks = acks_of(options.ack);
    publisher.partition = PartitionIndex(0);
    publisher_ = session.client().publisher(options.stream, publisher);
    publisher_->on_batch([this](const client::BatchOutcome& outcome) { answered(outcome); });
    figures_.latencies_ns.reserve(options.count);
  }

  Figures run() {
    MonotonicTime begin{};
    session_.loop().post([this, &begin] {
      begin = session_.loop().now();
      send();
    });
    while (answers_ < options_.count) session_.run_loop();
    figures_.elapsed = session_.loop().now() - begin;
    figures_.messages = answers_ - figures_.errors;
    figures_.bytes = figures_.messages * options_.size;
    return std::move(figures_);
  }

 private:
  void send() {
    model::RecordView record;
    record.subject = options_.subject;
    record.timestamp = session_.loop().wall();
    while (sent_ < options_.count && (window_ == 0 || sent_ - answers_ < window_)) {
      fill_payload(payload_, sent_, options_.size);
      record.value = payload_;
      sent_at_[sent_] = session_.loop().now();
      const auto accepted = publisher_->publish(record);
      if (!accepted) return publisher_->when_ready([this] { send(); });
      ++sent_;
      // Let answers in between: a turn is not to be longer than a batch takes.
      if (sent_ % k_messages_per_turn == 0) return session_.loop().post([this] { send(); });
    }
  }

  void answered(const client::BatchOutcome& outcome) {
    const MonotonicTime now = session_.loop().now();
    for (const uint64_t sequence : outcome.sequences)
      figures_.latencies_ns.push_back((now - sent_at_[sequence]).ns);
    answers_ += outcome.sequences.size();
    if (!outcome.result) {
      if (figures_.errors == 0) (void)report(outcome.result.error());
      figures_.errors += outcome.sequences.size();
    }
    if (answers_ == options_.count) return session_.stop_loop();
    if (window_ > 0) session_.loop().post([this] { send(); });
  }

  static constexpr uint64_t k_messages_per_turn = 2048;

  const BenchOptions& options_;
  ClientSession& session_;
  const uint64_t window_;
  std::unique_ptr<client::Publisher> publisher_;
  std::vector<MonotonicTime> sent_at_;
  std::string payload_;
  uint64_t sent_ = 0;
  uint64_t answers_ = 0;
  Figures figures_;
};

// Reads partition 0 from its earliest record and checks the numbers that the payloads begin with.
class ReplayLoad final : public client::Receiver {
 public:
  ReplayLoad(const BenchOptions& options, ClientSession& session)
      : options_(options), session_(session) {}

  Figures run() {
    client::SubscribeOptions subscribe;
    subscribe.stream = options_.stream;
    subscribe.partition = PartitionIndex(0);
    subscribe.from = broker::FromEarliest{};
    subscribe.until = broker::UntilLatest{};
    subscribe.credit_bytes = 8 << 20;
    const auto subscription = session_.client().subscribe(subscribe, *this);
    while (!done_) session_.run_loop();
    figures_.elapsed = session_.loop().now() - begin_;
    return std::move(figures_);
  }

  void records(std::span<const client::Received> records) override {
    for (const client::Received& r : records) {
      const std::string_view value = r.record.value.value_or("");
      ++figures_.messages;
      figures_.bytes += value.size();
      if (value.size() < k_size_min) continue;
      const auto number = load_le<uint64_t>(reinterpret_cast<const uint8_t*>(value.data()));
      // Each run of `bench pub` counts from 0.
      if (number != 0 && number < expected_) ++figures_.reordered;
      if (number > expected_) figures_.lost += number - expected_;
      expected_ = number + 1;
    }
  }
  void started(PartitionId, Epoch, Offset) override { begin_ = session_.loop().now(); }
  void partition_ended(const client::PartitionEnd&) override {}
  void ended(Status result) override {
    if (!result) {
      (void)report(result.error());
      ++figures_.errors;
    }
    done_ = true;
    session_.stop_loop();
  }

 private:
  const BenchOptions& options_;
  ClientSession& session_;
  MonotonicTime begin_;
  uint64_t expected_ = 0;
  bool done_ = false;
  Figures figures_;
};

enum class Load : uint8_t { publish, latency, replay };

// What the figures were made under, read from the stream itself.
Result<std::string> conditions(ClientSession& session, const BenchOptions& options, Load load) {
  auto status = session.await<broker::DescribedStream>(
      [&](auto done) { session.client().describe_stream(options.stream, std::move(done)); });
  if (!status) return fail(std::move(status.error()));
  const bool fsync = status->stream.config.durability == model::DurabilityMode::fsync;
  std::string out = load == Load::publish   ? "publish, client's buffers full"
                    : load == Load::latency ? "publish, one at a time"
                                            : "replay from memory and disk, verified";
  out += fsync ? ", fsync" : ", memory (no fsync per write)";
  if (options.connect.secured()) out += ", TLS";
  out += ", replicas " + std::to_string(status->stream.config.replicas);
  if (load != Load::replay)
    out += ", acks " + options.ack + ", " + std::to_string(options.size) + " B, batch <= 256 KiB";
  return out + ", no TLS, 1 connection";
}

ExitStatus bench(const BenchOptions& options, Load load) {
  if (options.size < k_size_min || options.count == 0)
    return report_usage({Errc::invalid, "--size must be at least 8, --count at least 1"});
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  auto text = conditions(**session, options, load);
  if (!text) return report(text.error());
  Figures figures = load == Load::replay
                        ? ReplayLoad(options, **session).run()
                        : PublishLoad(options, **session, load == Load::latency ? 1 : 0).run();
  figures.conditions = std::move(*text);
  return print_figures(figures, options.connect.json);
}

}  // namespace

void register_bench(CLI::App& app, ExitStatus& status) {
  CLI::App* group = app.add_subcommand("bench", "load: pub, latency, sub");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, Load load) {
    auto options = std::make_shared<BenchOptions>();
    CLI::App* command = group->add_subcommand(name, help);
    command->add_option("STREAM", options->stream, "the stream's name")->required();
    if (load != Load::replay) {
      command->add_option("--count", options->count, "messages")->capture_default_str();
      command->add_option("--size", options->size, "bytes of a message's value")
          ->capture_default_str();
      command->add_option("--subject", options->subject, "subject kept with the messages")
          ->capture_default_str();
      command->add_option("--ack", options->ack, "all, leader or none")
          ->check(CLI::IsMember({"all", "leader", "none"}))
          ->capture_default_str();
    }
    add_connect_options(*command, options->connect);
    command->callback([options, load, &status] { status = bench(*options, load); });
  };
  add("pub", "publish as fast as acknowledgements come", Load::publish);
  add("latency", "publish one at a time", Load::latency);
  add("sub", "replay partition 0, and verify it", Load::replay);
}

}  // namespace bascule::cli

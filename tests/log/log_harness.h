// One broker's log store on a simulated machine, driven step by step: `Bench` starts lives, awaits
// completions, crashes, and keeps a model of what was appended.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/world/node.h"
#include "sim/world/simulation.h"
#include "src/log/log_store.h"
#include "src/model/record.h"

namespace bascule::log::testing {

inline const Uuid k_log_id{{0x1234, 0x5678}};
inline const PartitionId k_partition{StreamId(7), PartitionIndex(1)};
inline const AssignmentId k_assignment{3};

// A client's batch of `records` records whose values begin with `text`.
inline BufferRef make_batch(const std::string& text, uint32_t records = 1, size_t value_bytes = 0) {
  model::BatchBuilder builder;
  for (uint32_t i = 0; i < records; ++i) {
    model::Record record;
    record.timestamp = WallTime{1000 + i};
    record.subject = "a.b";
    record.value = text + "/" + std::to_string(i);
    if (record.value->size() < value_bytes) record.value->resize(value_bytes, 'x');
    EXPECT_TRUE(builder.add(model::view_of(record)));
  }
  return builder.finish();
}

class Holder final : public sim::Program {
 public:
  std::unique_ptr<LogStore> store;
  std::vector<std::unique_ptr<Log>> logs;
  ~Holder() override {
    logs.clear();
    store.reset();
  }
};

class Bench {
 public:
  explicit Bench(uint64_t seed = 1, sim::Chooser* chooser = nullptr, LogStoreOptions options = {},
                 sim::NodeOptions node = {})
      : sim_(seed, chooser), node_(sim_.add_node(node)), options_(std::move(options)) {
    node_.on_death([this](const sim::Death& d) { death_ = d; });
  }

  sim::Simulation& sim() { return sim_; }
  sim::Node& node() { return node_; }
  sim::Device& device() { return node_.device(); }
  const std::optional<sim::Death>& death() const { return death_; }
  LogStore& store() { return *holder_->store; }
  Log& log() { return *holder_->logs.at(0); }
  bool alive() const { return node_.alive(); }

  // Runs an operation to its end; nullopt where the process died first.
  template <class T, class F>
  std::optional<Result<T>> await(F start) {
    auto slot = std::make_shared<std::optional<Result<T>>>();
    in_turn([start = std::move(start), slot]() mutable {
      start(env::Done<T>([slot](Result<T> r) { slot->emplace(std::move(r)); }));
    });
    sim_.run_until_true(sim_.now() + seconds(600),
                        [&] { return slot->has_value() || !node_.alive(); });
    EXPECT_TRUE(slot->has_value() || !node_.alive()) << "an operation never ended";
    return std::move(*slot);
  }
  // Runs `f` in a turn of the process.
  void in_turn(env::Task f) {
    auto ran = std::make_shared<bool>(false);
    node_.world().loop.post([f = std::move(f), ran]() mutable {
      *ran = true;
      f();
    });
    sim_.run_until_true(sim_.now() + seconds(60), [&] { return *ran || !node_.alive(); });
  }
  void run_for(Duration d) { sim_.run_until(sim_.now() + d); }

  // For those who drive the steps themselves.
  void begin_life() {
    death_.reset();
    node_.start([this](env::World&) {
      auto program = std::make_unique<Holder>();
      holder_ = program.get();
      return program;
    });
    while (holder_of_life_ != node_.lives() && sim_.step()) {
      if (node_.program() != nullptr) holder_of_life_ = node_.lives();
    }
  }
  void hold(std::unique_ptr<LogStore> store) { holder_->store = std::move(store); }
  void hold(std::unique_ptr<Log> log) { holder_->logs.push_back(std::move(log)); }
  const LogStoreOptions& options() const { return options_; }

  // Starts a life and opens the store; false where that failed (see error()) or the process died.
  bool boot() {
    death_.reset();
    node_.start([this](env::World&) {
      auto program = std::make_unique<Holder>();
      holder_ = program.get();
      return program;
    });
    auto opened = await<std::unique_ptr<LogStore>>(
        [this](auto done) { open_log_store(node_.world(), options_, std::move(done)); });
    if (!opened || !*opened) return remember(opened);
    holder_->store = std::move(**opened);
    return true;
  }
  bool open_log(LogOptions options) {
    auto log = await<std::unique_ptr<Log>>(
        [this, options](auto done) { store().open_log(options, std::move(done)); });
    if (!log || !*log) return remember(log);
    holder_->logs.push_back(std::move(**log));
    return true;
  }
  static LogOptions log_options(model::DurabilityMode mode = model::DurabilityMode::fsync) {
    LogOptions o;
    o.partition = k_partition;
    o.assignment = k_assignment;
    o.log_id = k_log_id;
    o.durability = mode;
    o.metadata_index = Index(5);
    return o;
  }
  bool serve() {
    auto served = await<void>([this](auto done) { store().start_serving(std::move(done)); });
    return served && *served;
  }
  // All of the above.
  bool start(model::DurabilityMode mode = model::DurabilityMode::fsync) {
    return boot() && open_log(log_options(mode)) && serve();
  }
  bool stop() {
    auto stopped = await<void>([this](auto done) { log().stop(std::move(done)); });
    if (!stopped || !*stopped) return false;
    auto all = await<void>([this](auto done) { store().stop(std::move(done)); });
    if (!all || !*all) return false;
    node_.exit();
    return true;
  }
  void crash_process() { node_.crash_process(); }
  void crash_machine() { node_.crash_machine(); }

  // Appends a batch at the end, with room made for it; the base offset, where it got that far.
  std::optional<Offset> append(const std::string& text, Epoch epoch = Epoch(1),
                               uint32_t records = 1, size_t value_bytes = 0) {
    const BufferRef bytes = make_batch(text, records, value_bytes);
    auto header = *model::decode_batch_header(bytes.view(), 0);
    auto room = await<void>(
        [this, &header](auto done) { log().make_space(header.total_bytes, std::move(done)); });
    if (!room || !*room) {
      remember(room);
      return {};
    }
    auto base = std::make_shared<std::optional<Offset>>();
    in_turn([this, header, bytes, epoch, base]() mutable {
      header.base_offset = log().leo();
      header.epoch = epoch;
      header.append_time = std::max(node_.world().loop.wall(), log().last_append_time());
      const Appended a = log().append(header, bytes.view().subspan(limits::k_batch_header_bytes));
      *base = a.base_offset;
      last_ticket_ = a.ticket;
    });
    return *base;
  }
  bool durable() {
    auto done = await<void>([this](auto d) { log().durable(last_ticket_, std::move(d)); });
    return done && *done;
  }
  bool append_durably(const std::string& text, Epoch epoch = Epoch(1), uint32_t records = 1,
                      size_t value_bytes = 0) {
    return append(text, epoch, records, value_bytes) && durable();
  }

  // First values of all batches in [from, leo).
  std::optional<std::vector<std::string>> read_all(std::optional<Offset> from = {},
                                                   size_t bytes_max = 1 << 16) {
    std::vector<std::string> out;
    Offset at = from.value_or(log().log_start());
    while (at < log().leo()) {
      auto r = await<ReadResult>([this, at, bytes_max](auto done) {
        log().read({at, log().leo(), bytes_max}, std::move(done));
      });
      if (!r || !*r) {
        remember(r);
        return {};
      }
      EXPECT_GT((**r).next.value, at.value);
      for (const Slice& slice : (**r).batches) values_of(slice, out);
      at = (**r).next;
    }
    return out;
  }
  static void values_of(const Slice& slice, std::vector<std::string>& out) {
    ByteView rest = slice.view();
    while (!rest.empty()) {
      const auto header = model::decode_batch_header(rest, model::batch_crc_seed(k_log_id));
      ASSERT_TRUE(header.has_value());
      ASSERT_LE(header->total_bytes, rest.size());
      const ByteView batch = rest.first(header->total_bytes);
      ASSERT_TRUE(model::batch_body_matches(*header, batch));
      Bytes scratch;
      const auto body = model::batch_body(*header, batch, scratch);
      ASSERT_TRUE(body.has_value());
      model::RecordReader reader(*body, header->base_timestamp);
      model::RecordView record;
      if (reader.next(record)) {
        std::string value(record.value.value_or(""));
        out.push_back(value.substr(0, value.find('/')));
      }
      rest = rest.subspan(header->total_bytes);
    }
  }
  const Error& error() const { return error_; }

 private:
  template <class T>
  bool remember(const std::optional<Result<T>>& r) {
    if (r && !*r) error_ = r->error();
    return false;
  }

  sim::Simulation sim_;
  sim::Node& node_;
  LogStoreOptions options_;
  Holder* holder_ = nullptr;
  uint64_t holder_of_life_ = 0;
  std::optional<sim::Death> death_;
  Ticket last_ticket_;
  Error error_;
};

}  // namespace bascule::log::testing

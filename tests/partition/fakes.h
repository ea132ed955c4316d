// A loop that is turned by hand and a log in memory, for tests of the partition's driver alone.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/assert.h"
#include "src/env/loop.h"
#include "src/log/log.h"
#include "src/model/record.h"

namespace bascule::partition {

class ManualLoop final : public env::Loop {
 public:
  MonotonicTime now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void post(env::Task task) override { tasks_.push_back(std::move(task)); }
  env::TimerId schedule(MonotonicTime at, env::Task task) override {
    const env::TimerId id(++last_timer_);
    timers_.emplace(std::pair(std::max(at, now_).ns, id.value), std::move(task));
    return id;
  }
  void cancel(env::TimerId timer) override {
    std::erase_if(timers_, [&](const auto& t) { return t.first.second == timer.value; });
  }
  void at_turn_end(env::Task task) override { post(std::move(task)); }
  void fail_stop(const Error& why) override { failed_ = why; }

  // Runs all that is ready now.
  void settle() {
    while (!tasks_.empty()) {
      env::Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  void advance(Duration by) {
    const MonotonicTime end = now_ + by;
    settle();
    while (!timers_.empty() && timers_.begin()->first.first <= end.ns) {
      auto node = timers_.extract(timers_.begin());
      set_now({node.key().first});
      node.mapped()();
      settle();
    }
    set_now(end);
  }
  void jump_wall(Duration by) { wall_ = wall_ + by; }
  size_t timers() const { return timers_.size(); }

 private:
  void set_now(MonotonicTime at) {
    wall_ = wall_ + (at - now_);
    now_ = at;
  }

  MonotonicTime now_{1'000};
  WallTime wall_{seconds(1'700'000'000).ns};
  std::deque<env::Task> tasks_;
  std::map<std::pair<int64_t, uint64_t>, env::Task> timers_;
  uint64_t last_timer_ = 0;
  std::optional<Error> failed_;
};

// Keeps batches in memory; how far they are written and durable, and whether there is space, is the
// test's to say.
class MemoryLog final : public log::Log {
 public:
  explicit MemoryLog(ManualLoop& loop) : loop_(loop) {}

  void set_progress(Offset written, Offset durable) {
    written_ = written;
    durable_ = durable;
    loop_.post([this] { observer_(); });
  }
  void sync_all() { set_progress(leo(), leo()); }
  void set_full(bool full) { full_ = full; }
  void answer_space(Status status) {
    ASSERT(!space_.empty());
    auto done = std::move(space_.front());
    space_.pop_front();
    loop_.post([done = std::move(done), status = std::move(status)]() mutable { done(status); });
  }
  size_t space_asked() const { return space_.size(); }
  const std::vector<model::BatchHeader>& headers() const { return headers_; }
  bool stopped() const { return stopped_; }
  Offset noted_hw() const { return hw_; }

  const Uuid& id() const override { return id_; }
  Offset log_start() const override { return start_; }
  Offset leo() const override { return headers_.empty() ? start_ : headers_.back().next_offset(); }
  Offset written_leo() const override { return written_; }
  Offset durable_leo() const override { return durable_; }
  Epoch last_epoch() const override { return headers_.empty() ? Epoch{} : headers_.back().epoch; }
  WallTime last_append_time() const override {
    return headers_.empty() ? WallTime{} : headers_.back().append_time;
  }
  const std::vector<log::EpochStart>& epochs() const override { return epochs_; }
  const log::RecoveryReport& recovery() const override { return report_; }
  log::LogStats stats() const override { return {}; }
  std::vector<log::SegmentInfo> segments() const override {
    std::vector<log::SegmentInfo> out;
    for (const auto& h : headers_) {
      if (h.next_offset() > start_)
        out.push_back({h.base_offset, h.next_offset(), h.total_bytes, h.append_time});
    }
    return out;
  }
  bool has_space(size_t) const override { return !full_; }
  void make_space(size_t, env::Done<void> done) override { space_.push_back(std::move(done)); }
  log::Appended append(const model::BatchHeader& header, ByteView body) override {
    REQUIRE(header.base_offset == leo() && !full_);
    headers_.push_back(header);
    Bytes bytes(header.total_bytes);
    model::encode_batch_header(header, model::batch_crc_seed(id_), bytes);
    std::ranges::copy(body, bytes.begin() + limits::k_batch_header_bytes);
    batches_.push_back(Slice::copy_of(bytes));
    return {log::Ticket(headers_.size()), header.base_offset, header.next_offset()};
  }
  Result<log::Appended> append_sealed(ByteView) override { return fail(Errc::unsupported); }
  void durable(log::Ticket, env::Done<void>) override { ASSERT(false); }
  void written(log::Ticket, env::Done<void>) override { ASSERT(false); }
  void on_progress(std::move_only_function<void()> observer) override {
    observer_ = std::move(observer);
  }
  void set_durability(model::DurabilityMode mode) override { mode_ = mode; }
  model::DurabilityMode durability() const { return mode_; }
  void sync(env::Done<void>) override { ASSERT(false); }
  void read(log::ReadOptions options, env::Done<log::ReadResult> done) override {
    Result<log::ReadResult> out = log::ReadResult{{}, options.from};
    size_t bytes = 0;
    for (size_t i = 0; i < headers_.size(); ++i) {
      if (headers_[i].next_offset() <= options.from || headers_[i].base_offset >= options.until)
        continue;
      bytes += batches_[i].size();
      if (bytes > options.bytes_max && !out->batches.empty()) break;
      out->batches.push_back(batches_[i]);
      out->next = headers_[i].next_offset();
    }
    if (options.from < start_) out = fail(Errc::not_found, "below the log's start");
    if (read_error_) out = fail(*read_error_);
    loop_.post([done = std::move(done), out = std::move(out)]() mutable { done(std::move(out)); });
  }
  void fail_reads(Error error) { read_error_ = std::move(error); }
  void find_time(WallTime time, env::Done<Offset> done) override {
    Offset found = leo();
    for (auto it = headers_.rbegin(); it != headers_.rend() && it->append_time >= time; ++it)
      found = it->base_offset;
    loop_.post([done = std::move(done), found]() mutable { done(found); });
  }
  void truncate(Offset, env::Done<void>) override { ASSERT(false); }
  void restart_at(Offset, env::Done<void>) override { ASSERT(false); }
  void set_log_start(Offset to, env::Done<void> done) override {
    REQUIRE(to <= durable_ && to >= start_);
    start_ = to;
    loop_.post([done = std::move(done)]() mutable { done({}); });
  }
  void note_hw(Offset hw) override {
    ASSERT(hw >= hw_, hw, hw_);
    hw_ = hw;
  }
  Offset recovered_hw() const override { return {}; }
  void compact_thin_segments(env::Done<void>) override { ASSERT(false); }
  void stop(env::Done<void> done) override {
    stopped_ = true;
    loop_.post([done = std::move(done)]() mutable { done({}); });
  }
  void check_invariants() const override {}

 private:
  ManualLoop& loop_;
  Uuid id_{{7, 9}};
  std::vector<model::BatchHeader> headers_;
  std::vector<Slice> batches_;
  std::vector<log::EpochStart> epochs_;
  log::RecoveryReport report_;
  std::deque<env::Done<void>> space_;
  std::move_only_function<void()> observer_;
  model::DurabilityMode mode_ = model::DurabilityMode::fsync;
  Offset start_;
  Offset written_;
  Offset durable_;
  Offset hw_;
  std::optional<Error> read_error_;
  bool full_ = false;
  bool stopped_ = false;
};

// A client's batch of `count` records whose values are `size` bytes.
inline BufferRef client_batch(uint32_t count, size_t size = 8) {
  model::BatchBuilder builder;
  for (uint32_t i = 0; i < count; ++i) {
    model::Record record;
    record.timestamp = WallTime{1'000 + i};
    record.subject = "test." + std::to_string(i);
    record.value = std::string(size, static_cast<char>('a' + i % 26));
    const Status added = builder.add(model::view_of(record));
    ASSERT(added.has_value());
  }
  return builder.finish();
}

}  // namespace bascule::partition

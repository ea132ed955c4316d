#include "tests/log/small_scope.h"

#include <algorithm>

#include "sim/world/trace_hash.h"

namespace bascule::log::testing {
namespace {

LogStoreOptions store_options(const ScopeOptions& scope) {
  LogStoreOptions o;
  o.segment_bytes = scope.roomy ? 4096 : 1;
  o.extent_bytes_first = scope.roomy ? 16384 : 4096;
  o.tail_bytes_max = 0;
  o.reserve_bytes = 0;
  o.index_interval_bytes = 1;
  o.memory_sync_interval = milliseconds(5);
  return o;
}

sim::NodeOptions node_options() {
  sim::NodeOptions o;
  o.disk.fixed_latency = true;
  o.disk.bytes_max = 16 << 20;
  return o;
}

}  // namespace

SmallScope::SmallScope(sim::Chooser& chooser, const ScopeOptions& options, uint64_t seed,
                       ScopeCounts& counts, MetStates* met)
    : options_(options),
      counts_(counts),
      met_(met),
      bench_(seed, &chooser, store_options(options), node_options()),
      chooser_(chooser),
      crashes_left_(options.crashes),
      operations_left_(options.operations),
      records_left_(options.records),
      rot_left_(options.rot),
      fault_left_(options.failed_write) {}

uint32_t SmallScope::choose(uint32_t options) {
  return chooser_.choose({sim::Domain::plan, 99, choices_++}, options);
}

template <class F>
void SmallScope::step_until(F done) {
  for (uint64_t steps = 0; alive() && !done() && !failure_; ++steps) {
    if (!bench_.sim().step() || steps > 2'000'000) return wrong("an operation never ends");
    if (!alive()) break;
    const uint64_t sequence = bench_.device().storage().sequence();
    // When the disk has changed, and when the process has heard of it and begun what comes next.
    if (sequence != last_sequence_) {
      last_sequence_ = sequence;
      heard_ = true;
      maybe_crash();
    } else if (std::exchange(heard_, false)) {
      maybe_crash();
    }
  }
  if (!alive()) note_death();
}

template <class T, class F>
std::optional<Result<T>> SmallScope::await(F start) {
  auto slot = std::make_shared<std::optional<Result<T>>>();
  bench_.node().world().loop.post([start = std::move(start), slot]() mutable {
    start(env::Done<T>([slot](Result<T> r) { slot->emplace(std::move(r)); }));
  });
  step_until([&] { return slot->has_value(); });
  if (!alive()) return {};  // what died never heard of it
  return std::move(*slot);
}

void SmallScope::maybe_crash() {
  if (crashes_left_ > 0 && choose(options_.crash_odds) == 1) crash();
}

void SmallScope::crash() {
  --crashes_left_;
  ++counts_.crashes;
  const bool machine = choose(2) == 1;
  tell(machine ? "machine crash" : "process crash");
  if (machine) {
    if (options_.memory) min_ = synced_;
    bench_.crash_machine();
  } else {
    bench_.crash_process();
  }
}

void SmallScope::note_death() {
  if (bench_.death() && bench_.death()->cause == sim::DeathCause::fail_stop) {
    tell("fail stop: " + bench_.death()->why.to_string());
    // A failed sync may take from the page cache what it did not write.
    if (options_.memory) min_ = std::min(min_, synced_);
  }
  // Death at the end of a stop: whether *clean* was written, the next start tells.
  if (!stopping_) ever_crashed_ = ever_crashed_ || known_;
  stopped_clean_ = false;
}

void SmallScope::maybe_rot() {
  if (!rot_left_) return;
  sim::Storage& storage = bench_.device().storage();
  std::vector<std::pair<std::string, uint64_t>> places;
  for (const std::string& path : storage.files()) {
    const auto inode = storage.find(path);
    if (!inode) continue;
    const uint64_t size = storage.size(*inode);
    for (uint64_t at = 0; at < size; at += env::k_sector_bytes) {
      const Slice bytes = storage.read(*inode, at, env::k_sector_bytes);
      if (std::any_of(bytes.view().begin(), bytes.view().end(), [](uint8_t b) { return b != 0; }))
        places.emplace_back(path, at);
    }
  }
  const uint32_t pick = choose(static_cast<uint32_t>(places.size()) + 1);
  if (pick == 0) return;
  const auto& [path, at] = places[pick - 1];
  rot_left_ = false;
  rotted_ = true;
  logs_rotted_ = path == "logs/logs";
  tell("rot: " + path + " at " + std::to_string(at));
  storage.flip(*storage.find(path), at + 17, 0x20);
}

std::optional<std::string> SmallScope::run() {
  ++counts_.histories;
  for (int lives = 0; !over_ && !failure_; ++lives) {
    if (lives > 30) wrong("too many lives");
    if (lives > 0) maybe_rot();
    if (met_ != nullptr && lives > 0 && met_before()) break;
    life();
  }
  // Nothing is left in flight for the end of the world to decide about.
  bench_.run_for(seconds(3));
  return failure_;
}

bool SmallScope::met_before() {
  const WallTime begin{1'700'000'000'000'000'000 + seconds(60).ns * lives_begun_};
  ++lives_begun_;
  bench_.node().jump_wall(begin - bench_.node().wall());
  if (!bench_.device().quiet() || failure_) return false;
  sim::TraceHash state;
  const auto add = [&](const std::optional<uint64_t>& value) {
    state.add(value ? 1 : 0, value.value_or(0));
  };
  const Uuid storage = bench_.device().storage().state_hash();
  state.add(storage.words[0], storage.words[1]);
  state.add(bench_.device().boot_id().words[0], bench_.device().armed());
  for (const int left : {crashes_left_, operations_left_, records_left_, names_})
    state.add(static_cast<uint64_t>(left));
  for (const bool flag : {rot_left_, fault_left_, rotted_, stopped_clean_, known_, was_suspect_,
                          stopping_, ever_crashed_, logs_rotted_})
    state.add(flag ? 1 : 0);
  for (const uint64_t value : {min_, synced_, log_start_min_, log_start_max_}) state.add(value);
  add(cut_to_);
  for (const auto* records : {&all_, &ghosts_}) {
    state.add(records->size());
    for (const Record& record : *records) {
      state.add_bytes(as_bytes(record.value));
      state.add(record.readable ? 1 : 0);
    }
  }
  if (met_->insert(state.value()).second) {
    ++counts_.states;
    return false;
  }
  ++counts_.met;
  return true;
}

void SmallScope::life() {
  ++counts_.lives;
  tell("start");
  last_sequence_ = bench_.device().storage().sequence();
  bench_.begin_life();
  auto opened = await<std::unique_ptr<LogStore>>([this](auto done) {
    open_log_store(bench_.node().world(), bench_.options(), std::move(done));
  });
  if (!opened) return;
  if (!*opened) {
    if (!rotted_) wrong("store: " + opened->error().to_string());
    over_ = true;
    return;
  }
  bench_.hold(std::move(**opened));
  const LogOptions log_options = Bench::log_options(options_.memory ? model::DurabilityMode::memory
                                                                    : model::DurabilityMode::fsync);
  auto log = await<std::unique_ptr<Log>>(
      [&](auto done) { bench_.store().open_log(log_options, std::move(done)); });
  if (!log) return;
  if (!*log) {
    // The manifest itself has rotted.
    if (!rotted_) wrong("log: " + log->error().to_string());
    over_ = true;
    return;
  }
  bench_.hold(std::move(**log));
  auto served = await<void>([this](auto done) { bench_.store().start_serving(std::move(done)); });
  if (!served) return;
  if (!*served) return wrong("serve: " + served->error().to_string());
  ++counts_.recoveries;
  recovered();
  while (alive() && !failure_ && !over_ && operations_left_ > 0) operate();
  if (!alive() || failure_ || over_ || stopped_clean_) return;
  if (crashes_left_ > 0) {
    crash();
    note_death();
    return;
  }
  // The last life shows that the log can still be used.
  append(true);
  if (alive() && !failure_) check_reads(rotted_);
  over_ = true;
}

void SmallScope::recovered() {
  known_ = true;
  if (std::exchange(stopping_, false) && !stopped_clean_)
    ever_crashed_ = ever_crashed_ || !bench_.store().clean_start();
  Log& log = bench_.log();
  log.check_invariants();
  const uint64_t leo = log.leo().value;
  const RecoveryReport& report = log.recovery();
  tell("recovered: [" + log.log_start().to_string() + ", " + log.leo().to_string() +
       ") condition " + std::to_string(static_cast<int>(report.condition)) + " allowed " +
       std::to_string(min_) + ".." + std::to_string(all_.size()));
  if (log.durable_leo() != log.leo()) wrong("a recovered log has an end that is not durable");
  while (logs_rotted_ && leo > all_.size() && !ghosts_.empty()) {
    all_.push_back(ghosts_.front());
    ghosts_.erase(ghosts_.begin());
  }
  if (leo > all_.size()) wrong("the log is longer than what was appended");
  const bool cut_done = cut_to_ && leo == *cut_to_;
  if (leo < min_ && !cut_done) {
    const bool told =
        report.condition == Condition::damaged ||
        (report.condition == Condition::suspect && bench_.store().suspect(k_partition));
    if (!rotted_ || !told) wrong("durable records are gone");
    ++counts_.suspect_cuts;
  }
  if (log.log_start().value < log_start_min_ || log.log_start().value > log_start_max_)
    wrong("the log's start is not where it was put");
  if (stopped_clean_ && !rotted_) {
    if (report.condition != Condition::clean && !ever_crashed_ && !was_suspect_)
      wrong("a clean stop was not found clean");
    if (leo != all_.size()) wrong("a clean stop has lost records");
    if (!bench_.store().clean_start()) wrong("the start is not clean");
  }
  // Unclean: suspect, until somebody clears it.
  if (ever_crashed_ && all_.size() > 0 && !report.created && !report.lost && min_ > 0 &&
      !bench_.store().suspect(k_partition))
    wrong("an unclean stop did not leave the log suspect");
  if (report.condition == Condition::damaged) {
    ++counts_.damaged;
    if (!rotted_) wrong("damage, and nothing has rotted");
  }
  for (const OffsetRange& range : report.damaged)
    for (uint64_t o = range.first.value; o < std::min(range.next.value, all_.size()); ++o)
      all_[o].readable = false;
  if (leo < all_.size() && !cut_done) {
    ghosts_.assign(all_.begin() + static_cast<ptrdiff_t>(leo), all_.end());
    all_.resize(leo);
  }
  all_.resize(std::min<size_t>(all_.size(), leo));
  min_ = synced_ = leo;
  cut_to_.reset();
  log_start_min_ = log_start_max_ = log.log_start().value;
  check_reads(rotted_);
  stopped_clean_ = false;
  was_suspect_ = bench_.store().suspect(k_partition);
}

void SmallScope::check_reads(bool damage_allowed) {
  const int crashes = std::exchange(crashes_left_, 0);  // reading is tried in peace
  for (uint64_t o = bench_.log().log_start().value; o < all_.size() && alive(); ++o) {
    auto read = await<ReadResult>(
        [&](auto done) { bench_.log().read({Offset(o), Offset(o + 1), 1}, std::move(done)); });
    if (!read) break;
    if (!*read) {
      if (!damage_allowed || read->error().code != Errc::corrupt)
        wrong("offset " + std::to_string(o) + ": " + read->error().to_string());
      continue;
    }
    std::vector<std::string> values;
    for (const Slice& slice : (**read).batches) Bench::values_of(slice, values);
    if (values.size() != 1 || values[0] != all_[o].value)
      wrong("offset " + std::to_string(o) + " reads " + (values.empty() ? "nothing" : values[0]) +
            " and is " + all_[o].value);
  }
  crashes_left_ = crashes;
}

void SmallScope::operate() {
  --operations_left_;
  if (fault_left_) {
    const uint32_t fault = choose(4);
    if (fault != 0) {
      fault_left_ = false;
      const sim::DiskFault kinds[] = {sim::DiskFault::write_error,
                                      sim::DiskFault::sync_marked_clean,
                                      sim::DiskFault::sync_dropped};
      tell("armed: " + std::string(sim::disk_fault_name(kinds[fault - 1])));
      bench_.device().arm(kinds[fault - 1]);
    }
  }
  std::vector<Op> ops;
  const bool some = bench_.log().leo() > bench_.log().log_start();
  if (records_left_ > 0) ops = {Op::append_durably, Op::append};
  if (options_.truncation && some) ops.push_back(Op::truncate);
  if (options_.retention && some) ops.push_back(Op::retain);
  if (options_.clean_stop) ops.push_back(Op::stop);
  if (ops.empty()) return;
  switch (ops[choose(static_cast<uint32_t>(ops.size()))]) {
    case Op::append_durably: return append(true);
    case Op::append: return append(false);
    case Op::truncate: return truncate();
    case Op::retain: return retain();
    case Op::stop: return stop();
  }
}

void SmallScope::append(bool wait) {
  --records_left_;
  const std::string value = "r" + std::to_string(names_++);
  tell((wait ? "append durably " : "append ") + value);
  const BufferRef bytes = make_batch(value);
  auto header = *model::decode_batch_header(bytes.view(), 0);
  auto room =
      await<void>([&](auto done) { bench_.log().make_space(header.total_bytes, std::move(done)); });
  if (!room) return;
  if (!*room) return wrong("no room: " + room->error().to_string());
  auto ticket = std::make_shared<std::optional<Ticket>>();
  all_.push_back({value});
  ghosts_.clear();
  bench_.node().world().loop.post([this, header, bytes, ticket]() mutable {
    header.base_offset = bench_.log().leo();
    header.epoch = Epoch(1);
    header.append_time =
        std::max(bench_.node().world().loop.wall(), bench_.log().last_append_time());
    *ticket =
        bench_.log().append(header, bytes.view().subspan(limits::k_batch_header_bytes)).ticket;
  });
  step_until([&] { return ticket->has_value(); });
  if (alive()) maybe_crash();  // with the write in flight
  if (!alive()) note_death();
  if (!alive() || !wait) return;
  auto done = await<void>([&](auto d) {
    if (options_.memory) {
      bench_.log().written(**ticket, std::move(d));
    } else {
      bench_.log().durable(**ticket, std::move(d));
    }
  });
  if (!done) return;
  if (!*done) return wrong("durable: " + done->error().to_string());
  min_ = all_.size();
  synced_ = bench_.log().durable_leo().value;
}

void SmallScope::truncate() {
  const uint64_t to = bench_.log().leo().value - 1;
  tell("truncate to " + std::to_string(to));
  cut_to_ = to;
  auto done = await<void>([&](auto d) { bench_.log().truncate(Offset(to), std::move(d)); });
  if (!done) {
    // Before it cut anything it made all durable.
    return;
  }
  if (!*done) {
    // A rotten segment may not tell where the cut is.
    if (!rotted_) wrong("truncate: " + done->error().to_string());
    cut_to_.reset();
    return;
  }
  all_.resize(to);
  min_ = synced_ = to;
  cut_to_.reset();
  if (bench_.log().leo().value != to) wrong("truncation ended elsewhere");
}

void SmallScope::retain() {
  const uint64_t to = bench_.log().durable_leo().value;
  tell("log start to " + std::to_string(to));
  if (to < log_start_min_) return;
  log_start_max_ = to;
  auto done = await<void>([&](auto d) { bench_.log().set_log_start(Offset(to), std::move(d)); });
  if (!done) return;
  if (!*done) return wrong("log start: " + done->error().to_string());
  log_start_min_ = to;
}

void SmallScope::stop() {
  tell("stop");
  auto stopped = await<void>([&](auto d) { bench_.log().stop(std::move(d)); });
  if (!stopped) return;
  if (!*stopped) return wrong("stop: " + stopped->error().to_string());
  min_ = synced_ = all_.size();
  stopping_ = true;
  auto all = await<void>([&](auto d) { bench_.store().stop(std::move(d)); });
  if (!all) return;
  if (!*all) return wrong("stop: " + all->error().to_string());
  bench_.node().exit();
  stopped_clean_ = true;
}

}  // namespace bascule::log::testing

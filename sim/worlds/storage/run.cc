// One run of the world `storage`: plays the plan's operations into the logs, keeps the ledgers, and asks
// the oracles.
#include <algorithm>
#include <utility>

#include "sim/faults/fault_driver.h"
#include "sim/oracles/crash_image_checker.h"
#include "sim/oracles/log_ledger.h"
#include "sim/world/network.h"
#include "sim/worlds/storage/batches.h"
#include "sim/worlds/storage/log_program.h"
#include "sim/worlds/storage/storage_world.h"
#include "src/base/crc32c.h"
#include "src/log/format.h"

namespace bascule::sim {
namespace {

constexpr uint64_t k_images_per_crash = 3;
constexpr uint64_t k_acks_per_check = 12;
constexpr uint64_t k_many = 1'000'000;

LogSetup setup_of(const Plan& plan) {
  const auto bytes = [&](const char* name, int64_t fallback) {
    return static_cast<uint64_t>(plan.get(name, fallback));
  };
  LogSetup out;
  out.store.segment_bytes = bytes("segment_bytes", 16384);
  if (plan.get("segment_span_us") > 0)
    out.store.segment_span = microseconds(plan.get("segment_span_us"));
  out.store.reserve_bytes = 8192;  // small, so that damage hits other files
  out.store.extent_bytes_first = bytes("extent_bytes", 8192);
  out.store.index_interval_bytes = bytes("index_interval", 1024);
  out.store.recovery_point_interval_bytes = bytes("recovery_interval", 16384);
  out.store.group_bytes_max = bytes("group_bytes", 16384);
  out.store.pool_bytes_max = bytes("pool_bytes", 65536);
  out.store.tail_bytes_max = bytes("tail_bytes", 4096);
  out.store.memory_sync_interval = microseconds(plan.get("memory_sync_us", 5000));
  const int64_t logs = std::clamp<int64_t>(plan.get("logs", 1), 1, 16);
  for (int64_t i = 0; i < logs; ++i) {
    const auto n = static_cast<uint64_t>(i);
    log::LogOptions log;
    log.partition = {StreamId(7), PartitionIndex(static_cast<uint32_t>(i))};
    log.assignment = AssignmentId(100 + n);
    log.log_id = Uuid{{draw(plan.seed, {Domain::workload, n, 1}), 1 + n}};
    log.durability =
        i < plan.get("memory_logs") ? model::DurabilityMode::memory : model::DurabilityMode::fsync;
    log.metadata_index = Index(1);
    out.logs.push_back(log);
  }
  return out;
}

// What is known of one log beside its ledger.
struct LogState {
  Epoch epoch{1};
  Offset hw_noted;  // highest that was ever noted
  bool suspect_mark = false;
  bool truncating = false;
  Offset last_segment = Offset(UINT64_MAX);         // where the segment began that was written last
  Offset last_segment_before = Offset(UINT64_MAX);  // the same, of the life before
  Offset looked_from;                               // openings do not look at what lies below
  Offset certain_before;  // how far the log was certain to reach when it was opened
  uint64_t damages = 0;   // places in its segments that the plan has hit
  bool stopped = false;   // open at the last clean stop: it says nothing of a log that did not open
};

class StorageRun final : public LogWatcher {
 public:
  StorageRun(const Plan& plan, const RunOptions& options)
      : plan_(plan),
        setup_(setup_of(plan)),
        sim_(plan.seed, options.chooser),
        verdict_(sim_),
        faults_(sim_, plan, [this](Node&) { start(); }),
        states_(setup_.logs.size()) {
    sim_.narrate(options.narrate);
    for (const log::LogOptions& log : setup_.logs) ledgers_.emplace_back(log.log_id);
    NodeOptions node;
    node.disk.bytes_max = static_cast<uint64_t>(plan.get("disk_bytes", 1 << 28));
    node_ = &sim_.add_node(node);
  }

  Outcome run() {
    faults_.on_death([this](Node&, const Death& death) { died(death); });
    faults_.before_crash([this](Node&) { sample_images(); });
    start();
    faults_.begin();
    for (const PlanItem& item : plan_.operations)
      sim_.at(item.at, [this, &item] { operate(item); });
    const auto over = [this] { return verdict_.fired(); };
    if (!sim_.run_until_true(plan_.end, over)) {
      // Full heal: what is left must open, serve, and hold what was promised.
      faults_.heal();
      node_->device().set_slowness(1);
      node_->device().storage().set_bytes_max(uint64_t{1} << 30);
      sim_.run_until_true(sim_.now() + seconds(30), [&] {
        return over() || (program() != nullptr && program()->serving() && verifying_ == 0);
      });
      if (!over() && (program() == nullptr || !program()->serving()) && !lost_all_)
        verdict_.fire("O17", "the store does not serve after all faults have ended");
    }
    return outcome_of(sim_, verdict_);
  }

 private:
  LogProgram* program() { return static_cast<LogProgram*>(node_->program()); }

  // A completion sees the damage that was done before it.
  template <class F>
  auto heard(F f) {
    return program()->heard([this, f = std::move(f)](auto&&... args) mutable {
      note_damage();
      f(std::forward<decltype(args)>(args)...);
    });
  }

  void start() {
    node_->start([this](env::World& world) {
      return std::make_unique<LogProgram>(*node_, world, setup_, *this, true);
    });
  }

  // --- Deaths --------------------------------------------------------------------------------------

  void died(const Death& death) {
    verifying_ = 0;
    note_damage();
    for (LogState& state : states_) state.truncating = false;
    if (death.cause == DeathCause::machine_crash) {
      same_boot_ = false;
      for (LogLedger& ledger : ledgers_) ledger.forget_written();
    }
    if (sync_failures_ != node_->device().sync_failures()) {
      sync_failures_ = node_->device().sync_failures();
      for (LogLedger& ledger : ledgers_) ledger.forget_written();
    }
    sample_images();
  }

  // What a machine's crash at this moment may leave: O13.
  void sample_images() {
    note_damage();
    for (uint64_t i = 0; i < k_images_per_crash && !verdict_.fired(); ++i)
      check_image(sampled_image(), "O13", "a legal crash image");
  }

  Storage sampled_image() {
    SeededChooser chooser(mix64(plan_.seed + 1));
    return node_->device().crash_image(chooser, mix64(++images_));
  }

  void check_image(const Storage& image, const char* oracle, const char* what) {
    sim_.count("oracle.images");
    const std::string wrong =
        check_crash_image(image, setup_, ledgers_, mix64(plan_.seed ^ images_));
    if (!wrong.empty()) verdict_.fire(oracle, std::string("in ") + what + ": " + wrong);
  }

  // Damage that the plan has done since the last look: to which logs.
  void note_damage() {
    const std::vector<Damage>& damage = node_->device().damage();
    for (; damage_seen_ < damage.size(); ++damage_seen_) {
      const Damage& d = damage[damage_seen_];
      sim_.tell("oracle", "damage in " + d.path);
      // An unreadable sector goes along when its file is recycled for another log.
      bool ours = false;
      bool whole = d.kind == Damage::Kind::unreadable;
      for (size_t i = 0; i < ledgers_.size(); ++i) {
        const log::LogOptions& log = setup_.logs[i];
        const std::string directory =
            setup_.store.directory + "/" + log::log_directory_name(log.partition, log.assignment);
        if (whole || !d.path.starts_with(directory)) continue;
        ours = true;
        // An index is always rebuilt from what it indexes.
        if (d.path.ends_with(".index")) continue;
        ledgers_[i].damage();
        ++states_[i].damages;
        if (d.path.ends_with(".log")) continue;
        ledgers_[i].forget_certain();
        states_[i].damages = k_many;
      }
      if (ours) continue;
      if (!whole) {
        clean_possible_ = true;
        lost_all_ = true;
      }
      for (LogLedger& ledger : ledgers_) {
        ledger.damage();
        ledger.forget_certain();
        states_[static_cast<size_t>(&ledger - ledgers_.data())].damages = k_many;
      }
    }
  }

  // --- The watcher ---------------------------------------------------------------------------------

  void opening() override {
    note_damage();
    sync_failures_ = node_->device().sync_failures();
    damage_at_opening_ = damage_seen_;
    sim_.count("op.open");
  }

  void opened(size_t index, log::Log& log) override {
    note_damage();
    LogLedger& ledger = ledgers_[index];
    LogState& state = states_[index];
    const std::string name = "log " + std::to_string(index);
    const log::RecoveryReport& report = log.recovery();
    sim_.trace().add(log.leo().value, log.log_start().value);
    sim_.count(report.condition == log::Condition::clean     ? "recovery.clean"
               : report.condition == log::Condition::suspect ? "recovery.suspect"
                                                             : "recovery.damaged");
    sim_.tell("oracle", name + " recovered: [" + log.log_start().to_string() + ", " +
                            log.leo().to_string() + "), promised " + ledger.synced().to_string());
    state.certain_before = ledger.certain();
    if (state.damages == 1) state.certain_before = std::max(ledger.certain(), ledger.marked());
    if (ledger.damaged()) {
      // What one disk may lose, told: never silently.
      if (log.leo() < ledger.synced() && report.condition == log::Condition::clean &&
          !report.lost && !report.created)
        verdict_.fire("O14", name + " has lost records and calls itself clean");
      if (log.leo() < state.certain_before && report.condition != log::Condition::damaged)
        verdict_.fire("O14", name + " ends at " + log.leo().to_string() +
                                 ", it was certain to reach " + state.certain_before.to_string() +
                                 ", and it is not called damaged");
    } else {
      check_report(name, index, log, report);
    }
    if (report.condition == log::Condition::suspect) state.suspect_mark = true;
    state.last_segment_before = std::exchange(state.last_segment, Offset(UINT64_MAX));
    ledger.recovered(log.log_start(), log.leo());
    if (ledger.last_epoch() > state.epoch) state.epoch = ledger.last_epoch();
    if (!ledger.damaged() && !ledger.same_epochs(log.epochs(), log.log_start(), log.leo()))
      verdict_.fire("O3", name + ": its epochs are not those of its batches");
    if (log.recovered_hw() > log.leo() ||
        log.recovered_hw() > std::max(state.hw_noted, log.log_start()))
      verdict_.fire("O6",
                    name + ": recovered a high watermark of " + log.recovered_hw().to_string());
    log.check_invariants();
    log.on_progress([this, index, &log] { progressed(index, log); });
  }

  void check_report(const std::string& name, size_t index, log::Log& log,
                    const log::RecoveryReport& report) {
    const LogLedger& ledger = ledgers_[index];
    const LogState& state = states_[index];
    if (log.leo() < ledger.synced())
      verdict_.fire("O1", name + " ends at " + log.leo().to_string() +
                              ", synced and acknowledged was " + ledger.synced().to_string());
    if (log.leo() < ledger.written())
      verdict_.fire("O1", name + " ends at " + log.leo().to_string() +
                              " after the end of a process, written and acknowledged was " +
                              ledger.written().to_string());
    if (!ledger.boundary(log.leo()) && log.leo() != log.log_start())
      verdict_.fire("O13", name + " ends at " + log.leo().to_string() + ", no batch's end");
    if (log.log_start() < ledger.start_min() || log.log_start() > ledger.start_max())
      verdict_.fire("O15", name + " begins at " + log.log_start().to_string());
    if (report.condition == log::Condition::damaged)
      verdict_.fire("O13", name + " is called damaged, and nothing has damaged it");
    if (report.lost) verdict_.fire("O13", name + " is called lost, and is not");
    if (report.created && ledger.end().value > 0 && ledger.synced().value > 0)
      verdict_.fire("O1", name + " was made anew over what there was");
    // In memory mode the same boot is proof enough, unless pages went with a failed sync.
    const bool survived =
        setup_.logs[index].durability == model::DurabilityMode::memory && same_boot_;
    if (report.condition == log::Condition::clean && !clean_possible_ && !survived &&
        !report.created)
      verdict_.fire("O13", name + " is called clean after an unclean stop");
    if (clean_certain_ && state.stopped && !state.suspect_mark &&
        report.condition != log::Condition::clean)
      verdict_.fire("O13", name + " is not called clean after a clean stop");
    if (clean_certain_ && state.stopped && log.leo() != ledger.end())
      verdict_.fire("O13", name + " ends elsewhere than where it was stopped");
  }

  void failed_to_open(size_t index, const Error& error) override {
    note_damage();
    // A sync that failed while the log was opened: the process starts again.
    if (sync_failures_ != node_->device().sync_failures()) return node_->crash_process();
    if (!ledgers_[index].damaged() && error.code != Errc::no_space)
      verdict_.fire("O13", "log " + std::to_string(index) + " does not open: " + error.to_string());
  }

  void start_begun() override { clean_certain_ = false; }
  void serving() override {
    same_boot_ = true;
    clean_possible_ = false;
    for (size_t i = 0; i < ledgers_.size(); ++i) {
      if (log::Log* log = program()->log(i)) {
        if (log->recovery().condition != log::Condition::clean) states_[i].looked_from = log->leo();
        ledgers_[i].settled(log->leo());
        ledgers_[i].make_certain(log->leo());
        ++verifying_;
        verify_on(i, *log, log->log_start());
      }
    }
  }
  void stop_begun() override { clean_possible_ = true; }
  void stopped() override {
    clean_certain_ = true;
    for (size_t i = 0; i < ledgers_.size(); ++i) {
      log::Log* log = program()->log(i);
      states_[i].stopped = log != nullptr;
      if (log != nullptr) ledgers_[i].make_certain(log->leo());
    }
    sim_.count("op.stopped");
    node_->exit();
  }

  void progressed(size_t index, log::Log& log) {
    note_damage();
    LogLedger& ledger = ledgers_[index];
    if (log.durable_leo() > log.written_leo() || log.written_leo() > log.leo())
      verdict_.fire("O6", "durable " + log.durable_leo().to_string() + ", written " +
                              log.written_leo().to_string() + ", LEO " + log.leo().to_string());
    if (states_[index].truncating) return;
    const auto segments = log.segments();
    if (!segments.empty()) states_[index].last_segment = segments.back().first;
    const bool more = log.durable_leo() > ledger.synced();
    ledger.promise_synced(log.durable_leo());
    if (setup_.logs[index].durability == model::DurabilityMode::memory)
      ledger.promise_written(log.written_leo());
    if (more && draw_below(plan_.seed, {Domain::oracle, index, ++acks_}, k_acks_per_check) == 0) {
      check_image(node_->device().storage().worst_image(), "O2", "the worst crash image at an ack");
      if (!verdict_.fired()) check_image(sampled_image(), "O13", "a legal crash image");
    }
  }

  // --- Reading -------------------------------------------------------------------------------------

  // All that a log holds, from `from` on.
  void verify_on(size_t index, log::Log& log, Offset from) {
    if (from >= log.leo() || program() == nullptr) {
      --verifying_;
      return;
    }
    read(index, log, {from, Offset(UINT64_MAX), 32 << 10},
         [this, index, &log](Offset next, bool end) {
           if (end) {
             --verifying_;
           } else {
             verify_on(index, log, next);
           }
         });
  }

  using AfterRead = std::function<void(Offset next, bool end)>;
  void read(size_t index, log::Log& log, log::ReadOptions options, AfterRead after) {
    const uint64_t truncations = ledgers_[index].truncations();
    const Offset leo = log.leo();
    log.read(
        options, heard([this, index, &log, options, truncations, leo,
                        after = std::move(after)](Result<log::ReadResult> r) {
          note_damage();
          const LogLedger& ledger = ledgers_[index];
          const bool same_history = truncations == ledger.truncations() && !ledger.damaged();
          if (!r) return failed_read(index, log, options, same_history, r.error(), after);
          Offset next = options.from;
          for (const Slice& batches : r->batches) {
            sim_.trace().add_bytes(batches);
            const std::string wrong = ledger.check_batches(batches, next, same_history);
            if (!wrong.empty())
              return verdict_.fire(wrong.substr(0, wrong.find(' ')),
                                   "log " + std::to_string(index) + ": " + wrong);
          }
          if (same_history && next != r->next)
            verdict_.fire("O10", "a read says that it goes on at " + r->next.to_string() +
                                     ", it ends at " + next.to_string());
          if (same_history && r->batches.empty() && options.from < std::min(leo, options.until))
            verdict_.fire("O10", "a read from " + options.from.to_string() +
                                     " gave nothing, LEO is " + leo.to_string());
          if (after) after(next, r->batches.empty());
        }));
  }

  void failed_read(size_t index, log::Log& log, const log::ReadOptions& options, bool same_history,
                   const Error& error, const AfterRead& after) {
    const LogLedger& ledger = ledgers_[index];
    const bool expected = error.code == Errc::stopping || error.code == Errc::stream_deleted ||
                          (error.code == Errc::not_found &&
                           (options.from < std::max(log.log_start(), ledger.start_max()) ||
                            options.from > log.leo()));
    if (!expected && same_history)
      verdict_.fire("O14", "log " + std::to_string(index) + ": a read from " +
                               options.from.to_string() +
                               " failed, and nothing is damaged: " + error.to_string());
    if (error.code == Errc::corrupt) check_told(index, log, options.from);
    if (!after) return;
    const LedgerEntry* entry = ledger.find(options.from);
    const bool skip = error.code == Errc::corrupt || error.code == Errc::io_error;
    after(skip && entry != nullptr ? entry->next : options.from, !skip || entry == nullptr);
  }

  // What cannot be read, and lies where the opening has looked, must have been called damaged by it.
  void check_told(size_t index, log::Log& log, Offset offset) {
    const LogState& state = states_[index];
    const bool looked = damage_seen_ == damage_at_opening_;
    if (looked && offset >= std::max(state.last_segment_before, state.looked_from) &&
        offset < state.certain_before && log.recovery().condition != log::Condition::damaged)
      verdict_.fire("O14", "log " + std::to_string(index) + " has lost " + offset.to_string() +
                               " and is not called damaged");
  }

  // --- Operations ----------------------------------------------------------------------------------

  void operate(const PlanItem& item) {
    LogProgram* p = program();
    if (p == nullptr || !p->serving()) return;
    const auto index = static_cast<size_t>(item.get("log")) % ledgers_.size();
    if (item.verb == "stop") {
      sim_.count("op.stop");
      return p->stop();
    }
    log::Log* log = p->log(index);
    if (log == nullptr) return;
    // Before the call: a log may change within it.
    log->check_invariants();
    sim_.count("op." + item.verb);
    if (item.verb == "append") {
      append(item, index, *log, item.get("burst", 1));
    } else if (item.verb == "read") {
      read(index, *log,
           {pick(item, log->log_start(), log->leo()), Offset(UINT64_MAX),
            static_cast<size_t>(item.get("bytes"))},
           nullptr);
    } else if (item.verb == "find_time") {
      find_time(item, index, *log);
    } else if (item.verb == "sync") {
      sync(index, *log);
    } else if (item.verb == "truncate") {
      truncate(item, index, *log);
    } else if (item.verb == "trim") {
      trim(item, index, *log);
    } else if (item.verb == "compact") {
      log->compact_thin_segments(heard([this](Status s) { expect(s, "compaction"); }));
    } else if (item.verb == "note_hw") {
      const Offset leo = log->durable_leo();
      const auto back = static_cast<uint64_t>(item.get("back"));
      const Offset hw = leo.value > back ? leo - back : Offset{};
      if (hw < log->log_start()) return;
      states_[index].hw_noted = std::max(states_[index].hw_noted, hw);
      log->note_hw(hw);
    } else if (item.verb == "epoch") {
      states_[index].epoch = states_[index].epoch.next();
    } else if (item.verb == "clear_suspect") {
      p->store()->clear_suspect(setup_.logs[index].partition, heard([this, index](Status s) {
                                  if (s) states_[index].suspect_mark = false;
                                  expect(s, "clear_suspect");
                                }));
    }
  }

  static Offset pick(const PlanItem& item, Offset low, Offset high) {
    return low + static_cast<uint64_t>(item.get("pick")) % (high - low + 1);
  }

  // An operation may fail where a disk is full or a log stops, and nowhere else.
  void expect(const Status& s, const char* what) {
    if (s || s.error().code == Errc::no_space || s.error().code == Errc::stopping) return;
    note_damage();
    for (const LogLedger& ledger : ledgers_) {
      if (ledger.damaged()) return;
    }
    verdict_.fire("O18", std::string(what) + " failed: " + s.error().to_string());
  }

  void append(const PlanItem& item, size_t index, log::Log& log, int64_t left) {
    if (left <= 0 || states_[index].truncating || !program()->serving()) return;
    const auto id = item.id * 64 + static_cast<uint64_t>(left);
    const BufferRef batch = make_batch(
        plan_.seed, id, static_cast<uint32_t>(std::clamp<int64_t>(item.get("records", 1), 1, 200)),
        static_cast<uint32_t>(std::clamp<int64_t>(item.get("bytes"), 0, 100'000)),
        static_cast<model::Compression>(item.get("packed") % 3));
    if (!log.has_space(batch.size())) {
      sim_.count("op.wait_for_space");
      log.make_space(batch.size(), heard([this, &item, index, &log, left](Status s) {
                       if (s) return append(item, index, log, left);
                       sim_.count("op.no_space");
                       expect(s, "make_space");
                     }));
      return;
    }
    append_now(item, index, log, batch);
    append(item, index, log, left - 1);
  }

  void append_now(const PlanItem& item, size_t index, log::Log& log, const BufferRef& batch) {
    auto header = model::decode_batch_header(batch.view(), 0);
    ASSERT(header.has_value());
    header->base_offset = log.leo();
    header->epoch = std::max(states_[index].epoch, log.last_epoch());
    header->append_time = std::max(node_->wall(), log.last_append_time());
    Bytes sealed = to_bytes(batch.view());
    model::encode_batch_header(*header, model::batch_crc_seed(setup_.logs[index].log_id), sealed);
    const LedgerEntry entry{header->base_offset, header->next_offset(), crc32c(sealed),
                            header->append_time, header->epoch,         log.durable_leo()};
    ledgers_[index].appended(entry);
    log::Appended appended;
    if (item.get("sealed") != 0) {
      const Result<log::Appended> r = log.append_sealed(sealed);
      if (!r) return verdict_.fire("O11", "a sealed batch was refused: " + r.error().to_string());
      appended = *r;
    } else {
      appended = log.append(*header, batch.view().subspan(limits::k_batch_header_bytes));
    }
    if (appended.base_offset != entry.base || appended.next_offset != entry.next)
      verdict_.fire("O11", "an append reports other offsets than it was given");
    const uint64_t truncations = ledgers_[index].truncations();
    log.durable(
        appended.ticket, heard([this, index, &log, entry, truncations](Status s) {
          if (!s) return expect(s, "durable");
          sim_.count("op.acked");
          if (truncations == ledgers_[index].truncations() && log.durable_leo() < entry.next)
            verdict_.fire("O2", "a ticket is called durable above the durable LEO");
        }));
  }

  void find_time(const PlanItem& item, size_t index, log::Log& log) {
    const LogLedger& ledger = ledgers_[index];
    if (ledger.entries().empty()) return;
    const auto& entries = ledger.entries();
    const LedgerEntry& entry = entries[static_cast<size_t>(item.get("pick")) % entries.size()];
    const WallTime time = entry.append_time + Duration{item.get("pick") % 3 - 1};
    const uint64_t truncations = ledger.truncations();
    const Offset start = log.log_start();
    const Offset leo = log.leo();
    log.find_time(time, heard([this, index, truncations, start, leo, time, &log](Result<Offset> r) {
                    note_damage();
                    const LogLedger& l = ledgers_[index];
                    if (truncations != l.truncations() || l.damaged() || start != log.log_start() ||
                        leo != log.leo())
                      return;
                    if (!r) return expect(fail(r.error()), "find_time");
                    const Offset expected = l.find_time(start, leo, time);
                    if (*r != expected)
                      verdict_.fire("O13", "find_time gives " + r->to_string() +
                                               ", the batches say " + expected.to_string());
                  }));
  }

  void sync(size_t index, log::Log& log) {
    const Offset leo = log.leo();
    const uint64_t truncations = ledgers_[index].truncations();
    log.sync(heard([this, index, leo, truncations, &log](Status s) {
      if (!s) return expect(s, "sync");
      if (truncations != ledgers_[index].truncations() || states_[index].truncating) return;
      if (log.durable_leo() < leo)
        verdict_.fire("O2", "a sync ended before all was durable that came before it");
      ledgers_[index].promise_synced(leo);
    }));
  }

  void truncate(const PlanItem& item, size_t index, log::Log& log) {
    LogState& state = states_[index];
    if (state.truncating) return;
    const auto back =
        std::min(static_cast<uint64_t>(item.get("back")), log.leo() - log.log_start());
    // Never below where the log's start may be on its way to.
    const Offset to = std::max(log.leo() - back, ledgers_[index].start_max());
    if (to > log.leo()) return;
    state.truncating = true;
    ledgers_[index].truncating(to);
    log.truncate(
        to, heard([this, index, to, &log](Status s) {
          states_[index].truncating = false;
          if (!s) return expect(s, "truncate");
          LogLedger& ledger = ledgers_[index];
          const LedgerEntry* cut = ledger.find(to);
          const Offset expected = std::max(cut != nullptr ? cut->base : to, log.log_start());
          if (!ledger.damaged() && log.leo() != expected)
            verdict_.fire("O3", "cut to " + to.to_string() + ", LEO is " + log.leo().to_string());
          ledger.truncated(log.leo());
          // The cut has raised the recovery point to here: what lies below is not looked at any more.
          states_[index].looked_from = log.leo();
          if (!ledger.damaged() && !ledger.same_epochs(log.epochs(), log.log_start(), log.leo()))
            verdict_.fire("O3", "after a cut the epochs are not those of the batches");
          ledger.promise_synced(log.durable_leo());
        }));
  }

  void trim(const PlanItem& item, size_t index, log::Log& log) {
    if (states_[index].truncating) return;
    const Offset to = pick(item, log.log_start(), std::max(log.log_start(), log.durable_leo()));
    ledgers_[index].moving_start(to);
    log.set_log_start(to, heard([this, index, to, &log](Status s) {
                        if (!s) return expect(s, "set_log_start");
                        if (log.log_start() < to)
                          verdict_.fire("O15", "log start is " + log.log_start().to_string() +
                                                   " after it was moved to " + to.to_string());
                        ledgers_[index].moved_start(to);
                      }));
  }

  const Plan& plan_;
  const LogSetup setup_;
  Simulation sim_;
  Verdict verdict_;
  FaultDriver faults_;
  std::vector<LogLedger> ledgers_;
  std::vector<LogState> states_;
  Node* node_ = nullptr;
  size_t damage_seen_ = 0;
  size_t damage_at_opening_ = 0;
  uint64_t sync_failures_ = 0;
  uint64_t images_ = 0;
  uint64_t acks_ = 0;
  size_t verifying_ = 0;
  // A clean stop may be on disk; it is, and nothing has begun since.
  bool clean_possible_ = true;
  bool clean_certain_ = false;
  bool same_boot_ = true;  // the machine has run on since the store served last
  bool lost_all_ = false;  // the plan has hit what all logs share
};

}  // namespace

Outcome StorageWorld::run(const Plan& plan, const RunOptions& options) const {
  return StorageRun(plan, options).run();
}

}  // namespace bascule::sim

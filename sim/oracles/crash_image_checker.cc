#include "sim/oracles/crash_image_checker.h"

#include "sim/world/network.h"
#include "src/base/crc32c.h"

namespace bascule::sim {
namespace {

constexpr SimTime k_recovery_max = seconds(60);

struct FoundLog {
  bool opened = false;
  Offset log_start;
  Offset leo;
  uint32_t crc = 0;  // over all batches read
  bool operator==(const FoundLog&) const = default;
};

class Sandbox final : public LogWatcher {
 public:
  Sandbox(const Storage& image, const LogSetup& setup, const std::vector<LogLedger>& ledgers,
          uint64_t seed)
      : sim_(seed, &worst_), setup_(setup), ledgers_(ledgers) {
    node_ = &sim_.add_node({.host = "sandbox", .disk = {.fixed_latency = true}});
    node_->device().roll_back(image);
    // Room enough: a full disk may refuse to recover, which is no finding.
    node_->device().set_full(false);
  }

  // Recovers what is on the disk; `found` is then what it is. False: `wrong()` says why.
  bool recover(std::vector<FoundLog>& found) {
    found_ = std::vector<FoundLog>(setup_.logs.size());
    left_ = setup_.logs.size();
    if (node_->alive()) node_->crash_machine();
    node_->start([this](env::World& world) {
      return std::make_unique<LogProgram>(*node_, world, setup_, *this, false);
    });
    sim_.run_until_true(sim_.now() + k_recovery_max,
                        [this] { return left_ == 0 || !wrong_.empty() || !node_->alive(); });
    if (wrong_.empty() && left_ > 0)
      wrong_ = node_->alive() ? "recovery does not end" : "recovery ends the process";
    found = found_;
    return wrong_.empty();
  }
  const std::string& wrong() const { return wrong_; }

 private:
  void opened(size_t index, log::Log& log) override {
    const LogLedger& ledger = ledgers_[index];
    found_[index] = {true, log.log_start(), log.leo(), 0};
    if (!ledger.damaged()) {
      if (log.leo() < ledger.synced())
        wrong_ = "log " + std::to_string(index) + " ends at " + log.leo().to_string() +
                 ", synced was " + ledger.synced().to_string();
      // A cut to the start leaves an empty log, though the start lay inside a batch.
      if (!ledger.boundary(log.leo()) && log.leo() != log.log_start())
        wrong_ = "log " + std::to_string(index) + " ends at " + log.leo().to_string() +
                 ", inside a batch or beyond the last";
      if (log.log_start() < ledger.start_min() || log.log_start() > ledger.start_max())
        wrong_ = "log " + std::to_string(index) + " begins at " + log.log_start().to_string();
      if (log.recovery().condition == log::Condition::damaged)
        wrong_ = "log " + std::to_string(index) + " is called damaged";
    }
    read_on(index, log, log.log_start());
  }

  void failed_to_open(size_t index, const Error& error) override {
    if (!ledgers_[index].damaged())
      wrong_ = "log " + std::to_string(index) + " does not open: " + error.to_string();
    --left_;
  }

  void read_on(size_t index, log::Log& log, Offset from) {
    if (from >= log.leo()) {
      --left_;
      return;
    }
    log.read({from, log.leo(), 64 << 10},
             node_program().heard([this, index, &log, from](Result<log::ReadResult> r) {
               const LogLedger& ledger = ledgers_[index];
               if (!r) return failed_read(index, log, from, r.error());
               Offset next = from;
               for (const Slice& batches : r->batches) {
                 const std::string wrong = ledger.check_batches(batches, next, !ledger.damaged());
                 if (!wrong.empty()) wrong_ = "log " + std::to_string(index) + ": " + wrong;
                 found_[index].crc = crc32c(batches, found_[index].crc);
               }
               if (next == from) wrong_ = "a read from " + from.to_string() + " gives nothing";
               if (wrong_.empty()) read_on(index, log, next);
             }));
  }

  void failed_read(size_t index, log::Log& log, Offset from, const Error& error) {
    const LogLedger& ledger = ledgers_[index];
    if (!ledger.damaged()) {
      wrong_ = "log " + std::to_string(index) + ": read from " + from.to_string() + ": " +
               error.to_string();
      return;
    }
    const LedgerEntry* entry = ledger.find(from);
    read_on(index, log, entry != nullptr ? entry->next : log.leo());
  }

  LogProgram& node_program() { return *static_cast<LogProgram*>(node_->program()); }

  WorstChooser worst_;
  Simulation sim_;
  const LogSetup& setup_;
  const std::vector<LogLedger>& ledgers_;
  Node* node_;
  std::vector<FoundLog> found_;
  size_t left_ = 0;
  std::string wrong_;
};

}  // namespace

std::string check_crash_image(const Storage& image, const LogSetup& setup,
                              const std::vector<LogLedger>& ledgers, uint64_t seed) {
  Sandbox sandbox(image, setup, ledgers, seed);
  std::vector<FoundLog> first;
  if (!sandbox.recover(first)) return sandbox.wrong();
  std::vector<FoundLog> second;
  if (!sandbox.recover(second)) return "the second recovery: " + sandbox.wrong();
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i] != second[i] && !ledgers[i].damaged())
      return "recovery is not idempotent: log " + std::to_string(i) + " ended at " +
             first[i].leo.to_string() + ", then at " + second[i].leo.to_string();
  }
  return {};
}

}  // namespace bascule::sim

// One log in a small scope, for exhaustive search: a few records, a few crashes, every choice that the
// disk leaves open, every operation, every moment to die, all asked of one Chooser. The same program
// runs with a seeded chooser for longer random histories.
//
// Checked after each recovery, against a list of what was appended: nothing durable is lost, nothing that
// was cut comes back, no byte that was not written is read, a clean stop is exactly found again, an unclean
// one leaves the log suspect, and what one life has reported the next ones keep.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/log/log_harness.h"

namespace bascule::log::testing {

struct ScopeOptions {
  int records = 3;
  int crashes = 2;
  int operations = 4;  // over all lives
  bool truncation = true;
  bool retention = true;  // and so recycling
  bool clean_stop = true;
  bool rot = false;           // one sector of one file, between two lives
  bool failed_write = false;  // one failed sync or write
  bool memory = false;        // durability mode
  bool roomy = false;         // several groups a segment; else one
  uint32_t crash_odds = 2;    // at each moment: dies in one of so many choices
};

struct ScopeCounts {
  uint64_t histories = 0;
  uint64_t lives = 0;
  uint64_t recoveries = 0;  // that ended
  uint64_t crashes = 0;
  uint64_t damaged = 0;
  uint64_t suspect_cuts = 0;
  uint64_t states = 0;  // different ones between two lives
  uint64_t met = 0;     // histories that end in one that was met before
};

// The states between two lives that were met: storage, what is expected of it, and what may still be done.
// A search that goes through all continuations of a state before it leaves it need not go on from it again.
// Lives begin at the same wall clock, so that the states of different moments of dying are equal where
// only time differs; what is in flight from a dead life is no state, and such histories always go on.
using MetStates = std::set<Uuid>;

class SmallScope {
 public:
  SmallScope(sim::Chooser& chooser, const ScopeOptions& options, uint64_t seed, ScopeCounts& counts,
             MetStates* met = nullptr);
  // The first thing that was wrong; nullopt: nothing.
  std::optional<std::string> run();
  const std::string& story() const { return story_; }

 private:
  enum class Op : uint8_t { append_durably, append, truncate, retain, stop };
  struct Record {
    std::string value;
    bool readable = true;  // false: allowed to be damaged
  };

  uint32_t choose(uint32_t options);
  bool alive() const { return bench_.alive(); }
  void tell(const std::string& what) { story_ += what + "\n"; }
  void wrong(const std::string& what) {
    if (!failure_) failure_ = what;
  }
  // Steps the world; may crash at each moment at which the disk has changed.
  template <class F>
  void step_until(F done);
  template <class T, class F>
  std::optional<Result<T>> await(F start);
  void maybe_crash();
  void crash();
  void note_death();
  void maybe_rot();
  bool met_before();

  void life();
  void recovered();
  void check_reads(bool damage_allowed);
  void operate();
  void append(bool wait);
  void truncate();
  void retain();
  void stop();

  ScopeOptions options_;
  ScopeCounts& counts_;
  MetStates* met_;  // null: every history goes to its end
  Bench bench_;
  sim::Chooser& chooser_;
  uint64_t choices_ = 0;
  uint64_t last_sequence_ = 0;
  bool heard_ = false;
  int crashes_left_;
  int operations_left_;
  int records_left_;
  bool rot_left_;
  bool fault_left_;
  bool rotted_ = false;
  bool over_ = false;
  bool stopped_clean_ = false;  // the last life ended so
  bool known_ = false;          // some life has served the log
  bool was_suspect_ = false;
  bool stopping_ = false;
  bool ever_crashed_ = false;  // since then
  // The log as it may be: a prefix of all_, at least min_ long (or exactly cut_to_).
  std::vector<Record> all_;
  uint64_t min_ = 0;
  uint64_t synced_ = 0;  // memory mode: what a machine crash leaves
  std::optional<uint64_t> cut_to_;
  uint64_t log_start_min_ = 0;
  uint64_t log_start_max_ = 0;
  // What recovery cut without a manifest change: where the log ends is then known from `logs` alone, and
  // if that file rots before the next append, what a dead life's late writes have left counts again.
  std::vector<Record> ghosts_;
  bool logs_rotted_ = false;
  int names_ = 0;
  int64_t lives_begun_ = 1;
  std::string story_;
  std::optional<std::string> failure_;
};

}  // namespace bascule::log::testing

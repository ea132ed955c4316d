// What a world of the simulator is to the tools: it expands seeds to plans, and runs plans.
//
// A world adds its oracles to the run; the first that fires ends it. `run` is a pure function of the plan
// (and of the chooser, where one is given): same plan, same trace hash.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/plan/plan.h"

namespace bascule::sim {

struct Failure {
  std::string oracle;  // "O1", "assertion", …
  std::string text;    // what was expected and what was seen, for people
  SimTime at;
};

struct RunOptions {
  bool narrate = false;  // tell the story on stdout
  // Decides what disks leave open; null: the plan's seed.
  Chooser* chooser = nullptr;
};

struct Outcome {
  std::optional<Failure> failure;
  Uuid trace;
  uint64_t events = 0;
  SimTime simulated;
  // Probes, faults that took effect ("fault.…"), operations ("op.…").
  std::map<std::string, uint64_t, std::less<>> counts;
};

class WorldType {
 public:
  virtual ~WorldType() = default;
  virtual std::string_view name() const = 0;
  virtual Plan expand(uint64_t seed) const = 0;
  virtual Outcome run(const Plan& plan, const RunOptions& options) const = 0;
};

// All worlds there are.
std::vector<std::unique_ptr<WorldType>> make_worlds();

// Where oracles report; the first report stands.
class Verdict {
 public:
  explicit Verdict(const Simulation& sim) : sim_(sim) {}
  void fire(std::string_view oracle, std::string text) {
    if (!failure_) failure_ = Failure{std::string(oracle), std::move(text), sim_.now()};
  }
  bool fired() const { return failure_.has_value(); }
  const std::optional<Failure>& failure() const { return failure_; }

 private:
  const Simulation& sim_;
  std::optional<Failure> failure_;
};

// The outcome of a run that has ended.
Outcome outcome_of(const Simulation& sim, const Verdict& verdict);

}  // namespace bascule::sim

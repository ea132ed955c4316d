// A plan: all that one simulated history is made of, before it runs. A seed expands to a plan; a plan can be
// printed, read, edited, shrunk and replayed. The run adds nothing but draws from the plan's seed at
// addresses, so an item that is taken out does not move the others.
//
// Text, one item per line, '#' begins a comment:
//
//   plan 1
//   world storage
//   seed 42
//   end 500000.000us
//   set segment_bytes=4096
//   fault 3 @12500.000us machine_crash node=1
//   op 17 @1250.000us append records=3 bytes=120
//
// The number after `fault` and `op` is the item's id: the address of its draws. Arguments are integers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/world/simulation.h"
#include "src/base/result.h"

namespace bascule::sim {

struct PlanItem {
  uint64_t id = 0;
  SimTime at;
  std::string verb;
  std::vector<std::pair<std::string, int64_t>> arguments;

  // The argument's value; `fallback` where the item has none of that name.
  int64_t get(std::string_view name, int64_t fallback = 0) const;
  bool operator==(const PlanItem&) const = default;
};

struct Plan {
  std::string world;
  uint64_t seed = 0;
  SimTime end;
  std::map<std::string, int64_t, std::less<>> settings;
  std::vector<PlanItem> faults;      // ascending by time
  std::vector<PlanItem> operations;  // ascending by time

  int64_t get(std::string_view setting, int64_t fallback = 0) const;
  std::string to_text() const;
  bool operator==(const Plan&) const = default;
};

// `invalid` names the line and what is wrong with it.
Result<Plan> parse_plan(std::string_view text);

}  // namespace bascule::sim

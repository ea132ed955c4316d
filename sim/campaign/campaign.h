// Runs many seeds of one world in forked jobs, and sums up.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/worlds/world.h"

namespace bascule::sim {

struct CampaignOptions {
  uint64_t seeds = 1000;
  uint64_t start = 0;
  uint32_t jobs = 1;
  double minutes = 0;          // ends then, 0: when all seeds have run
  bool stop_at_first = false;  // at the first failing seed: no job begins a later one
  // One seed in so many runs twice, in a process disturbed differently; 0: none.
  uint64_t check_every = 64;
  bool progress = false;  // on stderr
};

struct SeedFailure {
  uint64_t seed = 0;
  Failure failure;
};

struct CampaignResult {
  uint64_t seeds = 0;
  uint64_t events = 0;
  double seconds = 0;
  double simulated_seconds = 0;
  std::map<std::string, uint64_t, std::less<>> counts;
  std::vector<SeedFailure> failures;       // ascending by seed
  std::vector<uint64_t> nondeterministic;  // seeds whose second run had another trace
};

CampaignResult run_campaign(const WorldType& world, const CampaignOptions& options);

// One JSON object, one line: {"world","seeds","failures","seconds","seeds_per_s","events_per_s",
// "sim_s_per_s","faults":{…},"probes":{…}}.
std::string campaign_json(const WorldType& world, const CampaignResult& result);
// The same for people.
std::string campaign_text(const WorldType& world, const CampaignResult& result);

}  // namespace bascule::sim

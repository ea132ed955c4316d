// bascule-sim: runs, campaigns, shrinking and mutants of the simulated worlds.
//
// Exit status: 0 clean, 1 an oracle fired (or a mutant survived), 2 usage, 3 the simulator itself failed,
// nondeterminism included.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "sim/campaign/campaign.h"
#include "sim/campaign/isolate.h"
#include "sim/campaign/mutants.h"
#include "sim/campaign/shrink.h"

namespace bascule::sim {
namespace {

constexpr int k_clean = 0;
constexpr int k_failed = 1;
constexpr int k_usage = 2;
constexpr int k_simulator_failed = 3;

struct Arguments {
  std::string program;
  std::string world = "storage";
  std::string plan_file;
  std::string save_file;
  uint64_t seed = 0;
  bool seed_given = false;
  bool trace = false;
  bool print = false;
  bool json = false;
  bool check = false;
  bool quick = false;
  uint64_t runs_max = 3000;
  std::vector<std::string> mutants;
  CampaignOptions campaign;
};

using Worlds = std::vector<std::unique_ptr<WorldType>>;

const WorldType* find_world(const Worlds& worlds, const std::string& name) {
  for (const auto& world : worlds) {
    if (world->name() == name) return world.get();
  }
  std::fprintf(stderr, "bascule-sim: no world \"%s\"; there are:", name.c_str());
  for (const auto& world : worlds) std::fprintf(stderr, " %s", std::string(world->name()).c_str());
  std::fprintf(stderr, "\n");
  return nullptr;
}

// The plan and world that the arguments name. Null: said why.
const WorldType* load(const Worlds& worlds, const Arguments& arguments, Plan& plan) {
  if (arguments.plan_file.empty()) {
    const WorldType* world = find_world(worlds, arguments.world);
    if (world != nullptr) plan = world->expand(arguments.seed);
    return world;
  }
  std::ifstream in(arguments.plan_file);
  std::stringstream text;
  text << in.rdbuf();
  if (!in) {
    std::fprintf(stderr, "bascule-sim: cannot read %s\n", arguments.plan_file.c_str());
    return nullptr;
  }
  Result<Plan> parsed = parse_plan(text.str());
  if (!parsed) {
    std::fprintf(stderr, "bascule-sim: %s\n", parsed.error().to_string().c_str());
    return nullptr;
  }
  plan = std::move(*parsed);
  return find_world(worlds, plan.world);
}

std::string outcome_line(const Plan& plan, const Outcome& outcome) {
  std::string out = "world " + plan.world + " seed " + std::to_string(plan.seed) + ": ";
  if (outcome.failure) {
    out += "FAILED " + outcome.failure->oracle + " at " +
           std::to_string(outcome.failure->at.ns / 1000) + "us: " + outcome.failure->text;
  } else {
    out += "clean";
  }
  return out + "; events " + std::to_string(outcome.events) + ", trace " +
         outcome.trace.to_string();
}

void print_replay(const Arguments& arguments, std::string_view world, uint64_t seed) {
  std::printf("  commit %s; replay: %s run --world %s --seed %llu --trace\n",
              source_commit().c_str(), arguments.program.c_str(), std::string(world).c_str(),
              static_cast<unsigned long long>(seed));
}

int run(const Worlds& worlds, const Arguments& arguments) {
  Plan plan;
  const WorldType* world = load(worlds, arguments, plan);
  if (world == nullptr) return k_usage;
  if (!arguments.save_file.empty()) std::ofstream(arguments.save_file) << plan.to_text();
  if (arguments.print) {
    std::fputs(plan.to_text().c_str(), stdout);
    return k_clean;
  }
  const Outcome outcome = world->run(plan, {.narrate = arguments.trace});
  std::puts(outcome_line(plan, outcome).c_str());
  if (arguments.check && world->run(plan, {}).trace != outcome.trace) {
    std::puts("the second run had another trace");
    return k_simulator_failed;
  }
  if (!outcome.failure) return k_clean;
  if (arguments.plan_file.empty()) print_replay(arguments, world->name(), plan.seed);
  return k_failed;
}

int campaign(const Worlds& worlds, Arguments& arguments) {
  const WorldType* world = find_world(worlds, arguments.world);
  if (world == nullptr) return k_usage;
  const CampaignResult result = run_campaign(*world, arguments.campaign);
  if (!arguments.json) std::fputs(campaign_text(*world, result).c_str(), stdout);
  size_t shown = 0;
  for (const SeedFailure& failed : result.failures) {
    if (arguments.json || ++shown > 20) break;
    std::printf("seed %llu: %s: %s\n", static_cast<unsigned long long>(failed.seed),
                failed.failure.oracle.c_str(), failed.failure.text.c_str());
    print_replay(arguments, world->name(), failed.seed);
  }
  if (shown < result.failures.size() && !arguments.json)
    std::printf("and %zu failing seeds more\n", result.failures.size() - shown);
  for (const uint64_t seed : result.nondeterministic) {
    std::fprintf(stderr, "seed %llu: its second run had another trace\n",
                 static_cast<unsigned long long>(seed));
  }
  if (arguments.json) std::puts(campaign_json(*world, result).c_str());
  if (!result.nondeterministic.empty()) return k_simulator_failed;
  return result.failures.empty() ? k_clean : k_failed;
}

int shrink_plan(const Worlds& worlds, const Arguments& arguments) {
  Plan plan;
  const WorldType* world = load(worlds, arguments, plan);
  if (world == nullptr) return k_usage;
  const Outcome first = run_isolated(*world, plan, true);
  if (!first.failure) {
    std::fprintf(stderr, "bascule-sim: the plan is clean: nothing to shrink\n");
    return k_usage;
  }
  const ShrinkResult result = shrink(
      plan,
      [&](const Plan& candidate) {
        const Outcome outcome = run_isolated(*world, candidate, true);
        return outcome.failure && outcome.failure->oracle == first.failure->oracle;
      },
      arguments.runs_max);
  if (!result.reproduced) {
    std::fprintf(stderr, "bascule-sim: the failure did not come a second time\n");
    return k_simulator_failed;
  }
  std::fprintf(stderr, "%zu faults and %zu operations, from %zu and %zu, by %llu runs\n",
               result.plan.faults.size(), result.plan.operations.size(), plan.faults.size(),
               plan.operations.size(), static_cast<unsigned long long>(result.runs));
  const std::string text = "# " + first.failure->oracle + ": " + first.failure->text + "\n";
  // A comment may come before the plan's first line.
  if (arguments.save_file.empty()) {
    std::fputs((text + result.plan.to_text()).c_str(), stdout);
  } else {
    std::ofstream(arguments.save_file) << text << result.plan.to_text();
  }
  return k_failed;
}

int run_mutants(const Arguments& arguments) {
  MutantOptions options;
  options.quick = arguments.quick;
  options.json = arguments.json;
  options.only = arguments.mutants;
  options.seeds_max = arguments.campaign.seeds;
  switch (mutants(options)) {
    case MutantVerdict::all_killed: return k_clean;
    case MutantVerdict::some_survived: return k_failed;
    case MutantVerdict::usage: return k_usage;
    case MutantVerdict::broken: return k_simulator_failed;
  }
  return k_simulator_failed;
}

int main_of(int argc, char** argv) {
  const Worlds worlds = make_worlds();
  Arguments arguments;
  arguments.program = argv[0];
  CLI::App app{"Deterministic simulation of Bascule"};
  app.require_subcommand(1);

  const auto add_source = [&](CLI::App* command) {
    command->add_option("--seed", arguments.seed, "the seed that is expanded to a plan");
    command->add_option("--plan", arguments.plan_file, "a saved plan instead");
    command->add_option("--world", arguments.world, "the world of the seed");
    command->add_option("--save", arguments.save_file, "write the plan to this file");
  };
  CLI::App* run_command = app.add_subcommand("run", "run one seed or one plan");
  add_source(run_command);
  run_command->add_flag("--trace", arguments.trace, "tell the whole story");
  run_command->add_flag("--print", arguments.print, "print the plan, and run nothing");
  run_command->add_flag("--check", arguments.check, "run twice and compare");

  CLI::App* campaign_command = app.add_subcommand("campaign", "run many seeds");
  campaign_command->add_option("--world", arguments.world, "the world");
  auto* seeds = campaign_command->add_option("--seeds", arguments.campaign.seeds, "how many");
  campaign_command->add_option("--start", arguments.campaign.start, "the first seed");
  arguments.campaign.jobs = std::max(1u, std::thread::hardware_concurrency());
  campaign_command->add_option("--jobs", arguments.campaign.jobs, "processes");
  campaign_command->add_option("--minutes", arguments.campaign.minutes, "end after this time");
  campaign_command->add_flag("--first", arguments.campaign.stop_at_first, "stop at a failure");
  campaign_command->add_flag("--json", arguments.json, "the result as one JSON object");

  CLI::App* shrink_command = app.add_subcommand("shrink", "make a failing plan small");
  add_source(shrink_command);
  shrink_command->add_option("--runs", arguments.runs_max, "at most so many runs");

  CLI::App* mutants_command =
      app.add_subcommand("mutants", "plant bugs, and count seeds to find them");
  mutants_command->add_flag("--quick", arguments.quick, "the small set of CI");
  mutants_command->add_flag("--json", arguments.json, "one JSON object per mutant");
  auto* limit = mutants_command->add_option("--seeds", arguments.campaign.seeds, "give up after");
  mutants_command->add_option("id", arguments.mutants, "only these");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? k_clean : k_usage;
  }
  if (run_command->parsed()) return run(worlds, arguments);
  if (campaign_command->parsed()) {
    if (arguments.campaign.minutes > 0 && seeds->count() == 0) arguments.campaign.seeds = 0;
    arguments.campaign.progress = !arguments.json && ::isatty(2) != 0;
    return campaign(worlds, arguments);
  }
  if (shrink_command->parsed()) return shrink_plan(worlds, arguments);
  if (limit->count() == 0) arguments.campaign.seeds = 20000;
  return run_mutants(arguments);
}

}  // namespace
}  // namespace bascule::sim

int main(int argc, char** argv) { return bascule::sim::main_of(argc, argv); }

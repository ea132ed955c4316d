// The simulated world in the conformance suite, with several seeds, and with the worst choices alone.
#include "sim/world/disk.h"
#include "sim/world/life.h"
#include "sim/world/node.h"
#include "tests/env/conformance.h"

namespace bascule::env {
namespace {

// Machines crash in the harshest way, so that the suite can tell what is lost; all else is by the seed.
class HarshCrashes final : public sim::Chooser {
 public:
  explicit HarshCrashes(uint64_t seed) : seeded_(seed) {}
  uint32_t choose(sim::Address at, uint32_t options) override {
    const bool crash = at.domain == sim::Domain::disk_mode ||
                       at.domain == sim::Domain::disk_sector || at.domain == sim::Domain::disk_name;
    return crash ? 0 : seeded_.choose(at, options);
  }

 private:
  sim::SeededChooser seeded_;
};

class SimulatedWorld final : public WorldHarness {
 public:
  SimulatedWorld(uint64_t seed, std::unique_ptr<sim::Chooser> chooser)
      : chooser_(std::move(chooser)),
        simulation_(seed, chooser_.get()),
        node_(simulation_.add_node({.host = "n1", .disk = {}})) {
    start();
  }

  World world() override { return node_.world(); }

  bool run_until(const std::function<bool()>& predicate, Duration limit) override {
    return simulation_.run_until_true(simulation_.now() + limit, predicate);
  }

  bool can_end(Ending) const override { return true; }

  void restart(Ending how) override {
    switch (how) {
      case Ending::stop: node_.exit(); break;
      case Ending::process_crash: node_.crash_process(); break;
      case Ending::machine_crash: node_.crash_machine(); break;
    }
    start();
  }

  std::unique_ptr<Disk> second_disk() override {
    return std::make_unique<sim::SimDisk>(node_.device(), node_.life());
  }
  std::string host() const override { return "n1"; }

 private:
  void start() {
    node_.start([](World&) { return std::make_unique<sim::Program>(); });
  }

  std::unique_ptr<sim::Chooser> chooser_;
  sim::Simulation simulation_;
  sim::Node& node_;
};

WorldKind seeded(uint64_t seed) {
  return {"seed_" + std::to_string(seed), [seed](std::string&) -> std::unique_ptr<WorldHarness> {
            return std::make_unique<SimulatedWorld>(seed, std::make_unique<HarshCrashes>(seed));
          }};
}

const WorldKind k_kinds[] = {
    seeded(1), seeded(2), seeded(3), {"worst", [](std::string&) -> std::unique_ptr<WorldHarness> {
                                        return std::make_unique<SimulatedWorld>(
                                            4, std::make_unique<sim::WorstChooser>());
                                      }}};

std::string name_of(const testing::TestParamInfo<WorldKind>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Simulated, LoopConformance, testing::ValuesIn(k_kinds), name_of);
INSTANTIATE_TEST_SUITE_P(Simulated, NetworkConformance, testing::ValuesIn(k_kinds), name_of);
INSTANTIATE_TEST_SUITE_P(Simulated, DiskConformance, testing::ValuesIn(k_kinds), name_of);

}  // namespace
}  // namespace bascule::env

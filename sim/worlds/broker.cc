#include "sim/worlds/broker.h"

#include <memory>
#include <utility>

#include "sim/faults/fault_driver.h"
#include "sim/world/life.h"
#include "sim/world/network.h"
#include "sim/worlds/broker_clients.h"
#include "sim/worlds/broker_program.h"
#include "sim/worlds/broker_story.h"

namespace bascule::sim {
namespace {

// Simulated time by which a healed broker must be through with everything.
constexpr Duration k_core_bound = seconds(60);
constexpr Duration k_settling = seconds(5);
constexpr int k_tries = 8;

class Run {
 public:
  Run(Simulation& sim, const Plan& plan, Verdict& verdict)
      : sim_(sim),
        plan_(plan),
        node_(sim.add_node({.host = "n1", .drift_ppm = plan.get("drift_ppm"), .disk = {}})),
        story_(sim, node_, verdict, plan.seed),
        faults_(sim, plan, [this](Node&) { start(); }) {
    faults_.on_fault([this](const PlanItem& item, Node&) {
      if (item.verb == "read_error" || item.verb == "misdirected_read") story_.reads_failed = true;
      if (item.verb == "disk_full") story_.disk_was_full = true;
      if (item.verb == "sync_dropped") story_.cache_dropped = true;
    });
    faults_.on_death([this](Node&, const Death& death) { on_death(death); });
  }

  void play() {
    start();
    faults_.begin();
    for (const PlanItem& item : plan_.operations)
      sim_.at(item.at, [this, &item] { play(item, k_tries); });
    sim_.run_until_true(plan_.end, [this] { return over(); });
    if (over()) return;
    heal_and_prove();
  }

 private:
  bool over() const { return story_.verdict.fired() || story_.gave_up; }
  BrokerProgram* program() { return static_cast<BrokerProgram*>(node_.program()); }
  BrokerClients* clients() {
    return program() == nullptr ? nullptr : static_cast<BrokerClients*>(program()->clients());
  }

  broker::BrokerOptions options() const {
    broker::BrokerOptions out;
    out.logs.segment_bytes = static_cast<uint64_t>(plan_.get("segment_bytes", 65536));
    out.logs.reserve_bytes = 8192;  // small, so that damage hits other files
    out.logs.extent_bytes_first = static_cast<uint64_t>(plan_.get("extent_bytes", 65536));
    out.logs.group_bytes_max = static_cast<uint64_t>(plan_.get("group_bytes_max", 1 << 20));
    out.logs.tail_bytes_max = static_cast<uint64_t>(plan_.get("tail_bytes_max", 1 << 20));
    out.housekeeping_interval = microseconds(plan_.get("housekeeping_us", 1'000'000));
    out.drain_timeout = milliseconds(200);
    return out;
  }

  void start() {
    story_.restarts();
    // The machine may have gone down while no process was there.
    if (std::exchange(boot_, node_.device().boot_id()) != node_.device().boot_id())
      story_.cache_went_away();
    node_.start([this](env::World& world) {
      return std::make_unique<BrokerProgram>(
          world, options(), [this](BrokerProgram& p, Status opened) { on_opened(p, opened); });
    });
  }

  void on_opened(BrokerProgram& program, const Status& opened) {
    story_.look_at_damage();
    if (!opened) return on_refused(opened.error());
    sim_.count("op.opened");
    if (std::exchange(story_.clean_exit, false) && !program.broker()->logs().clean_start() &&
        node_.device().damage().empty() && !story_.reads_failed)
      story_.verdict.fire("O1", "a clean stop was not taken for one");
    auto clients = std::make_unique<BrokerClients>(story_, program.world(), *program.broker());
    BrokerClients& now = *clients;
    program.adopt(std::move(clients));
    now.check_everything([this] { sim_.count("op.everything_checked"); });
  }

  void on_refused(const Error& error) {
    story_.clean_exit = false;  // it may have begun to write
    sim_.count("op.refused." + std::string(errc_name(error.code)));
    sim_.tell("world", "the broker refuses to start: " + error.to_string());
    const bool transient = error.code == Errc::no_space || error.code == Errc::io_error ||
                           error.code == Errc::outcome_unknown || error.code == Errc::busy;
    // What was in flight when all healed may still fail one start.
    if (transient && (!faults_.healed() || refused_after_healing_++ == 0)) return node_.exit();
    if (story_.metadata_damaged() || story_.reads_failed) {
      story_.gave_up = true;
      return;
    }
    story_.verdict.fire("O17", "the broker refuses to start: " + error.to_string());
  }

  void on_death(const Death& death) {
    sim_.count("op.deaths");
    if (death.cause != DeathCause::exit) story_.clean_exit = false;
    story_.look_at_damage();
    if (story_.cache_dropped) story_.cache_went_away();
    if (death.cause == DeathCause::fail_stop)
      sim_.tell("world", "fail-stop: " + death.why.to_string());
  }

  // Clients try again while the broker is down or starting.
  void play(const PlanItem& item, int tries) {
    if (over() || faults_.healed()) return;
    story_.look_at_damage();
    if (clients() == nullptr || program()->stopping()) {
      if (tries == 0) return sim_.count("op.missed");
      (void)sim_.after(milliseconds(5), [this, &item, tries] { play(item, tries - 1); });
      return;
    }
    sim_.count("op." + item.verb);
    // In a turn of the life, as a request from a connection would come.
    node_.life().arrive([this, &item] {
      if (faults_.healed()) return;  // a paused process may come to it late
      if (item.verb == "stop")
        stop_cleanly();
      else if (clients() != nullptr)
        clients()->play(item);
    });
  }

  void stop_cleanly() {
    if (program() == nullptr) return;
    program()->stop([this](const Status& stopped) {
      sim_.count(stopped ? "op.stopped" : "op.stop_failed");
      story_.clean_exit = stopped.has_value() && program()->broker()->logs().writable();
      node_.exit();
    });
  }

  bool is_up() { return clients() != nullptr && !program()->stopping(); }
  bool wait_open() {
    return sim_.run_until_true(sim_.now() + k_core_bound, [this] { return over() || is_up(); });
  }

  // The end: all heals, a sufficient world must do all that is asked of it.
  void heal_and_prove() {
    faults_.heal();
    story_.look_at_damage();
    // Crashes that were waiting for their moment may still come, and what waits for room is tried again.
    sim_.run_until_true(sim_.now() + k_settling, [this] { return over(); });
    story_.disk_was_full = false;
    if (over()) return;
    if (!wait_open())
      return story_.verdict.fire("O17", "the healed broker does not come up within a minute");
    if (!check_all("after healing")) return;
    if (!step("a publish to each partition",
              [this](std::function<void()> done) { clients()->prove_alive(std::move(done)); }))
      return;
    const uint64_t lives = node_.lives();
    node_.life().arrive([this] { stop_cleanly(); });
    if (!sim_.run_until_true(sim_.now() + k_core_bound,
                             [&] { return over() || (node_.lives() > lives && is_up()); }))
      return story_.verdict.fire("O17", "a clean stop and a start take over a minute");
    check_all("after a clean stop and a start");
  }

  bool check_all(const char* when) {
    return step(
        when, [this](std::function<void()> done) { clients()->check_everything(std::move(done)); });
  }

  // A life that a late crash ends takes its steps with it: they are begun again in the next one.
  template <class F>
  bool step(const char* what, F begin) {
    for (int lives_left = 3; lives_left > 0 && !over(); --lives_left) {
      auto done = std::make_shared<bool>(false);
      const uint64_t lives = node_.lives();
      node_.life().arrive([begin, done] { begin([done] { *done = true; }); });
      const bool in_time = sim_.run_until_true(sim_.now() + k_core_bound, [&] {
        return over() || *done || !node_.alive() || node_.lives() != lives;
      });
      if (over()) return false;
      if (*done) return true;
      if (!in_time) {
        story_.verdict.fire("O17", std::string("not within a minute: ") + what);
        return false;
      }
      if (!wait_open()) break;
    }
    if (!over()) story_.verdict.fire("O17", std::string("a healed broker keeps dying: ") + what);
    return false;
  }

  Simulation& sim_;
  const Plan& plan_;
  Node& node_;
  BrokerStory story_;
  FaultDriver faults_;
  uint64_t refused_after_healing_ = 0;
  Uuid boot_;  // of the machine, at the last start
};

}  // namespace

Outcome BrokerWorld::run(const Plan& plan, const RunOptions& options) const {
  Simulation sim(plan.seed, options.chooser);
  sim.narrate(options.narrate);
  Verdict verdict(sim);
  {
    Run run(sim, plan, verdict);
    run.play();
    sim.node(0).shut_down();
  }
  return outcome_of(sim, verdict);
}

}  // namespace bascule::sim

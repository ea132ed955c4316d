#include "src/controller/active_controller.h"

#include <algorithm>
#include <utility>

#include "src/controller/controller.h"

namespace bascule::controller {

ActiveController::ActiveController(env::World& world, Controller& controller)
    : world_(world), controller_(controller) {}

ActiveController::~ActiveController() { end(); }

void ActiveController::look() {
  const raft::Raft& machine = controller_.log().driver().machine();
  const bool leads = machine.leads_for_sure();
  if (active() && (!leads || machine.term() != term_)) end();
  if (leads && !active()) begin();
}

void ActiveController::begin() {
  world_.trace.message(TraceLevel::info, "controller", "this broker leads the metadata");
  term_ = controller_.log().driver().machine().term();
  sessions_.emplace(world_.loop.now());
  waits_ = {};
  // The one before may have gone without having told anybody of these.
  for (const auto& [node, incarnation] : gone_)
    sessions_->process_gone(node, incarnation, world_.loop.now());
  look_soon();
}

void ActiveController::end() {
  world_.loop.cancel(timer_);
  sessions_.reset();
  unfencing_.clear();
  fencing_ = electing_ = resigning_ = false;
}

Duration ActiveController::oldest_unsynced(NodeId node) const {
  return active() ? sessions_->oldest_unsynced(node) : Duration{};
}

Result<bool> ActiveController::heartbeat(const Heartbeat& heartbeat) {
  if (!active()) return fail(Errc::not_leader, "not the active controller");
  sessions_->heartbeat(heartbeat, world_.loop.now());
  gone_.erase(heartbeat.node);
  const BrokerEntry* broker = controller_.table().broker(heartbeat.node);
  const bool fenced =
      broker == nullptr || broker->incarnation != heartbeat.incarnation || broker->fenced;
  // A disk that is stuck is looked at by the settings, which cost more than a heartbeat may.
  if (fenced || heartbeat.oldest_unsynced >= k_unsynced_write_least) look_soon();
  return fenced;
}

void ActiveController::process_gone(NodeId node, Incarnation incarnation) {
  gone_[node] = incarnation;
  if (!active()) return;
  sessions_->process_gone(node, incarnation, world_.loop.now());
  look_soon();
}

// What comes in one turn is judged together: one command fences all.
void ActiveController::look_soon() {
  if (std::exchange(tick_due_, true)) return;
  world_.loop.at_turn_end(alive_.wrap([this] {
    tick_due_ = false;
    if (active()) tick();
  }));
}

void ActiveController::tick() {
  const MonotonicTime now = world_.loop.now();
  SessionActions actions = sessions_->tick(now, controller_.table());
  if (!actions.fence.brokers.empty() && !fencing_) fence(std::move(actions.fence));
  for (const UnfenceBroker& command : actions.unfence)
    if (unfencing_.insert(command.node).second) unfence(command);
  for (const BrokerLife& life : actions.resign)
    if (!resigning_ && controller_.table().can_resign(life.node)) ask_to_resign(life);
  EndElectionWait over = waits_.tick(now, controller_.table());
  if (!over.partitions.empty() && !electing_) {
    electing_ = true;
    controller_.propose(std::move(over), alive_.wrap([this](const Result<Outcome>& outcome) {
      electing_ = false;
      if (active() && outcome) look_soon();
    }));
  }
  arm();
}

void ActiveController::arm() {
  const MonotonicTime next =
      std::min(sessions_->next_deadline(controller_.table()), waits_.next_deadline());
  world_.loop.cancel(timer_);
  if (next == MonotonicTime::never()) return;
  // What is due and on its way already is looked at when that has ended.
  const MonotonicTime at = std::max(next, world_.loop.now() + milliseconds(10));
  timer_ = world_.loop.schedule(at, alive_.wrap([this] {
    if (active()) look_soon();
  }));
}

void ActiveController::fence(FenceBrokers command) {
  fencing_ = true;
  for (const BrokerLife& life : command.brokers)
    world_.trace.message(TraceLevel::warning, "controller",
                         "node " + life.node.to_string() + ": its session is over");
  // What was refused is tried again by the timer: a controller that stops or hands over refuses at once.
  controller_.propose(std::move(command), alive_.wrap([this](const Result<Outcome>& outcome) {
    fencing_ = false;
    if (active() && outcome) look_soon();
  }));
}

void ActiveController::ask_to_resign(const BrokerLife& life) {
  resigning_ = true;
  world_.trace.message(TraceLevel::warning, "controller",
                       "node " + life.node.to_string() +
                           ": its disk makes no progress, others lead its partitions from now on");
  controller_.propose(ResignLeaderships{life.node, life.incarnation},
                      alive_.wrap([this](const Result<Outcome>&) {
                        resigning_ = false;
                        if (active()) look_soon();
                      }));
}

void ActiveController::unfence(const UnfenceBroker& command) {
  // What was refused comes again with the broker's next heartbeat.
  controller_.propose(command,
                      alive_.wrap([this, node = command.node](const Result<Outcome>& outcome) {
                        unfencing_.erase(node);
                        if (active() && outcome) look_soon();
                      }));
}

}  // namespace bascule::controller

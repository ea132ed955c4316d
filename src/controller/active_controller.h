// What the broker that leads the metadata does beside leading it: it keeps the brokers' sessions, fences those
// that are over, lets in those that are ready, and ends elections' waits. Everything it decides is a command,
// judged when it is applied; it may be wrong, late, or two of it at once, and nothing is lost.
//
// It begins once an entry of its own term is committed (then its table has all that was decided before) and
// ends with its leadership.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "src/controller/election_waits.h"
#include "src/controller/sessions.h"
#include "src/env/world.h"

namespace bascule::controller {

class Controller;

class ActiveController {
 public:
  // Both outlive this.
  ActiveController(env::World& world, Controller& controller);
  ~ActiveController();

  // Role, term or table may have changed.
  void look();
  bool active() const { return sessions_.has_value(); }
  // Of a broker, this one's too. `not_leader`: this is not the active controller.
  Result<bool> heartbeat(const Heartbeat& heartbeat);  // whether the broker is fenced
  void process_gone(NodeId node, Incarnation incarnation);
  // As the last heartbeat of the node's present life said; 0 where this is not the active controller.
  Duration oldest_unsynced(NodeId node) const;

 private:
  void begin();
  void end();
  void look_soon();
  void tick();
  void arm();
  void fence(FenceBrokers command);
  void unfence(const UnfenceBroker& command);
  void ask_to_resign(const BrokerLife& life);

  env::World& world_;
  Controller& controller_;
  std::optional<Sessions> sessions_;  // while active
  ElectionWaits waits_;
  std::map<NodeId, Incarnation>
      gone_;  // lives that are proven to have ended; at most k_brokers_max
  Term term_;
  env::TimerId timer_;
  bool tick_due_ = false;
  bool fencing_ = false;  // a proposal is on its way
  bool electing_ = false;
  bool resigning_ = false;
  std::set<NodeId> unfencing_;
  env::Scope alive_;
};

}  // namespace bascule::controller

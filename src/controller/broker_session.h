// A broker's session with the active controller: heartbeats, and whether this broker may lead.
#pragma once

#include <functional>

#include "src/base/ids.h"
#include "src/controller/sessions.h"
#include "src/env/world.h"

namespace bascule::controller {

class Controller;

class BrokerSession {
 public:
  // Both outlive this. `oldest_write` gives the age of this broker's oldest write that has not ended (0: there is
  // none), for its heartbeats. `changed` is told, in turns of its own, when the broker must stop to lead for want of
  // contact with the controller (false), and when it may again.
  BrokerSession(env::World& world, Controller& controller, std::function<Duration()> oldest_write,
                std::function<void(bool)> changed);
  ~BrokerSession();

  // After the registration.
  void start(Incarnation incarnation);
  // What the heartbeats say from now on: the logs are recovered, and the broker is not draining.
  void set_ready(bool ready);
  bool may_lead() const { return may_lead_; }

 private:
  void beat();
  void answered(MonotonicTime sent, const Result<bool>& fenced);
  void look();

  env::World& world_;
  Controller& controller_;
  std::function<Duration()> oldest_write_;
  std::function<void(bool)> changed_;
  Incarnation incarnation_;
  bool ready_ = false;
  ControllerContact contact_;
  bool may_lead_ = true;
  env::TimerId timer_;
  env::Scope alive_;
};

}  // namespace bascule::controller

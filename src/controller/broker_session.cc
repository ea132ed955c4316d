#include "src/controller/broker_session.h"

#include <algorithm>
#include <utility>

#include "src/controller/controller.h"

namespace bascule::controller {
namespace {

// So many heartbeats fit into a session timeout.
constexpr int64_t k_beats_per_timeout = 15;
constexpr Duration k_beat_max = milliseconds(200);

}  // namespace

BrokerSession::BrokerSession(env::World& world, Controller& controller,
                             std::function<Duration()> oldest_write,
                             std::function<void(bool)> changed)
    : world_(world),
      controller_(controller),
      oldest_write_(std::move(oldest_write)),
      changed_(std::move(changed)),
      contact_(world.loop.now()) {}

BrokerSession::~BrokerSession() { world_.loop.cancel(timer_); }

void BrokerSession::start(Incarnation incarnation) {
  incarnation_ = incarnation;
  contact_ = ControllerContact(world_.loop.now());
  beat();
}

void BrokerSession::set_ready(bool ready) {
  if (ready_ == ready) return;
  ready_ = ready;
  world_.loop.cancel(timer_);
  beat();
}

void BrokerSession::beat() {
  const Duration timeout = controller_.table().settings().session_timeout;
  timer_ = world_.loop.after(std::min(timeout / k_beats_per_timeout, k_beat_max),
                             alive_.wrap([this] { beat(); }));
  controller_.send_heartbeat({incarnation_, ready_, oldest_write_()},
                             alive_.wrap([this, sent = world_.loop.now()](Result<bool> fenced) {
                               answered(sent, fenced);
                             }));
  look();
}

void BrokerSession::answered(MonotonicTime sent, const Result<bool>& fenced) {
  if (!fenced) return;
  contact_.confirmed(sent);
  look();
}

void BrokerSession::look() {
  // A broker alone is its own controller: nobody else can lead, however long it was not running.
  if (controller_.cluster_peers() == nullptr) return;
  const Duration timeout = controller_.table().settings().session_timeout;
  const bool now_may = contact_.may_lead(world_.loop.now(), timeout);
  if (now_may == may_lead_) return;
  may_lead_ = now_may;
  world_.trace.message(now_may ? TraceLevel::info : TraceLevel::warning, "controller",
                       now_may ? "in contact with the controller again"
                               : "no contact with the controller: this broker stops to lead");
  world_.loop.post(alive_.wrap([this, now_may] { changed_(now_may); }));
}

}  // namespace bascule::controller

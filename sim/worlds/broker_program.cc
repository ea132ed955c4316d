#include "sim/worlds/broker_program.h"

#include <utility>

namespace bascule::sim {

BrokerProgram::BrokerProgram(env::World& world, broker::BrokerOptions options,
                             std::function<void(BrokerProgram&, Status)> opened)
    : world_(world) {
  broker::open_broker(world_, std::move(options), codec_, nullptr,
                      scope_.wrap([this, opened = std::move(opened)](
                                      Result<std::unique_ptr<broker::Broker>> result) {
                        if (!result) return opened(*this, fail(std::move(result.error())));
                        broker_ = std::move(*result);
                        opened(*this, {});
                      }));
}

BrokerProgram::~BrokerProgram() {
  clients_.reset();
  broker_.reset();
}

void BrokerProgram::stop(std::function<void(Status)> stopped) {
  if (!broker_ || stopping_) return;
  stopping_ = true;
  broker_->stop(scope_.wrap([stopped = std::move(stopped)](Status s) { stopped(std::move(s)); }));
}

}  // namespace bascule::sim

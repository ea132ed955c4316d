// Producer ids for clients, from blocks that the controller gives.
//
// An id is given once: the table never gives a block twice, and what is left of one when this process ends is
// lost with it. While a block lasts, no controller is needed.
#pragma once

#include <cstdint>
#include <deque>

#include "src/broker/api.h"
#include "src/controller/controller.h"
#include "src/env/world.h"

namespace bascule::broker {

class ProducerIds {
 public:
  // Both outlive this.
  ProducerIds(env::World& world, controller::Controller& controller);

  // As Api::allocate_producer.
  void allocate(MonotonicTime deadline, Done<ProducerId> done);

 private:
  struct Block {
    ProducerId next;
    ProducerId end;  // first that is not in it
  };

  uint64_t left() const;
  void ask_for_block();
  void got_block(Result<controller::Outcome> outcome);

  env::World& world_;
  controller::Controller& controller_;
  std::deque<Block> blocks_;  // none is used up; at most two: the next comes while the last lasts
  bool asking_ = false;
  std::deque<Done<ProducerId>> waiting_;  // in the order of their coming; only while asking_
  env::Scope scope_;
};

}  // namespace bascule::broker

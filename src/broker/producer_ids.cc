#include "src/broker/producer_ids.h"

#include <utility>
#include <variant>

#include "src/base/assert.h"
#include "src/broker/answered_by.h"
#include "src/broker/bounds.h"

namespace bascule::broker {
namespace {

constexpr uint64_t k_block = 1000;
// The next block is asked for while so many are left.
constexpr uint64_t k_low = 250;

// Nobody has the ids of a block that this broker never heard of, so another block can be asked for.
Error as_refusal(Error error) {
  if (error.code == Errc::outcome_unknown || error.code == Errc::fenced)
    error.code = Errc::not_leader;
  return error;
}

}  // namespace

ProducerIds::ProducerIds(env::World& world, controller::Controller& controller)
    : world_(world), controller_(controller) {}

uint64_t ProducerIds::left() const {
  uint64_t out = 0;
  for (const Block& block : blocks_) out += block.end.value - block.next.value;
  return out;
}

void ProducerIds::allocate(MonotonicTime deadline, Done<ProducerId> done) {
  if (left() <= k_low) ask_for_block();
  if (!blocks_.empty()) {
    Block& block = blocks_.front();
    const ProducerId id = std::exchange(block.next, block.next.next());
    if (block.next == block.end) blocks_.pop_front();
    return world_.loop.post(
        scope_.wrap([id, done = std::move(done)]() mutable { done(ProducerId(id)); }));
  }
  if (waiting_.size() >= bounds::k_producers_waiting_max) {
    return world_.loop.post(scope_.wrap([done = std::move(done)]() mutable {
      done(fail(Errc::overloaded, "too many wait for a producer id at this broker"));
    }));
  }
  waiting_.push_back(answered_by<ProducerId>(
      world_.loop, scope_, deadline,
      {Errc::deadline_exceeded, "the controller gave no producer ids in time"}, std::move(done)));
}

void ProducerIds::ask_for_block() {
  if (std::exchange(asking_, true)) return;
  controller_.propose(controller::AllocateProducerIds{controller_.identity().node,
                                                      controller_.incarnation(), k_block},
                      scope_.wrap([this](Result<controller::Outcome> outcome) {
                        asking_ = false;
                        got_block(std::move(outcome));
                      }));
}

void ProducerIds::got_block(Result<controller::Outcome> outcome) {
  std::deque<Done<ProducerId>> waiting = std::exchange(waiting_, {});
  if (!outcome) {
    for (auto& done : waiting) done(fail(as_refusal(outcome.error())));
    return;
  }
  const auto* block = std::get_if<controller::AllocateProducerIdsOutcome>(&*outcome);
  ASSERT(block != nullptr);
  blocks_.push_back({block->first, ProducerId(block->first.value + k_block)});
  for (auto& done : waiting) allocate(MonotonicTime::never(), std::move(done));
}

}  // namespace bascule::broker

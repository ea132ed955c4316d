// The Publisher capability. A batch is copied once: out of the message, by Api::publish.
#include <utility>

#include "capnp/rpc_session.h"
#include "capnp/wire_values.h"

namespace bascule::rpc {
namespace {

class PublisherImpl final : public wire::Publisher::Server {
 public:
  explicit PublisherImpl(Session& session) : session_(session) {}

  kj::Promise<void> publish(PublishContext context) override {
    context.allowCancellation();
    const auto params = context.getParams();
    const PartitionId partition{StreamId(params.getStream()),
                                PartitionIndex(params.getPartition())};
    const auto acks = read_acks(params.getAcks());
    auto permit = acks ? session_.admit_call() : nullptr;
    if (!permit) {
      write_failure(
          context.getResults().initFailure(),
          acks ? Error{Errc::overloaded, "too many open calls of one connection"} : acks.error());
      return kj::READY_NOW;
    }
    const auto batch = params.getBatch();
    auto call = session_.call<broker::PublishAck>();
    session_.api().publish(session_.who(),
                           {
                               .stream = partition.stream,
                               .partition = partition.index,
                               .epoch = Epoch(params.getEpoch()),
                               .acks = *acks,
                               .deadline = session_.deadline(params.getBudgetNs()),
                               .batch = {batch.begin(), batch.size()},
                           },
                           std::move(call.done));
    context.releaseParams();
    return call.promise.then([this, partition, context, permit = std::move(permit)](
                                 Result<broker::PublishAck> result) mutable {
      if (!result) {
        write_failure(context.getResults().initFailure(), result.error(),
                      session_.hint(result.error(), partition));
        return;
      }
      auto results = context.getResults(::capnp::MessageSize{8, 0});
      results.setEpoch(result->epoch.value);
      results.setBaseOffset(result->base_offset.value);
      results.setCount(result->count);
      results.setDuplicate(result->duplicate);
    });
  }

  kj::Promise<void> allocateProducer(AllocateProducerContext context) override {
    context.allowCancellation();
    auto permit = session_.admit_call();
    if (!permit) {
      write_failure(context.getResults().initFailure(),
                    {Errc::overloaded, "too many open calls of one connection"});
      return kj::READY_NOW;
    }
    auto call = session_.call<ProducerId>();
    session_.api().allocate_producer(
        session_.who(), session_.deadline(context.getParams().getBudgetNs()), std::move(call.done));
    return call.promise.then(
        [context, permit = std::move(permit)](Result<ProducerId> result) mutable {
          if (!result) return write_failure(context.getResults().initFailure(), result.error());
          context.getResults().setProducer(result->value);
        });
  }

 private:
  Session& session_;
};

}  // namespace

wire::Publisher::Client make_publisher(Session& session) {
  return kj::heap<PublisherImpl>(session);
}

}  // namespace bascule::rpc

#include "src/broker/broker.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "src/base/assert.h"
#include "src/broker/bounds.h"

namespace bascule::broker {

Broker::Broker(env::World& world, const BrokerOptions& options,
               std::unique_ptr<controller::Controller> controller,
               std::unique_ptr<log::LogStore> logs, std::unique_ptr<Replication> replication,
               std::unique_ptr<Replicas> replicas)
    : world_(world),
      options_(options),
      controller_(std::move(controller)),
      logs_(std::move(logs)),
      replication_(std::move(replication)),
      replicas_(std::move(replicas)),
      reads_(world, *controller_),
      admin_(world, *controller_, *replicas_, reads_),
      cluster_(world, *controller_, reads_),
      events_(world, *controller_, reads_),
      producer_ids_(world, *controller_),
      observers_(world.loop, controller_->table()),
      subscriptions_(world, *replicas_),
      housekeeping_(world, *replicas_, options.housekeeping_interval),
      session_(
          world, *controller_,
          [this] {
            return std::max(logs_->oldest_write(), controller_->log().driver().oldest_unsynced());
          },
          [this](bool may_lead) { replicas_->let_lead(may_lead); }) {
  controller_->observe(*this);
  housekeeping_.start();
}

Broker::~Broker() {
  if (replication_) replication_->stop();
  controller_->forget_observer(*this);
}

void Broker::metadata_changed(Index, const std::vector<controller::Change>& changes) {
  for (const controller::Change& change : changes) {
    if (const auto* partition = std::get_if<controller::PartitionChanged>(&change))
      replicas_->reconcile(partition->partition);
    // Another life, up or down: its partitions' replicas are others than before.
    if (const auto* broker = std::get_if<controller::BrokerChanged>(&change)) {
      for (const PartitionId id : controller_->table().partitions_of(broker->node))
        replicas_->reconcile(id);
    }
    if (const auto* deleted = std::get_if<controller::StreamDeleted>(&change)) {
      for (const controller::PartitionEntry& entry : deleted->stream.partitions)
        replicas_->reconcile(entry.id);
    }
  }
  observers_.changed(changes);
}

// --- Streams --------------------------------------------------------------------------------------

void Broker::create_stream(const Principal&, CreateStream request, Done<StreamStatus> done) {
  if (stopping_) {
    return world_.loop.post([done = std::move(done)]() mutable { done(fail(Errc::stopping)); });
  }
  admin_.create(std::move(request), std::move(done));
}

void Broker::list_streams(const Principal&, MetadataRead read, Done<StreamList> done) {
  admin_.list(read, std::move(done));
}

void Broker::describe_stream(const Principal&, StreamRef stream, MetadataRead read,
                             Done<DescribedStream> done) {
  admin_.describe(std::move(stream), read, std::move(done));
}

void Broker::delete_stream(const Principal&, StreamId stream, Done<void> done) {
  if (stopping_) {
    return world_.loop.post([done = std::move(done)]() mutable { done(fail(Errc::stopping)); });
  }
  admin_.remove(stream, std::move(done));
}

// --- Messages -------------------------------------------------------------------------------------

void Broker::publish(const Principal&, Publish request, Done<PublishAck> done) {
  const uint64_t bytes = request.batch.size();
  Result<partition::Partition*> partition =
      stopping_ ? Result<partition::Partition*>(fail(Errc::stopping))
                : replicas_->leader_of(request.stream, request.partition);
  if (partition && (publishes_ >= bounds::k_publishes_max ||
                    (publishes_ != 0 && publish_bytes_ + bytes > bounds::k_in_flight_bytes_max)))
    partition = fail(Errc::overloaded, "too many publishes of this broker are not answered yet");
  if (!partition) {
    return world_.loop.post([done = std::move(done), error = partition.error()]() mutable {
      done(fail(std::move(error)));
    });
  }
  ++publishes_;
  publish_bytes_ += bytes;
  const PartitionId id{request.stream, request.partition};
  (*partition)
      ->publish({.epoch = request.epoch,
                 .acks = request.acks,
                 .deadline = request.deadline,
                 .batch = request.batch},
                scope_.wrap([this, id, bytes, done = std::move(done)](
                                Result<partition::PublishResult> result) mutable {
                  --publishes_;
                  publish_bytes_ -= bytes;
                  if (!result) {
                    Error& error = result.error();
                    if (error.code == Errc::stream_deleted) error.code = Errc::unknown_stream;
                    return done(fail(std::move(error)));
                  }
                  done(PublishAck{.partition = id,
                                  .epoch = result->epoch,
                                  .base_offset = result->base_offset,
                                  .count = result->count});
                }));
}

void Broker::subscribe(const Principal&, Subscribe request, Subscriber& subscriber,
                       Done<SubscribeStarted> done) {
  if (stopping_) {
    return world_.loop.post([done = std::move(done)]() mutable { done(fail(Errc::stopping)); });
  }
  subscriptions_.subscribe(std::move(request), subscriber, std::move(done));
}

void Broker::allocate_producer(const Principal&, MonotonicTime deadline, Done<ProducerId> done) {
  if (stopping_) {
    return world_.loop.post([done = std::move(done)]() mutable { done(fail(Errc::stopping)); });
  }
  producer_ids_.allocate(deadline, std::move(done));
}

// --- The end --------------------------------------------------------------------------------------

void Broker::stop(Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  housekeeping_.stop();
  events_.stop();
  replicas_->drain(world_.loop.now() + options_.drain_timeout,
                   scope_.wrap([this, done = std::move(done)](const Status&) mutable {
                     stop_parts(std::move(done));
                   }));
}

void Broker::stop_parts(Done<void> done) {
  if (replication_) replication_->stop();
  // Logs first: the clean mark of the store says that each of them ended as it says.
  replicas_->stop({Errc::stopping, ""}, scope_.wrap([this, done = std::move(done)](
                                                        const Status&) mutable {
    logs_->stop(scope_.wrap([this, done = std::move(done)](Status logs) mutable {
      controller_->stop([done = std::move(done), logs = std::move(logs)](Status metadata) mutable {
        done(logs ? std::move(metadata) : std::move(logs));
      });
    }));
  }));
}

void Broker::check_invariants() const {
  controller_->table().check_invariants();
  replicas_->check_invariants();
}

}  // namespace bascule::broker

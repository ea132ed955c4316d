// The start of a broker, step by step; the first failed step ends it.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/broker/broker.h"

namespace bascule::broker {

// Holds what is open so far; the completion of each step holds it.
class BrokerOpening {
 public:
  BrokerOpening(env::World& world, BrokerOptions options, const controller::CommandCodec& codec,
                const controller::ClusterParts* parts, Done<std::unique_ptr<Broker>> done)
      : world_(world),
        options_(std::move(options)),
        codec_(codec),
        parts_(parts),
        done_(std::move(done)) {}

  using Self = std::shared_ptr<BrokerOpening>;

  void lock(const Self& self) {
    world_.disk.lock([this, self](Status locked) {
      if (!locked) return fail_with(std::move(locked.error()));
      open_metadata(self);
    });
  }

 private:
  void open_metadata(const Self& self) {
    controller::open_controller(
        world_, options_.controller, codec_, parts_,
        [this, self](Result<std::unique_ptr<controller::Controller>> opened) {
          if (!opened) return fail_with(std::move(opened.error()));
          controller_ = std::move(*opened);
          open_store(self);
        });
  }

  void open_store(const Self& self) {
    log::open_log_store(world_, options_.logs,
                        [this, self](Result<std::unique_ptr<log::LogStore>> opened) {
                          if (!opened) return fail_with(std::move(opened.error()));
                          logs_ = std::move(*opened);
                          open_logs(self);
                        });
  }

  void open_logs(const Self& self) {
    if (controller_->cluster_peers() != nullptr && options_.replication != nullptr)
      replication_ = std::make_unique<Replication>(
          world_, *controller_, *controller_->cluster_peers(), *options_.replication);
    replicas_ =
        std::make_unique<Replicas>(world_, *controller_, *logs_,
                                   ReplicaOptions{.message_bytes_max = options_.message_bytes_max,
                                                  .link = replication_.get(),
                                                  .replica_lag_max = options_.replica_lag_max});
    replicas_->open_all([this, self](Result<std::vector<controller::ReplicaReport>> reports) {
      if (!reports) return fail_with(std::move(reports.error()));
      register_life(self, std::move(*reports));
    });
  }

  // What recovery found goes with the registration: a damaged or suspect replica must not be taken for
  // what it was.
  void register_life(const Self& self, std::vector<controller::ReplicaReport> reports) {
    controller_->register_broker(std::move(reports), [this, self](Result<Incarnation> admitted) {
      if (!admitted) return fail_with(std::move(admitted.error()));
      incarnation_ = *admitted;
      start_serving(self);
    });
  }

  void start_serving(const Self& self) {
    logs_->start_serving([this, self](Status serving) {
      if (!serving) return fail_with(std::move(serving.error()));
      if (replication_) replication_->start(*replicas_, Duration{options_.replica_lag_max.ns / 4});
      replicas_->go_live(incarnation_);
      broker_.reset(new Broker(world_, options_, std::move(controller_), std::move(logs_),
                               std::move(replication_), std::move(replicas_)));
      unfence(self);
    });
  }

  // Its heartbeats begin first: whoever lets it in looks for them.
  void unfence(const Self& self) {
    broker_->session_.start(incarnation_);
    broker_->session_.set_ready(true);
    broker_->controller_->unfence([this, self](Status unfenced) {
      if (!unfenced) return fail_with(std::move(unfenced.error()));
      // The elections are in the table; the partitions are told in the turns that follow.
      const Self held = self;
      world_.loop.post([this, held] {
        for (const PartitionId id :
             broker_->controller_->table().partitions_of(broker_->identity().node))
          broker_->replicas_->reconcile(id);
        done_(std::move(broker_));
      });
    });
  }

  // In a turn of its own: the failed step is still inside what is destroyed here.
  void fail_with(Error error) {
    world_.loop.post([this_done = std::move(done_), error = std::move(error),
                      broker = std::move(broker_), replicas = std::move(replicas_),
                      replication = std::move(replication_), logs = std::move(logs_),
                      controller = std::move(controller_)]() mutable {
      broker.reset();
      if (replication) replication->stop();
      replicas.reset();
      replication.reset();
      logs.reset();
      controller.reset();
      this_done(fail(std::move(error)));
    });
  }

  env::World& world_;
  BrokerOptions options_;
  const controller::CommandCodec& codec_;
  const controller::ClusterParts* parts_;
  Done<std::unique_ptr<Broker>> done_;
  std::unique_ptr<controller::Controller> controller_;
  std::unique_ptr<log::LogStore> logs_;
  std::unique_ptr<Replication> replication_;
  std::unique_ptr<Replicas> replicas_;
  Incarnation incarnation_;
  std::unique_ptr<Broker> broker_;
};

void open_broker(env::World& world, BrokerOptions options, const controller::CommandCodec& codec,
                 const controller::ClusterParts* parts, Done<std::unique_ptr<Broker>> done) {
  // A process that is dying drops its completions, and the last one may be dropped from inside of what
  // the opening owns: it ends in a turn of its own.
  const std::shared_ptr<BrokerOpening> opening(
      new BrokerOpening(world, std::move(options), codec, parts, std::move(done)),
      [&loop = world.loop](BrokerOpening* ended) {
        loop.post([owned = std::unique_ptr<BrokerOpening>(ended)] {});
      });
  opening->lock(opening);
}

}  // namespace bascule::broker

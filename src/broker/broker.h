// The node: joins the metadata, the logs and the partitions of one data directory, and is the Api that
// all front ends end at. The composition root makes it from a world, options and the metadata's codec.
//
//   open:  lock → metadata → log store → open logs (recovery) → register this life (incarnation, what
//          recovery found) → start serving → lead what the table gives → unfence
//   run:   the controller tells of changes; replicas.h brings the partitions in line with the table
//   stop:  refuse → in-flight acks finish → partitions and logs stop → clean marks → metadata stops
//
// A broker leads nothing before it has applied its own registration.
#pragma once

#include <cstdint>
#include <memory>

#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/broker/api.h"
#include "src/broker/cluster_admin.h"
#include "src/broker/event_feed.h"
#include "src/broker/housekeeping.h"
#include "src/broker/metadata_reads.h"
#include "src/broker/producer_ids.h"
#include "src/broker/replicas.h"
#include "src/broker/replication.h"
#include "src/broker/stream_admin.h"
#include "src/broker/stream_observers.h"
#include "src/broker/subscriptions.h"
#include "src/controller/broker_session.h"
#include "src/controller/command_codec.h"
#include "src/controller/controller.h"
#include "src/env/world.h"
#include "src/log/log_store.h"

namespace bascule::broker {

struct BrokerOptions {
  controller::ControllerOptions controller;
  log::LogStoreOptions logs;
  uint32_t message_bytes_max = 1 << 20;  // where a stream says none
  // Needed where the broker has peers; outlives it.
  const partition::ReplicationCodec* replication = nullptr;
  Duration replica_lag_max =
      seconds(2);  // a replica that is behind for so long leaves the in-sync set
  Duration housekeeping_interval = seconds(10);
  Duration drain_timeout =
      seconds(30);  // of a stop: then what is in flight ends as outcome_unknown
};

class Broker final : public Api, private controller::MetadataObserver {
 public:
  ~Broker() override;

  void create_stream(const Principal& who, CreateStream request, Done<StreamStatus> done) override;
  void list_streams(const Principal& who, MetadataRead read, Done<StreamList> done) override;
  void describe_stream(const Principal& who, StreamRef stream, MetadataRead read,
                       Done<DescribedStream> done) override;
  void delete_stream(const Principal& who, StreamId stream, Done<void> done) override;
  void publish(const Principal& who, Publish request, Done<PublishAck> done) override;
  void subscribe(const Principal& who, Subscribe request, Subscriber& subscriber,
                 Done<SubscribeStarted> done) override;
  void cluster_status(const Principal&, MetadataRead read, Done<ClusterStatus> done) override {
    cluster_.status(read, std::move(done));
  }
  void change_cluster(const Principal&, ClusterChange request, Done<void> done) override {
    cluster_.change(request, std::move(done));
  }
  void read_events(const Principal&, ReadEvents request, Done<EventsPage> done) override {
    events_.read(request, std::move(done));
  }
  void decide_cluster(const Principal&, ClusterDecision decision, Done<void> done) override {
    cluster_.decide(decision, std::move(done));
  }
  void allocate_producer(const Principal& who, MonotonicTime deadline,
                         Done<ProducerId> done) override;
  void observe_streams(StreamObserver& observer) override { observers_.observe(observer); }
  void forget_observer(StreamObserver& observer) override { observers_.forget(observer); }
  bool accepting() const override { return !stopping_; }

  // Drains and stops, so that the next start is clean. Nothing runs after `done`; destroy it then, in a
  // later turn. Once.
  void stop(Done<void> done);

  // `advisor` is asked at each creation; its sentences are warnings of that creation's answer. An empty one
  // ends that.
  void advise_creations(StreamAdmin::CreationAdvisor advisor) {
    admin_.advise_with(std::move(advisor));
  }

  const controller::Identity& identity() const { return controller_->identity(); }
  const controller::Controller& metadata() const { return *controller_; }
  const Replicas& replicas() const { return *replicas_; }
  const log::LogStore& logs() const { return *logs_; }
  // Publishes without an answer, and the bytes of their batches.
  uint64_t publishes_in_flight() const { return publishes_; }
  void check_invariants() const;

 private:
  friend class BrokerOpening;
  Broker(env::World& world, const BrokerOptions& options,
         std::unique_ptr<controller::Controller> controller, std::unique_ptr<log::LogStore> logs,
         std::unique_ptr<Replication> replication, std::unique_ptr<Replicas> replicas);

  void metadata_changed(Index index, const std::vector<controller::Change>& changes) override;
  void events_happened(const std::vector<controller::Event>&, bool) override { events_.happened(); }
  void stop_parts(Done<void> done);

  env::World& world_;
  BrokerOptions options_;
  std::unique_ptr<controller::Controller> controller_;
  std::unique_ptr<log::LogStore> logs_;
  std::unique_ptr<Replication> replication_;  // null: a broker alone
  std::unique_ptr<Replicas> replicas_;
  MetadataReads reads_;
  StreamAdmin admin_;
  ClusterAdmin cluster_;
  EventFeed events_;
  ProducerIds producer_ids_;
  StreamObservers observers_;
  Subscriptions subscriptions_;
  Housekeeping housekeeping_;
  controller::BrokerSession session_;
  uint64_t publishes_ = 0;
  uint64_t publish_bytes_ = 0;
  bool stopping_ = false;
  env::Scope scope_;
};

// Opens the broker of the world's data directory; formats an empty one. Completes when all that it can
// lead is led. On an error everything is closed again, without a clean mark. Errors: `busy` (another
// process holds the directory), those of open_controller, open_log_store and register_broker.
// World, codec and parts outlive the broker. `parts`: as of open_controller.
void open_broker(env::World& world, BrokerOptions options, const controller::CommandCodec& codec,
                 const controller::ClusterParts* parts, Done<std::unique_ptr<Broker>> done);

}  // namespace bascule::broker

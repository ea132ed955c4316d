// The clients of one life of a broker: they play the plan's operations over broker/api.h, and hand what
// they are told to the oracles. They die with the process.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "sim/plan/plan.h"
#include "sim/world/node.h"
#include "sim/worlds/broker_story.h"
#include "sim/worlds/oracle_reader.h"
#include "src/broker/broker.h"

namespace bascule::sim {

class BrokerClients final : public Program {
 public:
  BrokerClients(BrokerStory& story, env::World& world, broker::Broker& broker)
      : story_(story), world_(world), broker_(broker) {}

  // An operation of the plan: create, delete, publish, subscribe.
  void play(const PlanItem& item);
  // Reads all that there is and holds it against the ledger; `done` when every partition is through.
  void check_everything(std::function<void()> done);
  // A publish to each partition that must be acknowledged.
  void prove_alive(std::function<void()> done);

 private:
  void create(const PlanItem& item);
  void remove(const PlanItem& item);
  void publish(const PlanItem& item);
  void subscribe(const PlanItem& item);
  void publish_batch(PartitionId partition, uint64_t producer, uint32_t count, uint32_t bytes,
                     model::Acks acks, MonotonicTime deadline,
                     std::function<void(const SentBatch&)> answered);
  void on_answer(size_t index, const Result<broker::PublishAck>& answer);
  void check_partition(PartitionId partition, std::shared_ptr<size_t> left,
                       std::shared_ptr<std::function<void()>> done);
  std::optional<PartitionId> partition_of(const PlanItem& item) const;

  BrokerStory& story_;
  env::World& world_;
  broker::Broker& broker_;
  const broker::Principal who_;
  std::vector<std::unique_ptr<OracleReader>> readers_;
  std::vector<std::unique_ptr<WholeRead>> whole_reads_;
  env::Scope scope_;
};

}  // namespace bascule::sim
